"""Penalties: what a regulariser of one's own sees, and how it is differentiated."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, TIGHT, difference, gradient, relative_error, swing, tensor, turn

START = tensor(1.0, 0.2)


class Length(kt.Regularizer):
    """The length of the path's chords; one number a trajectory in an ensemble."""

    def init(self, y):
        return y.new_zeros(y.shape[:-1])

    def update(self, total, step):
        return total + torch.linalg.vector_norm(step.y1 - step.y0, dim=-1)

    def value(self, total):
        return total


class Count(kt.Regularizer):
    """Accepted steps, and the sum of their error estimates: a state that is a pytree."""

    def init(self, y):
        return {"steps": y.new_zeros(y.shape[:-1]), "error": y.new_zeros(y.shape[:-1])}

    def update(self, state, step):
        return {"steps": state["steps"] + 1, "error": state["error"] + step.error.square().sum(dim=-1)}

    def value(self, state):
        return state["steps"] + 0 * state["error"]


def test_a_quarter_of_a_circle_has_its_length():
    problem = kt.ODEProblem(turn, tensor(1.0, 0.0), (0.0, math.pi / 2))
    sol = kt.solve(problem, penalties={"length": Length()}, controller=kt.Fixed(1e-3))
    assert abs(float(sol.penalties["length"]) - math.pi / 2) < 1e-6


def test_several_penalties_are_given_by_name_and_see_accepted_steps_only():
    sol = kt.solve(kt.ODEProblem(swing, START, (0.0, 5.0)), penalties={"a": Length(), "b": Count()}, dt0=3.0)
    assert set(sol.penalties) == {"a", "b"} and sol.stats.rejected > 0
    assert int(sol.penalties["b"]) == sol.stats.accepted


def test_penalties_of_an_ensemble_are_those_of_each():
    y0 = torch.stack([START, 2 * START, -START])
    ends = tensor(1.0, 2.0, 3.0)
    sol = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, ends)), penalties={"a": Length(), "b": Count()})
    assert sol.penalties["a"].shape == (3,)
    assert torch.equal(sol.penalties["b"].long(), sol.stats.accepted)
    for row in range(3):
        alone = kt.solve(kt.ODEProblem(swing, y0[row], (0.0, float(ends[row]))), penalties={"a": Length()})
        assert relative_error(sol.penalties["a"][row], alone.penalties["a"]) < 1e-9


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Recompute(segment=1)], ids=repr)
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
def test_penalties_have_gradients(adjoint, many):
    y0 = torch.stack([START, 2 * START]) if many else START

    def loss(x):
        problem = kt.EnsembleProblem(swing, x, (0.0, 1.0)) if many else kt.ODEProblem(swing, x, (0.0, 1.0))
        options = {"controller": kt.Fixed(0.05), "adjoint": adjoint}
        sol = kt.solve(problem, penalties={"a": Length()}, **options)
        return (sol.penalties["a"] ** 2).sum() + sol.y1.sum()

    assert relative_error(gradient(loss, y0), difference(loss, y0)) < 1e-8


@pytest.mark.parametrize("adjoint", [kt.Backsolve(), kt.Interpolating(), kt.Gauss()], ids=repr)
def test_continuous_adjoints_refuse_penalties(adjoint):
    problem = kt.ODEProblem(swing, START.clone().requires_grad_(), (0.0, 1.0))
    with pytest.raises(ValueError, match="cannot differentiate penalties"):
        kt.solve(problem, penalties={"a": Length()}, adjoint=adjoint)


def test_penalties_go_on_over_events():
    reflect = kt.Event(lambda t, y: y[0], change=lambda t, y: -y)
    problem = kt.ODEProblem(turn, tensor(1.0, 0.0), (0.0, 4.0))
    sol = kt.solve(problem, penalties={"a": Length()}, events=[reflect], controller=kt.PID(dtmax=1e-2))
    assert len(sol.events) >= 1 and abs(float(sol.penalties["a"]) - 4.0) < 0.05


def test_a_penalty_leaves_the_solution_as_it_is():
    problem = kt.ODEProblem(swing, START, (0.0, 2.0))
    assert torch.equal(kt.solve(problem, penalties={"a": Length()}, **TIGHT).y1, kt.solve(problem, **TIGHT).y1)
    assert kt.solve(problem).penalties == {} and START.dtype == F64
