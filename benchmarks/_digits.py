"""A neural ODE on the handwritten digits of scikit-learn, trained with one penalty or another, in float64.

f(t, y) = tanh(W2 [tanh(W1 [y, t] + b1), t] + b2),  y(0) = pixels,  t in [0, 1],  logits = W3 y(1) + b3
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

import kutta as kt
from kutta import regularizers

TOLERANCE = 1.4e-8
SPAN = (0.0, 1.0)
BATCH, RATE, WIDTH = 128, 1e-2, 64


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

    def __init__(self, seed: int):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Linear(65, WIDTH), nn.Linear(WIDTH + 1, 64)
            self.last = nn.Linear(64, 10)
        self.double()

    def flow(self, t: Tensor, y: Tensor) -> Tensor:
        """The right-hand side."""
        time = t.expand(*y.shape[:-1], 1)
        hidden = torch.tanh(self.first(torch.cat([y, time], dim=-1)))
        return torch.tanh(self.second(torch.cat([hidden, time], dim=-1)))

    def solve(self, pixels: Tensor, span: tuple[float, float] = SPAN, **options: Any) -> kt.Solution:
        """The flow from the pixels on."""
        problem = kt.ODEProblem(self.flow, pixels, span)
        return kt.solve(problem, kt.Tsit5(), rtol=TOLERANCE, atol=TOLERANCE, **options)


@dataclass(frozen=True)
class Variant:
    """A way to train.

    Attributes:
        name: for tables.
        penalties: makes the penalties for a generator, the coefficient of each being one in all sums.
        coefficients: those to choose from, by the validation images.
        steer: whether the final time is random.
        adjoint: how gradients come back.
        schedule: the coefficient over training, as a multiple of the chosen one.
    """

    name: str
    penalties: Callable[[torch.Generator], dict[str, tuple[float, regularizers.Regularizer]]] = lambda generator: {}
    coefficients: tuple[float, ...] = (0.0,)
    steer: bool = False
    adjoint: Any = field(default_factory=kt.Direct)


def _one(make: Callable[[torch.Generator], regularizers.Regularizer]) -> Any:
    return lambda generator: {"p": (1.0, make(generator))}


def _local(estimator: Any, **options: Any) -> Any:
    return _one(lambda g: regularizers.LocalErrorEstimate(estimator=estimator, generator=g, **options))


VARIANTS = (
    Variant("vanilla"),
    Variant("STEER, b = 0.5", steer=True),
    Variant("TayNODE, K = 2", _one(lambda g: regularizers.Taylor(order=2)), (0.01, 0.1, 1.0)),
    Variant(
        "RNODE",
        lambda g: {"k": (1.0, regularizers.KineticEnergy()), "j": (1.0, regularizers.JacobianNorm(generator=g))},
        (0.03, 0.3, 3.0),
    ),
    Variant("ER", _one(lambda g: regularizers.ErrorEstimate()), (0.03, 0.1, 0.3)),
    Variant("SR", _one(lambda g: regularizers.StiffnessEstimate()), (0.01, 0.1)),
    Variant(
        "ER + SR",
        lambda g: {"e": (1.0, regularizers.ErrorEstimate()), "s": (0.1, regularizers.StiffnessEstimate())},
        (0.03, 0.1, 0.3),
    ),
    Variant("STEER + ER", _one(lambda g: regularizers.ErrorEstimate()), (0.03, 0.1, 0.3), steer=True),
    Variant("local ER, unbiased", _local("unbiased"), (0.1, 0.3, 1.0)),
    Variant("local ER, through the state", _local("unbiased", through_state=True), (0.1, 0.3, 1.0)),
    Variant("local ER, published", _local("published", step="initial"), (1.0, 10.0, 100.0)),
    Variant("local ER, unbiased, Interpolating", _local("unbiased"), (0.1, 0.3, 1.0), adjoint=kt.Interpolating()),
)


@dataclass(frozen=True)
class Run:
    """A trained classifier and what it cost.

    Attributes:
        weights: its state dict.
        coefficient: of the penalty.
        seed: of weights and batches.
        validation: accuracy on the validation images.
        test: accuracy on the test images.
        evaluations: calls of the right-hand side in one solve for all test images.
        steps: attempted steps of that solve.
        seconds: wall time of the training.
        pressure: median of ``h S / sigma`` over the steps of that solve; near one where stability limits them.
    """

    weights: dict[str, Tensor]
    coefficient: float
    seed: int
    validation: float
    test: float
    evaluations: int
    steps: int
    seconds: float
    pressure: float


def train(variant: Variant, coefficient: float, seed: int, iterations: int) -> Run:
    """Train a classifier and look at it."""
    data, chosen, tested = parts()
    model = Classifier(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    penalties = variant.penalties(generator)
    start = time.perf_counter()
    for _ in range(iterations):
        rows = torch.randint(len(data.labels), (BATCH,), generator=generator)
        span = regularizers.Steer(0.5).span(SPAN, generator) if variant.steer else SPAN
        watched = {name: one for name, (_, one) in penalties.items()}
        sol = model.solve(data.pixels[rows], span, penalties=watched, adjoint=variant.adjoint)
        loss = functional.cross_entropy(model.last(sol.y1), data.labels[rows])
        for name, (share, _) in penalties.items():
            loss = loss + coefficient * share * sol.penalties[name]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    return _look_at(model, coefficient, seed, seconds, chosen, tested)


@torch.no_grad()
def _look_at(model: Classifier, coefficient: float, seed: int, seconds: float, chosen: Part, tested: Part) -> Run:
    accuracies = []
    for part in (chosen, tested):
        sol = model.solve(part.pixels, penalties={"steps": Pressure()})
        accuracies.append(float((model.last(sol.y1).argmax(dim=-1) == part.labels).double().mean()))
    calls, weights = int(sol.stats.function_evaluations), {k: v.clone() for k, v in model.state_dict().items()}
    pressure = float(torch.stack(sol.penalties["steps"]).median())  # type: ignore[arg-type]
    return Run(weights, coefficient, seed, *accuracies, calls, int(sol.stats.steps), seconds, pressure)


class Pressure(regularizers.Regularizer):
    """``h S / sigma`` of every accepted step."""

    def init(self, y: Tensor) -> tuple[Tensor, ...]:
        return ()

    def update(self, state: tuple[Tensor, ...], step: Any) -> tuple[Tensor, ...]:
        measured = regularizers.StiffnessEstimate(normalise=True).measure(step)
        return (*state, abs(step.dt) * measured)

    def value(self, state: Any) -> Any:
        return state


def predictor(weights: dict[str, Tensor]) -> tuple[Callable[[], Tensor], Classifier]:
    """A function that classifies a batch of test images, and its model."""
    model, pixels = Classifier(0), parts()[2].pixels[:BATCH]
    model.load_state_dict(weights)

    @torch.no_grad()
    def predict() -> Tensor:
        return model.last(model.solve(pixels).y1)

    return predict, model
