"""Cahn and Hilliard: mass, energy, fronts, orders, gradients."""

import itertools
import math
from functools import cache

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import SIDES, by_schemes, ends, gradient_error, profile, temporal_order
from tests.pde.equations._orders import ACCURACIES, PLACES, THREE, WALLS, assert_order, fulfilling, some_waves

P = kt.pde
SCHEMES = by_schemes(2)


def noise(*shape):
    return 0.2 + 0.5 * torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(0))


def energy(u, grid, width):
    waves = P.PseudoSpectral(1.0).on(grid).like(u)
    slopes = [
        waves.leave(slope) if grid.periodic else P.derivative(u, grid, 0) for slope in waves.gradient(waves.enter(u))
    ]
    return float(((u**2 - 1) ** 2 / 4 + width**2 / 2 * sum(slope**2 for slope in slopes)).mean())


@SCHEMES
@pytest.mark.parametrize("kind", ["periodic", "Neumann"])
def test_mass_stays_and_energy_falls(kind, scheme):
    grid, width = P.Grid(32, 2 * math.pi, boundary=SIDES[kind]), 0.4
    u0 = noise(32)
    problem = P.CahnHilliard(width).problem(grid, u0, (0.0, 2.0), scheme)
    times = torch.linspace(0.25, 2.0, 8, dtype=F64)
    waves = isinstance(scheme, P.PseudoSpectral)
    sol = kt.solve(
        problem, kt.ETDRK4() if waves else kt.ROCK4(), controller=kt.Fixed(0.01) if waves else None, save_at=times
    )
    assert float((sol.ys.mean(-1) - u0.mean()).abs().max()) < 1e-12
    found = [energy(u, grid, width) for u in sol.ys]
    assert all(after < before for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("kind", ["periodic", "Neumann"])
def test_mass_stays_where_the_mobility_varies(kind, centring):
    """And energy falls; at nodes on walls a cell is half as large."""
    grid = P.Grid((16, 12), 2.0, boundary=SIDES[kind], centring=None if kind == "periodic" else centring)
    mobility = 10 ** (-2 * torch.rand(16, 12, dtype=F64, generator=torch.Generator().manual_seed(1)))
    problem = P.CahnHilliard(0.2, mobility).problem(grid, noise(16, 12), (0.0, 0.05))
    assert isinstance(problem.scheme, P.FiniteDifference)
    sol = kt.solve(problem)
    ones = torch.ones(16, 12, dtype=F64)
    if kind == "Neumann" and centring == "node":
        for edge in (ones[0], ones[-1], ones[:, 0], ones[:, -1]):
            edge *= 0.5
    mass, change = (ones * problem.u0).sum(), (ones * (sol.y1 - problem.u0)).sum()
    assert float((sol.y1 - problem.u0).abs().max()) > 0.1
    assert float(change.abs()) < 1e-12 * float(mass)


def front(x, width):
    return torch.tanh(x / (math.sqrt(2.0) * width))


def test_a_mixture_comes_to_rest_as_a_front():
    grid = P.Grid(65, 4.0, "node", boundary=P.Neumann(), origin=-2.0)
    problem = P.CahnHilliard(0.25).problem(grid, torch.tanh(2 * grid.points()[0]), (0.0, 6.0), P.PseudoSpectral())
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.02))
    assert float((sol.y1 - front(grid.points()[0], 0.25)).abs().max()) < 2e-3


def test_a_front_stays():
    grid = P.Grid(48, 4.0, boundary=P.Neumann(), origin=-2.0)
    u = front(grid.points()[0], 0.25)
    sol = kt.solve(P.CahnHilliard(0.25).problem(grid, u, (0.0, 0.1), P.FiniteDifference(6)), kt.ROCK4())
    assert float((sol.y1 - u).abs().max()) < 1e-3


@cache
def at_rest(kind):
    """States with a chemical potential that has the conditions of the walls, too."""

    def potential(ops, u):
        return u**3 - u - ops.laplacian(u)

    return [fulfilling(potential, kind, waves) for waves in some_waves(means=(0.0,), sizes=(0.04, 0.02, 0.01))]


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    options = {"states": at_rest(kind), "counts": THREE} if kind in WALLS else {}
    assert_order(accuracy, P.CahnHilliard(1.0), kind, P.FiniteDifference(accuracy), centring, **options)


@pytest.mark.parametrize("kind", list(SIDES))
@pytest.mark.parametrize(("method", "order"), [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4)], ids=["ETDRK2", "ETDRK4"])
def test_orders_in_time(method, order, kind):
    grid = P.Grid(16, 2 * math.pi if kind == "periodic" else math.pi, boundary=SIDES[kind])
    u0 = profile(kind, grid.points()[0] / grid.length[0])
    problem = P.CahnHilliard(0.5).problem(grid, u0, (0.0, 0.2), P.PseudoSpectral())
    assert temporal_order(problem, method, 64) == pytest.approx(order, abs=0.15)


@SCHEMES
@pytest.mark.parametrize("kind", ["periodic", "Neumann"])
def test_the_same_everywhere_stays(kind, scheme):
    grid = P.Grid((8, 6), boundary=SIDES[kind])
    u0 = torch.tensor([0.3, -1.4], dtype=F64)[:, None, None].expand(2, 8, 6)
    sol = kt.solve(P.CahnHilliard(0.3).problem(grid, u0, (0.0, 0.01), scheme))
    assert torch.allclose(sol.y1, u0, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("kind", list(SIDES))
@SCHEMES
def test_gradients(scheme, kind):
    u0 = profile(kind, P.Grid(6, boundary=SIDES[kind]).points()[0])
    few = {"scheme": scheme, "end": 2e-3}
    assert gradient_error(ends(P.CahnHilliard(0.2), kind, **few), u0) < 1e-6
    of_coefficients = lambda c: ends(P.CahnHilliard(c[0], c[1]), kind, **few)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor([0.2, 0.8], dtype=F64)) < 1e-6


def test_a_wall_that_prefers_a_phase():
    """A slope at the walls draws one phase to them, and the mean still stays."""
    grid = P.Grid(16, 2.0, boundary=P.Neumann(0.5))
    sol = kt.solve(P.CahnHilliard(0.2).problem(grid, torch.zeros(16, dtype=F64), (0.0, 0.1)), kt.ROCK4(), rtol=1e-6)
    assert sol.y1[0] > sol.y1[8] and sol.y1[-1] > sol.y1[8]
    assert abs(float(sol.y1.mean())) < 1e-12


def test_what_no_field_shows_does_not_grow():
    """Long waves grow by exp(t / 4); so would what the two halves of a plane of coefficients differ by."""
    grid = kt.pde.Grid((16, 16), 25.0)
    noise = torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    problem = kt.pde.CahnHilliard(1.0).problem(grid, 0.1 * noise, (0.0, 300.0))
    y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5)).y1
    assert float(y1.abs().max()) < 1.2
