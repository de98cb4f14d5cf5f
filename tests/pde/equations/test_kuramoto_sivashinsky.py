"""Kuramoto and Sivashinsky: waves that grow and decay, statistics of chaos, orders, gradients."""

import math
from functools import cache

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import ends, gradient_error, profile, temporal_order
from tests.pde.equations._orders import ACCURACIES, PLACES, THREE, WALLS, Exact, assert_order, fulfilling, some_waves

P = kt.pde


@pytest.mark.parametrize("n", [1, 2, 4])
def test_small_waves_grow_or_decay_at_their_rate(n):
    grid = P.Grid(32, 16.0)
    k = 2 * math.pi * n / 16.0
    u0 = 1e-7 * torch.cos(k * grid.points()[0])
    problem = P.KuramotoSivashinsky().problem(grid, u0, (0.0, 2.0))
    found = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5)).y1
    assert torch.allclose(found, math.exp(2 * (k**2 - k**4)) * u0, rtol=0.0, atol=1e-12)


@pytest.mark.slow
def test_the_energy_of_chaos():
    """The mean of ``u^2`` for ``L = 100`` is about 1.7; here over ten runs at once."""
    grid, seed = P.Grid(128, 100.0), torch.Generator().manual_seed(0)
    x, phases = grid.points()[0], 2 * math.pi * torch.rand(10, 1, dtype=F64, generator=seed)
    u0 = torch.cos(2 * math.pi * x / 100 * 4 + phases) * (1 + torch.sin(2 * math.pi * x / 100 + 2 * phases))
    times = torch.arange(200.0, 1001.0, 5.0, dtype=F64)
    problem = P.KuramotoSivashinsky().problem(grid, u0, (0.0, 1000.0))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), save_at=times)
    assert float((sol.ys**2).mean()) == pytest.approx(1.7, rel=0.05)
    assert float((sol.y1.mean(-1) - u0.mean(-1)).abs().max()) < 1e-10


@cache
def at_rest(kind):
    """States with a curvature that has the conditions of the walls, too."""
    return [fulfilling(Exact.laplacian, kind, waves) for waves in some_waves(sizes=(0.2, 0.1, 0.05))]


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    options = {"states": at_rest(kind), "counts": THREE} if kind in WALLS else {}
    assert_order(accuracy, P.KuramotoSivashinsky(), kind, P.FiniteDifference(accuracy), centring, **options)


@pytest.mark.parametrize("dim", [1, 2])
def test_orders_in_time(dim):
    grid = P.Grid((16,) * dim, 16.0)
    start = lambda x: torch.cos(math.pi * x[0] / 8) + 0.3 * torch.sin(math.pi * x.sum(0) / 4)  # noqa: E731
    problem = P.KuramotoSivashinsky().problem(grid, start, (0.0, 1.0))
    for method, order in ((kt.ETDRK2(), 2), (kt.ETDRK4(), 4)):
        assert temporal_order(problem, method, 64) == pytest.approx(order, abs=0.15)


def test_the_slope_of_the_height_is_the_wave_of_one_dimension():
    plane, line = P.Grid((32, 4), (16.0, 16.0)), P.Grid(32, 16.0)
    k = math.pi / 8
    fixed = {"controller": kt.Fixed(0.05)}
    height = kt.solve(
        P.KuramotoSivashinsky().problem(plane, lambda x: torch.sin(k * x[0]) / k, (0.0, 3.0)), kt.ETDRK4(), **fixed
    ).y1
    wave = kt.solve(
        P.KuramotoSivashinsky().problem(line, lambda x: torch.cos(k * x[0]), (0.0, 3.0)), kt.ETDRK4(), **fixed
    )
    waves = P.PseudoSpectral(1.0).on(plane).like(height)
    slope = waves.leave(waves.derivative(waves.enter(height), 0))
    assert torch.allclose(slope[:, 0], wave.y1, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("scheme", [P.FiniteDifference(2), P.PseudoSpectral()], ids=["differences", "waves"])
def test_gradients(scheme):
    u0 = profile("periodic", P.Grid(6).points()[0])
    few = {"scheme": scheme, "end": 1e-4}
    assert gradient_error(ends(P.KuramotoSivashinsky(), **few), u0) < 1e-6
    of_coefficients = lambda c: ends(P.KuramotoSivashinsky(c), **few)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor(1.2, dtype=F64)) < 1e-6
