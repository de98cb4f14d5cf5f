"""Korteweg and de Vries: a wave that only moves."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import ends, gradient_error, profile
from tests.pde.equations._orders import ACCURACIES, assert_order

P = kt.pde
SPEED, PLACE = 2.0, 20.0


def soliton(x, t=0.0):
    return SPEED / 2 / torch.cosh(math.sqrt(SPEED) / 2 * (x[0] - SPEED * t - PLACE)) ** 2


def error(method, steps, count=512, scheme=None, end=2.0):
    grid = P.Grid(count, 60.0)
    problem = P.KortewegDeVries().problem(grid, soliton, (0.0, end), scheme)
    exact = soliton(grid.points(), end)
    return float((kt.solve(problem, method, controller=kt.Fixed(end / steps)).y1 - exact).norm() / exact.norm())


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        (kt.ETDRK4(), {200: 7.99e-7, 400: 4.06e-8, 800: 2.48e-9, 1600: 1.53e-10}),
        (kt.ETDRK2(), {400: 3.10e-4, 800: 7.65e-5, 1600: 1.90e-5}),
        pytest.param(kt.ETD1(), {1600: 6.37e-3, 3200: 3.17e-3, 6400: 1.58e-3}, marks=pytest.mark.slow),
    ],
    ids=["ETDRK4", "ETDRK2", "ETD1"],
)
def test_the_errors_that_others_found(method, wanted):
    for steps, value in wanted.items():
        assert error(method, steps) == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_orders_in_space(accuracy):
    assert_order(accuracy, P.KortewegDeVries(6.0, 0.01), "periodic", P.FiniteDifference(accuracy))


def test_a_wave_moves_in_differences():
    assert error(kt.RK4(), 200, 420, P.FiniteDifference(6), 0.1) < 1e-4


def test_mass_and_momentum_stay():
    grid = P.Grid(128, 60.0)
    u0 = torch.exp(-((grid.points()[0] - 30.0) ** 2) / 9)
    u1 = kt.solve(P.KortewegDeVries().problem(grid, u0, (0.0, 2.0)), kt.ETDRK4(), controller=kt.Fixed(0.005)).y1
    assert float((u1.mean() - u0.mean()).abs()) < 1e-14
    assert float(((u1**2).mean() / (u0**2).mean() - 1).abs()) < 1e-6


def test_gradients():
    u0 = profile("periodic", P.Grid(8).points()[0])
    few = {"count": 8, "end": 1e-3}
    assert gradient_error(ends(P.KortewegDeVries(), **few), u0) < 1e-6
    of_coefficients = lambda c: ends(P.KortewegDeVries(c[0], c[1]), **few)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor([6.0, 1.0], dtype=F64)) < 1e-6


def test_what_is_refused():
    with pytest.raises(ValueError, match="KortewegDeVries is an equation in 1 dimensions; got a grid of 2"):
        P.KortewegDeVries().problem(P.Grid((8, 8)), torch.zeros(8, 8), (0.0, 1.0))
    with pytest.raises(ValueError, match="KortewegDeVries needs a periodic axis"):
        P.KortewegDeVries().problem(P.Grid(16, boundary=P.Neumann()), torch.zeros(16), (0.0, 1.0))
