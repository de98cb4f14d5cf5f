"""Coefficients that vary and that jump: orders, exact fluxes, gradients, refusals."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._manufactured import field, grid_of, minus_laplacian, norm, slope


def coefficient(x):
    return 2.0 + torch.sin(2.0 * x[0]) + 0.5 * sum(torch.cos(3.0 * row) for row in x[1:])


def source(x):
    """``-div(a grad u)``."""
    total = coefficient(x) * minus_laplacian(x) - 2.0 * torch.cos(2.0 * x[0]) * slope(x, 0)
    return total + sum(1.5 * torch.sin(3.0 * x[axis]) * slope(x, axis) for axis in range(1, len(x)))


@pytest.mark.parametrize("faces", ["harmonic", "arithmetic"])
@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["dirichlet", "mixed", "robin"])
def test_smooth_coefficients_have_order_two(kind, dim, centring, faces):
    counts, errors, spacings = {1: (16, 32, 64), 2: (8, 16, 32), 3: (6, 9, 14)}[dim], [], []
    if dim == 3 and faces == "arithmetic":
        counts = counts[1:]
    for n in counts:
        grid = grid_of(kind, n, dim, centring)
        u = kt.solve(kt.pde.Darcy(coefficient, faces).problem(grid, source), rtol=1e-8).y1
        errors.append(norm(u - field(grid.points()), grid))
        spacings.append(1.0 / grid.spacing[0])
    assert slopes_of(errors, spacings)[-1] == pytest.approx(2.0, abs=0.15)


def test_flux_through_layers_is_exact():
    """Interfaces at faces: the flow is the drop over the sum of resistances, and u is linear in each layer."""
    grid = kt.pde.Grid(20, 2.0, boundary=(kt.pde.Dirichlet(3.0), kt.pde.Dirichlet(-1.0)))
    x = grid.points()[0]
    a = torch.where(x < 0.5, 1.0, torch.where(x < 1.2, 1e-4, 1e3)).to(F64)
    flow = 4.0 / (0.5 / a[0] + 0.7 / a[8] + 0.8 / a[15])
    exact = 3.0 - flow * torch.where(
        x < 0.5,
        x / a[0],
        torch.where(x < 1.2, 0.5 / a[0] + (x - 0.5) / a[8], 0.5 / a[0] + 0.7 / a[8] + (x - 1.2) / a[15]),
    )
    u = kt.solve(kt.pde.Darcy(a).problem(grid), rtol=1e-13).y1
    assert (u - exact).abs().max() < 1e-10


def test_flux_of_a_smooth_coefficient_is_constant():
    """Without sources ``a u' = -q``: ``u' = -q / a``."""
    counts, errors = (16, 32, 64), []
    for n in counts:
        grid = kt.pde.Grid(n, boundary=(kt.pde.Dirichlet(0.0), kt.pde.Dirichlet(1.0)))
        x = grid.points()[0]
        u = kt.solve(kt.pde.Darcy(lambda x: 1.0 / (1.0 + x[0])).problem(grid), rtol=1e-12).y1
        errors.append(relative_error(u, (x + 0.5 * x**2) / 1.5))
    assert errors[-1] < 1e-12 or slopes_of(errors, counts)[-1] == pytest.approx(2.0, abs=0.15)


def test_jumps_in_the_plane_keep_the_whole_flow():
    """What flows in at the left flows out at the right, whatever is in between."""
    sides = ((kt.pde.Dirichlet(1.0), kt.pde.Dirichlet(0.0)), kt.pde.Neumann())
    grid = kt.pde.Grid((16, 16), boundary=sides)
    a = 10.0 ** torch.randint(-2, 3, (16, 16), generator=torch.Generator().manual_seed(0)).to(F64)
    u = kt.solve(kt.pde.Darcy(a).problem(grid), rtol=1e-12).y1
    h = grid.spacing[0]
    left = (2 * a[0] * (1.0 - u[0]) / h).sum()
    right = (2 * a[-1] * u[-1] / h).sum()
    assert relative_error(left, right) < 1e-9


def test_gradients_to_the_coefficient_the_source_and_the_boundary():
    x = torch.arange(20, dtype=F64)
    a, f = 1.5 + torch.sin(x).reshape(5, 4), torch.cos(x).reshape(5, 4)
    g = torch.linspace(0.5, 1.0, 4, dtype=F64)

    def loss(a, f, g):
        grid = kt.pde.Grid((5, 4), boundary=((kt.pde.Dirichlet(g), kt.pde.Robin(1.0, 1.0)), kt.pde.Neumann(0.1)))
        u = kt.solve(kt.pde.Darcy(a).problem(grid, f), rtol=1e-13).y1
        return (u**3).sum() + (u * torch.sin(x).reshape(5, 4)).sum()

    for ask, at in ((lambda a: loss(a, f, g), a), (lambda f: loss(a, f, g), f), (lambda g: loss(a, f, g), g)):
        assert relative_error(gradient(ask, at), difference(ask, at)) < 1e-6


def test_what_does_not_fit_is_refused():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    with pytest.raises(ValueError, match="coefficient must be positive"):
        kt.pde.Darcy(-1.0).problem(grid)
    with pytest.raises(ValueError, match="coefficient must have the shape"):
        kt.pde.Darcy(torch.ones(7, 8)).problem(grid)
    with pytest.raises(TypeError, match=r"coefficient is torch\.float32"):
        kt.pde.Darcy(torch.ones(8, 8)).problem(grid, torch.ones(8, 8, dtype=F64))
    with pytest.raises(ValueError, match="faces must be one of"):
        kt.pde.Darcy(1.0, "geometric").problem(grid)


def test_functions_take_the_precision_of_the_source():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    ends = [
        kt.solve(kt.pde.Darcy(lambda x: 1.0 + x[0]).problem(grid, torch.ones(8, 8, dtype=dtype))).y1
        for dtype in (torch.float32, torch.float64)
    ]
    assert ends[0].dtype == torch.float32 and torch.allclose(ends[0].double(), ends[1], rtol=1e-4)
