"""A latent ODE on generated series: pendulums of unknown rates, observed now and then, with noise.

    angle'' = -rate^2 sin(angle) - friction angle'        x = (sin(angle), cos(angle), angle' / 3) + noise

Each series has a rate and a friction of its own, and misses six of ten values.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import kutta as kt
from benchmarks._penalised import Pressure, Run, Way, added, pressure, watched

TOLERANCE = 1e-6
POINTS, SPAN, NOISE, SEEN = 50, 4.0, 0.05, 0.4
SERIES, BATCH, RATE = 400, 64, 1e-2
LATENT, HIDDEN, DEVIATION = 6, 30, 0.1

SCORE, FACTOR = "error, 1e-2", 100.0
ERRORS = (0.01, 0.03, 0.1, 0.3)
COEFFICIENTS = {
    "TayNODE, K = 2": (0.01, 0.1, 1.0, 10.0),
    "RNODE": (0.01, 0.1, 1.0),
    "ER": ERRORS,
    "SR": (0.1, 1.0, 10.0),
    "ER + SR": ERRORS,
    "STEER + ER": ERRORS,
    "local ER, unbiased": (0.001, 0.003, *ERRORS),
    "local ER, published": (1e2, 1e4, 1e6),
}


def acceptable(score: float, vanilla: float) -> bool:
    """At most a tenth more error."""
    return score <= 1.1 * vanilla


def loss(score: float) -> float:
    """The error itself."""
    return score


class Series(NamedTuple):
    """Observations, and what was observed.

    Attributes:
        values: with noise, ``(B, T, 3)``.
        mask: which of them a model is shown.
        truth: without noise.
    """

    values: Tensor
    mask: Tensor
    truth: Tensor


def moments() -> Tensor:
    """The irregular times, common to all series."""
    generator = torch.Generator().manual_seed(99)
    times = SPAN * torch.rand(POINTS, generator=generator, dtype=torch.float64)
    times[0] = 0.0
    return times.sort().values


def series(count: int, seed: int) -> Series:
    """Some pendulums."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)

    y0 = torch.stack([uniform(-2.5, 2.5), uniform(-1.0, 1.0)], dim=1)
    rates = (uniform(1.5, 3.0), uniform(0.05, 0.3))
    problem = kt.EnsembleProblem(_pendulum, y0, (0.0, SPAN), rates, vectorized=True)
    angle, speed = kt.solve(problem, rtol=1e-8, atol=1e-8, save_at=moments()).ys.transpose(0, 1).unbind(-1)
    truth = torch.stack([angle.sin(), angle.cos(), speed / 3.0], dim=-1)
    values = truth + NOISE * torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    return Series(values, torch.rand(truth.shape, generator=generator) < SEEN, truth)


def _pendulum(t: Tensor, y: Tensor, rate: Tensor, friction: Tensor) -> Tensor:
    angle, speed = y.unbind(-1)
    return torch.stack([speed, -(rate**2) * angle.sin() - friction * speed], dim=-1)


def model_of(seed: int, steer: bool = False) -> kt.models.LatentODE:
    """A latent ODE with initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, LATENT)]
        decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 3))
        model = kt.models.LatentODE(
            kt.models.RecurrentEncoder(3, LATENT, HIDDEN),
            nn.Sequential(*layers),
            decoder,
            deviation=DEVIATION,
            steer=steer,
            generator=torch.Generator().manual_seed(seed),
            rtol=TOLERANCE,
            atol=TOLERANCE,
        )
    return model.double()


def train(way: Way, coefficient: float, seed: int, iterations: int) -> Run:
    """Train a model and look at it. The loop is bare, so that its time is that of the solves."""
    data, model, times = series(SERIES, seed=0), model_of(seed, way.steer), moments()
    optimizer = torch.optim.Adamax(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    penalties = way.penalties(generator)
    start = time.perf_counter()
    for step in range(iterations):
        rows = torch.randint(SERIES, (BATCH,), generator=generator)
        values, mask = data.values[rows], data.mask[rows]
        path = model(times, values, mask, penalties=watched(penalties), adjoint=way.adjoint)
        # The divergence comes in slowly, so that the start is used before it is held back.
        bound = model.evidence(path, values, mask, weight=1.0 - 0.99**step).sum() / mask.sum()
        error = added(penalties, path.solution, coefficient) - bound
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    return _look_at(model, coefficient, seed, time.perf_counter() - start)


@torch.no_grad()
def _look_at(model: Any, coefficient: float, seed: int, seconds: float) -> Run:
    model.eval()
    errors, calls = [], []
    for number in (1, 2):
        data = series(100, seed=number)
        path = model(moments(), data.values, data.mask, penalties={"steps": Pressure()})
        errors.append(float((path.prediction - data.truth).square().mean()))
        calls.append(int(path.solution.stats.function_evaluations))
    weights, sol = {name: value.clone() for name, value in model.state_dict().items()}, path.solution
    return Run(weights, coefficient, seed, *errors, *calls, int(sol.stats.steps), seconds, pressure(sol))


def predictor(weights: dict[str, Tensor]) -> tuple[Callable[[], Tensor], int]:
    """A function that solves for the test series from known starts, and the calls of the right-hand side in it."""
    model, data, times = model_of(0).eval(), series(100, seed=2), moments()
    model.load_state_dict(weights)
    with torch.no_grad():
        start = model.encoder(times, data.values, data.mask).mean

    @torch.no_grad()
    def solve() -> kt.Solution:
        return model.flow(start, t_span=(0.0, float(times[-1])), save_at=times)

    return lambda: solve().ys, int(solve().stats.function_evaluations)
