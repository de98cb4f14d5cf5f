"""Gray and Scott: reaction alone, orders, walls of a reservoir, gradients."""

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
FAST = P.GrayScott(0.3, 0.2, (0.02, 0.01))


def start(kind, grid):
    v = profile(kind, grid.points()[0], 0.5)
    return torch.stack([1 - v, v])


def reaction(feed, kill):
    def f(t, y):
        u, v = y
        return torch.stack([feed * (1 - u) - u * v**2, u * v**2 - (feed + kill) * v])

    return f


@SCHEMES
@pytest.mark.parametrize("kind", CLOSED)
def test_the_same_everywhere_is_the_reaction_alone(kind, scheme):
    grid, y0 = P.Grid((8, 6), boundary=SIDES[kind]), torch.tensor([0.6, 0.5], dtype=F64)
    problem = P.GrayScott(0.1, 0.05).problem(grid, y0[:, None, None].expand(2, 8, 6), (0.0, 8.0), scheme)
    wanted = ordinary(reaction(0.1, 0.05), y0, 8.0)[:, None, None].expand(2, 8, 6)
    assert torch.allclose(kt.solve(problem, kt.Tsit5(), rtol=1e-8).y1, wanted, rtol=0.0, atol=1e-7)
    errors = [
        float((kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(8.0 / n)).y1 - wanted).abs().max()) for n in (16, 32)
    ]
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.15)


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    equation, scheme = P.GrayScott(0.04, 0.06, (0.1, 0.05)), P.FiniteDifference(accuracy)
    assert_order(accuracy, equation, kind, scheme, centring, means=(0.5, 0.9))


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize(("method", "order"), [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4)], ids=["ETDRK2", "ETDRK4"])
def test_orders_in_time(method, order, kind):
    grid = P.Grid(16, 1.0, boundary=SIDES[kind])
    problem = FAST.problem(grid, start(kind, grid), (0.0, 4.0), P.PseudoSpectral())
    assert temporal_order(problem, method, 32) == pytest.approx(order, abs=0.15)


def test_walls_of_a_reservoir():
    """Each component has values of its own at the walls; at rest there is only what is fed."""
    reservoir = P.Dirichlet(torch.tensor([1.0, 0.0], dtype=F64))
    grid = P.Grid(32, 0.5, boundary=reservoir)
    rest = torch.stack([torch.ones(32), torch.zeros(32)]).to(F64)
    kept = kt.solve(P.GrayScott().problem(grid, rest, (0.0, 10.0))).y1
    assert torch.allclose(kept, rest, rtol=0.0, atol=1e-14)
    starved = torch.stack([torch.full((32,), 0.2), torch.zeros(32)]).to(F64)
    u = kt.solve(P.GrayScott(0.0).problem(grid, starved, (0.0, 500.0))).y1[0]
    decay = torch.exp(
        torch.tensor(-2e-5 * (torch.pi / 0.5) ** 2 * 500.0)
    )  # of the longest sine, which is all that is left
    others = torch.exp(torch.tensor(-2e-5 * (3 * torch.pi / 0.5) ** 2 * 500.0))
    x = torch.pi * grid.points()[0] / 0.5
    exact = 1 - 0.8 * 4 / torch.pi * (decay * torch.sin(x) + others / 3 * torch.sin(3 * x))
    assert float((u - exact).abs().max()) < 0.08


def test_a_batch_shares_its_steps():
    grid = P.Grid(16, 1.0)
    many = torch.stack([start("periodic", grid), 0.5 * start("periodic", grid)])

    def end(u0):
        return kt.solve(FAST.problem(grid, u0, (0.0, 1.0)), kt.ETDRK4(), controller=kt.Fixed(0.1)).y1

    assert torch.allclose(end(many), torch.stack([end(one) for one in many]), rtol=0.0, atol=1e-14)


@SCHEMES
@pytest.mark.parametrize("kind", CLOSED)
def test_gradients(kind, scheme):
    u0 = start(kind, P.Grid(6, boundary=SIDES[kind]))
    assert gradient_error(ends(FAST, kind, scheme=scheme), u0) < 1e-6
    of_coefficients = lambda c: ends(P.GrayScott(c[0], c[1], (c[2], c[3])), kind, scheme=scheme)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor([0.3, 0.2, 0.02, 0.01], dtype=F64)) < 1e-6


def test_a_reservoir_needs_one_value_for_each_substance():
    """The state ``(1, 0)`` at rest, which the sides hold."""
    rest = torch.tensor([1.0, 0.0], dtype=F64)
    grid = P.Grid((6, 5), boundary=P.Dirichlet(rest[:, None]))
    u0 = rest[:, None, None].expand(2, 6, 5)
    y1 = kt.solve(P.GrayScott().problem(grid, u0, (0.0, 1.0)), kt.Tsit5()).y1
    assert torch.allclose(y1, u0, rtol=0.0, atol=1e-12)


def test_what_is_refused():
    with pytest.raises(ValueError, match="diffusivities must be two, of u and of v"):
        P.GrayScott(diffusivities=(1.0,))
    with pytest.raises(ValueError, match="with 2 components u, v"):
        P.GrayScott().problem(P.Grid((8, 8)), torch.zeros(8, 8), (0.0, 1.0))
