"""Manufactured solutions for every boundary condition, singular cases, gradients, refusals."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._manufactured import field, grid_of, minus_laplacian, norm

COUNTS = {1: (8, 16, 32), 2: (8, 16, 32), 3: (6, 9, 14)}


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "mixed", "robin"])
def test_manufactured_solutions_converge_with_order_two(kind, dim, centring):
    errors, spacings = [], []
    for n in COUNTS[dim]:
        grid = grid_of(kind, n, dim, centring)
        u = kt.solve(kt.pde.Poisson().problem(grid, minus_laplacian)).y1
        error = u - field(grid.points())
        if kind == "neumann":  # up to a constant
            error = error - error.mean()
        errors.append(norm(error, grid))
        spacings.append(1.0 / grid.spacing[0])
    assert slopes_of(errors, spacings)[-1] == pytest.approx(2.0, abs=0.15)


def test_periodic_axes_and_walls_together():
    counts, errors = (8, 16, 32), []
    for n in counts:
        grid = kt.pde.Grid(
            (n, n), (2 * math.pi, 1.0), boundary=(kt.pde.Periodic(), (kt.pde.Dirichlet(1.0), kt.pde.Neumann(2.0)))
        )
        x, y = grid.points()
        exact = 1.0 + 2.0 * y + torch.sin(x) * torch.sin(0.5 * math.pi * y)
        f = (1 + math.pi**2 / 4) * torch.sin(x) * torch.sin(0.5 * math.pi * y)
        errors.append(relative_error(kt.solve(kt.pde.Poisson().problem(grid, f)).y1, exact))
    assert slopes_of(errors, counts) == pytest.approx([2.0, 2.0], abs=0.15)


def test_nodes_on_the_boundary_have_its_values_and_the_solution_its_space():
    grid = kt.pde.Grid((9, 7), centring="node", boundary=kt.pde.Dirichlet(3.0))
    sol = kt.solve(kt.pde.Poisson().problem(grid, torch.ones(2, 9, 7)))
    for side in (sol.y1[..., 0, :], sol.y1[..., -1, :], sol.y1[..., 0], sol.ys[0, ..., -1]):
        assert bool((side == 3.0).all())
    assert sol.y1.shape == (2, 9, 7) and sol.y1.dtype == torch.float32
    assert (sol.space.grid, sol.space.components, sol.space.equation) == (grid, ("u",), "Poisson")


def test_sources_of_every_kind_are_one():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    sources = [2.0, torch.full((8, 8), 2.0, dtype=F64), torch.tensor(2.0, dtype=F64), lambda x: 2.0 + 0 * x[0]]
    found = [kt.solve(kt.pde.Poisson().problem(grid, source)).y1 for source in sources]
    assert all(torch.equal(one, found[0]) and one.dtype == F64 for one in found)


def test_any_method_may_be_named():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet(1.0))
    problem = kt.pde.Poisson().problem(grid, 1.0)
    exact = kt.solve(problem).y1
    for method in (kt.CG(), kt.Multigrid(), kt.LU()):
        options = {} if isinstance(method, kt.LU) else {"rtol": 1e-12}
        assert relative_error(kt.solve(problem, method, **options).y1, exact) < 1e-10


def test_what_is_made_must_flow_out():
    with pytest.raises(ValueError, match="mean zero"):
        kt.solve(kt.pde.Poisson().problem(kt.pde.Grid((8, 8)), 1.0))
    grid = kt.pde.Grid(16, boundary=(kt.pde.Neumann(-0.5), kt.pde.Neumann(-0.5)))
    u = kt.solve(kt.pde.Poisson().problem(grid, 1.0)).y1
    x = grid.points()[0]
    exact = 0.5 * x * (1 - x)
    assert abs(float(u.mean())) < 1e-14
    assert (u - exact + exact.mean()).abs().max() < 1e-14  # exact for parabolas


def test_gradients_to_the_source_and_the_boundary():
    weights = torch.cos(torch.arange(30, dtype=F64)).reshape(6, 5)

    def loss(source, value=None):
        g = torch.ones(6, dtype=F64) if value is None else value
        sides = ((kt.pde.Robin(1.0, 2.0), kt.pde.Neumann(0.3)), (kt.pde.Dirichlet(g), kt.pde.Dirichlet()))
        u = kt.solve(kt.pde.Poisson().problem(kt.pde.Grid((6, 5), boundary=sides), source), rtol=1e-13).y1
        return (weights * u).sum() + (u**3).sum()

    source = torch.sin(torch.arange(30, dtype=F64)).reshape(6, 5)
    value = torch.linspace(0.5, 1.5, 6, dtype=F64)
    assert relative_error(gradient(loss, source), difference(loss, source)) < 1e-7
    ask = lambda value: loss(source, value)  # noqa: E731
    assert relative_error(gradient(ask, value), difference(ask, value)) < 1e-7


def test_what_does_not_fit_is_refused():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    with pytest.raises(TypeError, match=r"grid must be a kutta.pde.Grid"):
        kt.pde.Poisson().problem((8, 8), 1.0)
    with pytest.raises(TypeError, match="source must be a number, a tensor or a function"):
        kt.pde.Poisson().problem(grid, "x + y")
    with pytest.raises(ValueError, match=r"source must have the shape"):
        kt.pde.Poisson().problem(grid, torch.zeros(8, 7))
    with pytest.raises(TypeError, match="floating-point dtype"):
        kt.pde.Poisson().problem(grid, torch.zeros(8, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="dt0 means nothing"):
        kt.solve(kt.pde.Poisson().problem(grid, 1.0), dt0=0.1)
    with pytest.raises(ValueError, match="source must be finite"):
        kt.pde.Poisson().problem(grid, torch.full((8, 8), math.nan))


def test_sources_may_be_complex_numbers():
    grid = kt.pde.Grid(8, boundary=kt.pde.Dirichlet())
    real = kt.solve(kt.pde.Poisson().problem(grid, 1.0)).y1
    assert torch.allclose(kt.solve(kt.pde.Poisson().problem(grid, 2j)).y1, 2j * real)
