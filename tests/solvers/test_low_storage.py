"""Low-storage methods: the steps of the same methods in Butcher's form."""

import pytest
import torch

import kutta as kt
from kutta.solvers.tableaus.tableau import Tableau
from tests._helpers import F64, difference, gradient, relative_error, swing, tensor

METHODS = [kt.Williamson3(), kt.CarpenterKennedy54()]


def in_butchers_form(table):
    rows, weights = table.butcher
    return kt.RungeKutta(Tableau(table.name, table.order, table.nodes, rows, weights, table.source))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_steps_are_those_of_butchers_form(method):
    problem = kt.ODEProblem(swing, tensor(1.0, 0.5), (0.0, 2.0))
    found, wanted = (
        kt.solve(problem, one, controller=kt.Fixed(0.1), save_at=torch.linspace(0, 2, 9, dtype=F64))
        for one in (method, in_butchers_form(method.tableau))
    )
    assert torch.allclose(found.ys, wanted.ys, rtol=1e-13, atol=1e-14)
    assert found.stats.function_evaluations >= 20 * len(method.tableau.b)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_ensembles_and_gradients(method):
    y0 = torch.stack([tensor(1.0, 0.5), tensor(0.2, -1.0)])
    family = kt.EnsembleProblem(swing, y0, (0.0, tensor(1.0, 2.0)))
    sol = kt.solve(family, method, controller=kt.Fixed(0.1))
    for row, (start, end) in enumerate(zip(y0, (1.0, 2.0), strict=True)):
        alone = kt.solve(kt.ODEProblem(swing, start, (0.0, end)), method, controller=kt.Fixed(0.1)).y1
        assert torch.allclose(sol.y1[row], alone, rtol=1e-12)

    def loss(start, adjoint=None):
        problem = kt.ODEProblem(swing, start, (0.0, 1.0))
        return kt.solve(problem, method, controller=kt.Fixed(0.1), adjoint=adjoint).y1.square().sum()

    wanted = difference(loss, y0[0])
    assert relative_error(gradient(loss, y0[0]), wanted) < 1e-7
    assert relative_error(gradient(lambda start: loss(start, kt.Recompute()), y0[0]), wanted) < 1e-7


def test_they_estimate_no_error():
    with pytest.raises(ValueError, match="Williamson3 estimates no error"):
        kt.solve(kt.ODEProblem(swing, tensor(1.0, 0.5), (0.0, 2.0)), kt.Williamson3())
