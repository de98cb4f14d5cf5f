"""Allen and Cahn: fronts, energy, reaction alone, orders, gradients."""

import itertools
import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import SIDES, by_schemes, ends, gradient_error, ordinary, profile, temporal_order
from tests.pde.equations._orders import ACCURACIES, CENTRINGS, PLACES, assert_order

P = kt.pde
ROOT2 = math.sqrt(2.0)


def front(x, width):
    return torch.tanh(x / (ROOT2 * width))


def wall(kind, place, outward):
    """A condition that a front of width 1/2 fulfils."""
    u = float(front(torch.tensor(place, dtype=F64), 0.5))
    slope = outward * (1 - u**2) / ROOT2 / 0.5
    return {"Dirichlet": P.Dirichlet(u), "Neumann": P.Neumann(slope), "Robin": P.Robin(1.0, 0.5, u + 0.5 * slope)}[kind]


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("kind", ["Dirichlet", "Neumann", "Robin"])
def test_a_front_at_rest_between_walls(kind, centring):
    walls = (wall(kind, -1.0, -1.0), wall(kind, 1.2, 1.0))
    grid = P.Grid(60, 2.2, centring, boundary=walls, origin=-1.0)
    u = front(grid.points()[0], 0.5)
    problem = P.AllenCahn(0.5).problem(grid, u, (0.0, 1.0), P.FiniteDifference(6))
    found = kt.solve(problem, kt.ROCK4(), rtol=1e-8, atol=1e-10).y1
    assert torch.allclose(found, u, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    assert_order(accuracy, P.AllenCahn(0.3), kind, P.FiniteDifference(accuracy), centring)


@pytest.mark.parametrize("kind", list(SIDES))
def test_waves_converge_faster_than_any_power(kind):
    def end(count):
        grid = P.Grid(count, 1.0, "periodic" if kind == "periodic" else "node", boundary=SIDES[kind])
        u0 = profile(kind, grid.points()[0], 1.5)
        problem = P.AllenCahn(0.1).problem(grid, u0, (0.0, 1.0), P.PseudoSpectral())
        return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.02)).y1[:: (count - (kind != "periodic")) // 16]

    add = 0 if kind == "periodic" else 1
    exact = end(128 + add)
    errors = [float((end(count + add) - exact).abs().max()) for count in (32, 64)]
    assert errors[1] < 1e-3 * errors[0] and errors[1] < 1e-6


@pytest.mark.parametrize("kind", list(SIDES))
@pytest.mark.parametrize(("method", "order"), [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4)], ids=["ETDRK2", "ETDRK4"])
def test_orders_in_time(method, order, kind):
    grid = P.Grid(16, 1.0, boundary=SIDES[kind])
    u0 = profile(kind, grid.points()[0])
    problem = P.AllenCahn(0.1).problem(grid, u0, (0.0, 1.0), P.PseudoSpectral())
    assert temporal_order(problem, method, 16) == pytest.approx(order, abs=0.15)


@by_schemes(2)
@pytest.mark.parametrize("kind", ["periodic", "Neumann"])
def test_the_same_everywhere_is_the_reaction_alone(kind, scheme):
    grid = P.Grid((4, 6), boundary=SIDES[kind])
    u0 = torch.tensor([0.3, -1.4], dtype=F64)
    fields = u0[:, None, None].expand(2, 4, 6)
    problem = P.AllenCahn(0.1, 2.0).problem(grid, fields, (0.0, 0.7), scheme)
    exact = u0 * math.exp(1.4) / torch.sqrt(1 + u0**2 * (math.exp(2.8) - 1))
    assert torch.allclose(ordinary(lambda t, u: 2 * (u - u**3), u0, 0.7), exact, rtol=0.0, atol=1e-9)
    found = kt.solve(problem, kt.Dopri8(), rtol=1e-10, atol=1e-12).y1
    assert torch.allclose(found, exact[:, None, None].expand(2, 4, 6), rtol=0.0, atol=1e-8)


