"""The Brusselator: reaction alone, sources, orders, gradients."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import (
    CLOSED,
    SIDES,
    by_schemes,
    ends,
    gradient_error,
    ordinary,
    profile,
    temporal_order,
)
from tests.pde.equations._orders import ACCURACIES, PLACES, assert_order

P = kt.pde
SCHEMES = by_schemes(4)


def start(kind, grid):
    u = profile(kind, grid.points()[0])
    return torch.stack([u, 2 - u])


def reaction(a, b, source=0.0):
    def f(t, y):
        u, v = y
        return torch.stack([b + u**2 * v - (a + 1) * u + source, a * u - u**2 * v])

    return f


@SCHEMES
@pytest.mark.parametrize("kind", CLOSED)
def test_the_same_everywhere_is_the_reaction_alone(kind, scheme):
    grid, y0 = P.Grid((8, 6), boundary=SIDES[kind]), torch.tensor([1.3, 2.1], dtype=F64)
    equation = P.Brusselator(diffusivity=0.01, source=0.4)
    problem = equation.problem(grid, y0[:, None, None].expand(2, 8, 6), (0.0, 1.0), scheme)
    wanted = ordinary(reaction(3.4, 1.0, 0.4), y0, 1.0)[:, None, None].expand(2, 8, 6)
    errors = [
        float((kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1.0 / n)).y1 - wanted).abs().max()) for n in (32, 64)
    ]
    assert errors[1] < 1e-4
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.15)


def test_the_rest_is_at_rest():
    problem = P.Brusselator(1.7, 1.2).problem(
        P.Grid(8), torch.tensor([1.2, 1.7 / 1.2])[:, None].expand(2, 8), (0.0, 1.0)
    )
    assert torch.allclose(kt.solve(problem).y1, problem.u0, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    equation, scheme = P.Brusselator(diffusivity=0.1), P.FiniteDifference(accuracy)
    assert_order(accuracy, equation, kind, scheme, centring, means=(0.5, 0.9))


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize(("method", "order"), [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4)], ids=["ETDRK2", "ETDRK4"])
def test_orders_in_time(method, order, kind):
    grid = P.Grid(16, 1.0, boundary=SIDES[kind])
    problem = P.Brusselator(diffusivity=0.05).problem(grid, start(kind, grid), (0.0, 0.5), P.PseudoSpectral())
    assert temporal_order(problem, method, 32) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("scheme", [P.FiniteDifference(2), P.PseudoSpectral(1.0)], ids=["differences", "waves"])
def test_a_source_of_place_and_time(scheme):
    """What a source adds in a short time is its integral."""
    grid, end = P.Grid((8, 8)), 1e-4

    def source(x, t):
        return 1e3 * (1 + torch.cos(2 * torch.pi * x[0])) * t / end

    u0 = torch.ones(2, 8, 8, dtype=F64)
    with_source, without = (
        kt.solve(
            P.Brusselator(source=one).problem(grid, u0, (0.0, end), scheme), kt.RK4(), controller=kt.Fixed(end / 4)
        )
        for one in (source, 0.0)
    )
    gained = with_source.y1 - without.y1
    assert torch.allclose(gained[0], source(grid.points(), end) * end / 2, rtol=2e-3, atol=1e-5)
    assert float(gained[1].abs().max()) < 1e-5


def test_it_becomes_a_clock_beyond_the_threshold():
    grid = P.Grid(8)
    ripple = 0.01 * torch.cos(2 * torch.pi * grid.points()[0])
    for a, grows in ((1.8, False), (2.2, True)):
        u0 = torch.stack([1.0 + ripple, a + 0.02 + 0 * ripple])
        y1 = kt.solve(P.Brusselator(a).problem(grid, u0, (0.0, 40.0)), kt.ETDRK4(), controller=kt.Fixed(0.1)).y1
        assert (float((y1[0] - 1).abs().max() + (y1[1] - a).abs().max()) > 0.1) is grows


@SCHEMES
@pytest.mark.parametrize("kind", CLOSED)
def test_gradients(kind, scheme):
    u0 = start(kind, P.Grid(6, boundary=SIDES[kind]))
    assert gradient_error(ends(P.Brusselator(diffusivity=0.01), kind, scheme=scheme), u0) < 1e-6
    of_coefficients = lambda c: ends(P.Brusselator(*c), kind, scheme=scheme)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor([3.4, 1.0, 0.01, 0.3], dtype=F64)) < 1e-6


def test_what_is_refused():
    with pytest.raises(ValueError, match="with 2 components u, v"):
        P.Brusselator().problem(P.Grid((8, 8)), torch.zeros(3, 8, 8), (0.0, 1.0))
