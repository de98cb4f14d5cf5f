"""A neural ODE on the handwritten digits of scikit-learn, in float64.

f(t, y) = tanh(W2 [tanh(W1 [y, t] + b1), t] + b2),  y(0) = pixels,  t in [0, 1],  logits = W3 y(1) + b3
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import kutta as kt
from benchmarks._penalised import Pressure, Run, Way, added, pressure, watched
from kutta import regularizers

TOLERANCE = 1.4e-8
SPAN = (0.0, 1.0)
BATCH, RATE, WIDTH = 128, 1e-2, 64

SCORE, FACTOR = "%", 100.0
LOCAL = (0.1, 0.3, 1.0)
COEFFICIENTS = {
    "TayNODE, K = 2": (0.1, 1.0, 10.0),
    "RNODE": (0.3, 3.0, 30.0),
    "ER": (0.03, 0.1, 0.3),
    "SR": (0.001, 0.01, 0.1),
    "ER + SR": (0.03, 0.1, 0.3),
    "STEER + ER": (0.03, 0.1, 0.3),
    "local ER, unbiased": LOCAL,
    "local ER, through the state": LOCAL,
    "local ER, published": (1e4, 1e6, 1e8),
    # One for all adjoints, where the right-hand side is the same.
    "local ER, Recompute": (0.3,),
    "local ER, Interpolating": (0.3,),
    "local ER, Gauss": (0.3,),
    "local ER, Backsolve": (0.3,),
}


def acceptable(score: float, vanilla: float) -> bool:
    """At most one point of accuracy less."""
    return score >= vanilla - 0.01


def loss(score: float) -> float:
    """The share of errors."""
    return 1.0 - score


class Part(NamedTuple):
    """Images and labels."""

    pixels: Tensor
    labels: Tensor


def parts(validation: int = 240, test: int = 360) -> tuple[Part, Part, Part]:
    """Images to train on, to choose coefficients by, and to test on; always the same ones."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(data.data / 16.0)[order]
    labels = torch.from_numpy(data.target)[order]
    edges = (0, len(labels) - validation - test, len(labels) - test, len(labels))
    train, chosen, tested = (Part(pixels[a:b], labels[a:b]) for a, b in itertools.pairwise(edges))
    return train, chosen, tested


class Classifier(nn.Module):
    """The flow and its read-out."""

    def __init__(self, seed: int, tolerance: float = TOLERANCE):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(65, WIDTH), nn.Linear(WIDTH + 1, 64)
            self.last = nn.Linear(64, 10)
        self.double()
        self.tolerance = tolerance

    def flow(self, t: Tensor, y: Tensor) -> Tensor:
        """The right-hand side."""
        time = t.expand(*y.shape[:-1], 1)
        hidden = torch.tanh(self.first(torch.cat([y, time], dim=-1)))
        return torch.tanh(self.second(torch.cat([hidden, time], dim=-1)))

    def solve(self, pixels: Tensor, span: tuple[float, float] = SPAN, **options: Any) -> kt.Solution:
        """The flow from the pixels on."""
        problem = kt.ODEProblem(self.flow, pixels, span)
        return kt.solve(problem, kt.Tsit5(), rtol=self.tolerance, atol=self.tolerance, **options)


def train(way: Way, coefficient: float, seed: int, iterations: int, tolerance: float = TOLERANCE) -> Run:
    """Train a classifier and look at it. The loop is bare, so that its time is that of the solves."""
    data, chosen, tested = parts()
    model = Classifier(seed, tolerance)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    penalties = way.penalties(generator)
    start = time.perf_counter()
    for _ in range(iterations):
        rows = torch.randint(len(data.labels), (BATCH,), generator=generator)
        span = regularizers.Steer(0.5).span(SPAN, generator) if way.steer else SPAN
        sol = model.solve(data.pixels[rows], span, penalties=watched(penalties), adjoint=way.adjoint)
        error = functional.cross_entropy(model.last(sol.y1), data.labels[rows]) + added(penalties, sol, coefficient)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    return _look_at(model, coefficient, seed, seconds, chosen, tested)


@torch.no_grad()
def _look_at(model: Classifier, coefficient: float, seed: int, seconds: float, chosen: Part, tested: Part) -> Run:
    accuracies, calls = [], []
    for part in (chosen, tested):
        sol = model.solve(part.pixels, penalties={"steps": Pressure()})
        accuracies.append(float((model.last(sol.y1).argmax(dim=-1) == part.labels).double().mean()))
        calls.append(int(sol.stats.function_evaluations))
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    return Run(weights, coefficient, seed, *accuracies, *calls, int(sol.stats.steps), seconds, pressure(sol))


def predictor(weights: dict[str, Tensor]) -> tuple[Callable[[], Tensor], int]:
    """A function that classifies a batch of test images, and the calls of the right-hand side in it."""
    model, pixels = Classifier(0), parts()[2].pixels[:BATCH]
    model.load_state_dict(weights)

    @torch.no_grad()
    def predict() -> Tensor:
        return model.last(model.solve(pixels).y1)

    with torch.no_grad():
        return predict, int(model.solve(pixels).stats.function_evaluations)