def test_energy_falls():
    grid, width = P.Grid((32, 32), 2 * math.pi), 0.3
    noise = torch.randn(32, 32, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = P.AllenCahn(width).problem(grid, noise, (0.0, 4.0))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), save_at=torch.linspace(0.5, 4.0, 8, dtype=F64))
    waves = P.PseudoSpectral(1.0).on(grid).like(noise)

    def energy(u):
        slopes = [waves.leave(slope) for slope in waves.gradient(waves.enter(u))]
        return float(((u**2 - 1) ** 2 / 4 + width**2 / 2 * sum(slope**2 for slope in slopes)).mean())

    found = [energy(u) for u in sol.ys]
    assert all(after < before for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("kind", list(SIDES))
@by_schemes(4)
def test_gradients(kind, scheme):
    u0 = profile(kind, P.Grid(6, boundary=SIDES[kind]).points()[0])
    assert gradient_error(ends(P.AllenCahn(0.05), kind, scheme=scheme), u0) < 1e-6
    of_coefficients = lambda c: ends(P.AllenCahn(c[0], c[1]), kind, scheme=scheme)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor([0.05, 1.3], dtype=F64)) < 1e-6


def test_gradients_to_the_values_at_the_walls():
    def end(g):
        grid = P.Grid(8, 1.0, boundary=(P.Dirichlet(g[0]), P.Neumann(g[1])))
        problem = P.AllenCahn(0.1).problem(grid, torch.zeros(8, dtype=F64), (0.0, 0.2))
        return kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.05)).y1

    assert gradient_error(end, torch.tensor([0.7, -0.3], dtype=F64)) < 1e-6


def test_a_constant_has_no_sines():
    grid = P.Grid(16, boundary=P.Dirichlet(1.0))
    with pytest.raises(ValueError, match="PseudoSpectral needs axes"):
        kt.solve(P.AllenCahn().problem(grid, torch.ones(16), (0.0, 1.0), P.PseudoSpectral()))


@pytest.mark.parametrize("method", [kt.RK4(), kt.ETDRK4()], ids=["explicit", "exponential"])
@pytest.mark.parametrize("count", [16, 15])
def test_a_width_at_the_points_is_like_a_number(method, count):
    """For all waves, also for those that take no part in products: the shortest grows where it does not spread."""
    grid = P.Grid(count)
    u0 = 1e-3 * torch.randn(count, dtype=F64, generator=torch.Generator().manual_seed(0))
    ends = []
    for width in (0.05, torch.full((count,), 0.05, dtype=F64)):
        problem = P.AllenCahn(width).problem(grid, u0, (0.0, 2.0), P.PseudoSpectral())
        ends.append(kt.solve(problem, method, controller=kt.Fixed(0.02)).y1)
    assert torch.allclose(ends[0], ends[1], rtol=0.0, atol=1e-12)
    if count % 2 == 0:
        highest = torch.cos(math.pi * torch.arange(count, dtype=F64))
        decay = math.exp(2.0 * (1.0 - (0.05 * math.pi * count) ** 2))
        assert float((ends[1] * highest).mean()) == pytest.approx(decay * float((u0 * highest).mean()), rel=1e-2)


def test_waves_converge_faster_than_any_power_where_the_width_varies():
    def end(count):
        grid = P.Grid(count)
        x = 2 * math.pi * grid.points()[0]
        problem = P.AllenCahn(0.1 + 0.03 * torch.cos(x)).problem(
            grid, torch.exp(torch.sin(x)) - 1, (0.0, 0.25), P.PseudoSpectral()
        )
        return kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.0025)).y1[:: count // 16]

    exact = end(96)
    errors = [float((end(count) - exact).abs().max()) for count in (16, 32, 48)]
    assert errors[1] < 0.02 * errors[0] and errors[2] < 0.02 * errors[1]  # the orders 6 and 10
