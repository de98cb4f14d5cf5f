"""What is infinite or no number is refused when a problem is made."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.grids.finite import check_finite

P = kt.pde


@pytest.mark.parametrize("make", [P.Dirichlet, P.Neumann, lambda g: P.Robin(1.0, 2.0, g)],
                         ids=["Dirichlet", "Neumann", "Robin"])  # fmt: skip
def test_boundary_data(make):
    for g in (math.nan, math.inf, 10**400, torch.tensor(math.nan), torch.tensor([0.0, -math.inf])):
        with pytest.raises(ValueError, match="g must be finite; got"):
            make(g)
    assert make(torch.tensor([1.0, 1j])).g.is_complex()


def test_sources_and_coefficients_of_steady_equations():
    grid = P.Grid(8, boundary=P.Dirichlet())
    for source in (torch.full((8,), math.nan), lambda x: x[0] / 0.0, math.inf):
        with pytest.raises(ValueError, match="source must be finite; got a tensor that holds NaN or infinite values"):
            P.Poisson().problem(grid, source)
    with pytest.raises(ValueError, match="coefficient must be finite"):
        P.Darcy(lambda x: 1.0 + x[0] * math.nan).problem(grid, 1.0)


def test_data_are_looked_at_within_transforms():
    def at_the_middle(g):
        return kt.solve(P.Poisson().problem(P.Grid(5, boundary=P.Dirichlet(g)), 0.0)).y1[2]

    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(torch.func.vmap(at_the_middle)(values), values)
    with pytest.raises(ValueError, match="g must be finite"):
        torch.func.vmap(at_the_middle)(torch.tensor([1.0, math.nan], dtype=torch.float64))


def test_nothing_is_looked_at_while_code_is_compiled(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    check_finite("g", math.nan)
