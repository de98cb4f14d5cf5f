"""Plane waves, a layer that reflects nothing, media, gradients, refusals."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.equations.helmholtz import LARGEST_DENSE
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._manufactured import norm

WALL = kt.pde.Dirichlet()


def value(x):
    """A plane wave of k = 3."""
    return torch.cos(3.0 * (0.6 * x[0] + 0.8 * x[1]) + 0.3)


def outward(axis, side):
    return lambda x: (2.0 * side - 1.0) * -3.0 * (0.6, 0.8)[axis] * torch.sin(3.0 * (0.6 * x[0] + 0.8 * x[1]) + 0.3)


def sides(kind, axis, side):
    n = outward(axis, side)
    return {
        "dirichlet": kt.pde.Dirichlet(lambda x, t: value(x)),
        "neumann": kt.pde.Neumann(lambda x, t: n(x)),
        "robin": kt.pde.Robin(1.0, 0.5, lambda x, t: value(x) + 0.5 * n(x)),
    }[kind]


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "robin"])
def test_plane_waves_converge_with_order_two(kind, centring):
    errors, spacings = [], []
    for n in (12, 18, 27):
        walls = tuple(tuple(sides(kind, axis, side) for side in (0, 1)) for axis in (0, 1))
        grid = kt.pde.Grid((n, n), (1.0, 0.7), centring, walls)
        u = kt.solve(kt.pde.Helmholtz(3.0).problem(grid)).y1
        errors.append(norm(u - value(grid.points()), grid))
        spacings.append(1.0 / grid.spacing[0])
    assert slopes_of(errors, spacings)[-1] == pytest.approx(2.0, abs=0.15)


def test_large_systems_of_media_are_solved_by_iteration():
    n = math.isqrt(LARGEST_DENSE) + 6
    grid = kt.pde.Grid((n, n), boundary=WALL)
    x, y = grid.points()
    k = 4.0 + torch.sin(x)
    exact = torch.sin(math.pi * x) * torch.sin(2 * math.pi * y)
    h = grid.spacing[0]
    symbol = 4 / h**2 * (math.sin(math.pi * h / 2) ** 2 + math.sin(math.pi * h) ** 2)  # of the differences
    u = kt.solve(kt.pde.Helmholtz(k).problem(grid, (symbol - k**2) * exact), rtol=1e-10).y1
    assert relative_error(u, exact) < 1e-8


def reflection(n, width, k=10.0, centring="cell"):
    """Of a wave in the open part: what runs to the left, over what runs to the right."""
    grid = kt.pde.Grid(n, 1.0 + width, centring, boundary=(kt.pde.Dirichlet(1.0), WALL))
    u = kt.solve(kt.pde.Helmholtz(k, absorbing=((0.0, width),)).problem(grid)).y1
    h = grid.spacing[0]
    x = grid.points()[0]
    kh = 2.0 / h * math.asin(k * h / 2.0)  # the wave number of the differences
    open_part = x < 1.0
    both = torch.stack([torch.exp(1j * kh * x), torch.exp(-1j * kh * x)], -1)[open_part]
    amplitudes = torch.linalg.lstsq(both, u[open_part].unsqueeze(-1)).solution
    assert relative_error(both @ amplitudes, u[open_part].unsqueeze(-1)) < 1e-9
    return float((amplitudes[1] / amplitudes[0]).abs())


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_a_layer_reflects_less_than_a_thousandth(centring):
    assert reflection(200, 0.6, centring=centring) < 1e-3
    assert reflection(200, 0.01, centring=centring) > 1e-2  # one that is too thin


def test_a_wave_leaves_with_order_two():
    counts, errors = (100, 200, 400), []
    for n in counts:
        grid = kt.pde.Grid(n, 2.0, boundary=(kt.pde.Dirichlet(1.0), WALL))
        u = kt.solve(kt.pde.Helmholtz(10.0, absorbing=((0.0, 1.0),)).problem(grid)).y1
        x = grid.points()[0]
        assert u.dtype == torch.complex128
        errors.append(relative_error(u[x < 1], torch.exp(10j * x[x < 1])))
    assert slopes_of(errors, counts) == pytest.approx([2.0, 2.0], abs=0.15)


def test_layers_around_a_source_stand_for_open_space():
    """The same source, with the layers farther away."""
    found = []
    for cells, width in ((48, 1.2), (64, 1.6)):
        grid = kt.pde.Grid((cells, cells), cells / 20, boundary=WALL)
        x = grid.points() - 0.5 * cells / 20
        source = torch.exp(-((x[0] - 0.1) ** 2 + x[1] ** 2) / 0.02)
        sol = kt.solve(kt.pde.Helmholtz(6.0, absorbing=0.7 if width == 1.2 else 1.0).problem(grid, source), rtol=1e-8)
        cut = (cells - 16) // 2
        found.append(sol.y1[cut:-cut, cut:-cut])
    assert relative_error(found[0], found[1]) < 1e-2


@pytest.mark.parametrize("layers", [False, True])
def test_gradients_to_the_wave_number_the_source_and_the_boundary(layers):
    x = torch.arange(30, dtype=F64)
    k, f, g = 3.0 + torch.sin(x).reshape(6, 5), torch.cos(x).reshape(6, 5), torch.linspace(0.5, 1.0, 5, dtype=F64)

    def loss(k, f, g):
        grid = kt.pde.Grid((6, 5), boundary=((kt.pde.Dirichlet(g), kt.pde.Robin(1.0, 1.0)), kt.pde.Neumann(0.1)))
        widths = ((0.0, 0.4), 0.0) if layers else 0.0
        u = kt.solve(kt.pde.Helmholtz(k, widths).problem(grid, f)).y1
        part = u.real + 0.5 * u.imag if layers else u
        return (part**3).sum() + (part * torch.sin(x).reshape(6, 5)).sum()

    for ask, at in ((lambda k: loss(k, f, g), k), (lambda f: loss(k, f, g), f), (lambda g: loss(k, f, g), g)):
        assert relative_error(gradient(ask, at), difference(ask, at)) < 1e-6


def test_resonance_is_told():
    grid = kt.pde.Grid(16, boundary=WALL)
    k = 2 / grid.spacing[0] * math.sin(math.pi * grid.spacing[0] / 2)
    with pytest.raises(kt.SolveError, match="SINGULAR"):
        kt.solve(kt.pde.Helmholtz(k).problem(grid, lambda x: torch.sin(math.pi * x[0])))


def test_what_does_not_fit_is_refused():
    grid = kt.pde.Grid((8, 8), boundary=(kt.pde.Periodic(), WALL))
    for absorbing, words in (
        ((0.1,), "one for each of the 2 axes"),
        ((0.1, 0.1), "axis 0 is periodic"),
        ((0.0, -1.0), "width of at least 0"),
        ((0.0, 0.5), "leaves nothing"),
    ):
        with pytest.raises(ValueError, match=words):
            kt.pde.Helmholtz(3.0, absorbing).problem(grid)
    with pytest.raises(ValueError, match="wavenumber must be a finite number"):
        kt.pde.Helmholtz(math.nan).problem(grid)
    with pytest.raises(ValueError, match="wavenumber must have the shape"):
        kt.pde.Helmholtz(torch.ones(7, 8)).problem(grid)


def test_wavenumbers_are_real():
    for k in (1j, torch.tensor(1.0 + 1.0j), torch.full((8,), 1j)):
        with pytest.raises(TypeError, match="wavenumber must be real; got"):
            kt.pde.Helmholtz(k).problem(kt.pde.Grid(8, boundary=kt.pde.Dirichlet()), 1.0)


def test_gradients_to_data_at_nodes_of_waves_that_leave():
    """There the solution is complex, and ends at the boundary's values."""

    def size(g):
        grid = kt.pde.Grid(9, boundary=(kt.pde.Dirichlet(g), kt.pde.Dirichlet()), centring="node")
        return kt.solve(kt.pde.Helmholtz(10.0, absorbing=((0.0, 0.3),)).problem(grid)).y1.abs().square().sum()

    assert torch.autograd.gradcheck(size, torch.tensor(0.7, dtype=F64, requires_grad=True), rtol=1e-6)
