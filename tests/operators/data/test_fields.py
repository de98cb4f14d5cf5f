"""Samples, and parts of them."""

import pytest
import torch

import kutta as kt


def data(count=6):
    scope = kt.operators.Scope("heat", ("u",), kt.pde.Grid(4), ("u0",), (0.0,), (5.0,))
    rows = torch.arange(float(count)).reshape(-1, 1, 1).expand(count, 1, 4)
    return kt.operators.data.Data(rows, -rows, scope)


def test_a_part_knows_the_ranges_of_its_own_samples_alone():
    training, test = data().split(4, 2)
    assert (training.scope.lowest, training.scope.highest) == ((0.0,), (3.0,))
    assert (test.scope.lowest, test.scope.highest) == ((4.0,), (5.0,))
    assert torch.equal(test.outputs, -test.inputs)


def test_a_model_is_outside_its_scope_where_only_the_test_was():
    problems = kt.operators.data.generate(kt.operators.data.burgers(32), 6, seed=0)
    order = problems.inputs.flatten(1).amax(1).argsort()
    sorted_by_size = kt.operators.data.Data(problems.inputs[order], problems.outputs[order], problems.scope)
    training, test = sorted_by_size.split(5, 1)
    model = kt.operators.TrainedOperator.for_data(kt.operators.FNO(1, 1, (8,), width=4, layers=1), training)
    problem = kt.pde.Burgers(0.01).problem(kt.pde.Grid(32), test.inputs[:, 0].double(), (0.0, 1.0))
    with pytest.raises(ValueError, match="and in training from"):
        kt.solve(problem, kt.operators.Surrogate(model))


def test_no_samples_keep_the_scope():
    assert data()[6:].scope.highest == (5.0,)


def test_more_samples_than_there_are_is_refused():
    with pytest.raises(ValueError, match="there are 6 samples"):
        data().split(4, 3)
