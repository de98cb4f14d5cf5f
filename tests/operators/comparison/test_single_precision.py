"""Solvers in the precision of networks."""

import pytest
import torch

import kutta as kt
from kutta.operators import Coarsened
from kutta.operators.comparison.single_precision import SinglePrecision
from kutta.solvers.answer import Answer

FAMILIES = {"steady": kt.operators.data.darcy(points=16), "in time": kt.operators.data.burgers(points=32, end=0.2)}


class Told(Answer):
    """A method that keeps what it is asked."""

    def answer(self, problem, given, solve):
        self.problem = problem
        return solve(problem, None, **given)


@pytest.mark.parametrize("name", FAMILIES)
def test_all_fields_are_single_and_the_answer_is_double(name):
    problem = FAMILIES[name].draw(2, torch.Generator().manual_seed(0))
    told = Told()
    found = kt.solve(problem, SinglePrecision(told), rtol=1e-3)
    fields = [told.problem.u0] if name == "in time" else [told.problem.source, told.problem.equation.coefficient]
    assert {one.dtype for one in fields} == {torch.float32} and found.y1.dtype == found.ys.dtype == torch.float64
    single = found.y1.float().double()
    assert torch.equal(single, found.y1)  # it was computed in no more digits than that


@pytest.mark.parametrize("name", FAMILIES)
def test_it_is_as_exact_as_the_method_at_errors_of_some_percent(name):
    problem = FAMILIES[name].draw(2, torch.Generator().manual_seed(0))
    double, single = (kt.solve(problem, one, rtol=1e-3).y1 for one in (None, SinglePrecision()))
    assert 0.0 < float((single - double).norm() / double.norm()) < 1e-3


def test_fewer_points_can_be_single_too():
    problem = FAMILIES["steady"].draw(2, torch.Generator().manual_seed(0))
    double, single = (kt.solve(problem, one).y1 for one in (Coarsened(2), SinglePrecision(Coarsened(2))))
    assert double.shape == single.shape and 0.0 < float((single - double).norm() / double.norm()) < 1e-3


def test_complex_states_stay_complex():
    grid = kt.pde.Grid(16)
    problem = kt.pde.Heat(0.1).problem(grid, torch.exp(2j * torch.pi * grid.points()[0]), (0.0, 0.1))
    found = kt.solve(problem, SinglePrecision(), rtol=1e-4).y1
    assert found.dtype == torch.complex128
    torch.testing.assert_close(found, kt.solve(problem, rtol=1e-8).y1, rtol=1e-3, atol=1e-3)
