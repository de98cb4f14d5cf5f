"""Two neural ODEs that classify handwritten digits, side by side: a plain one, and one that is cheap to solve.

Both start with the same weights and see the same images. The loss of the second adds the error that
the solver itself estimates, summed over the accepted steps, so that it learns dynamics which need
fewer of them: A. Pal, Y. Ma, V. Shah, C. Rackauckas, "Opening the Blackbox", ICML 2021, arXiv
2105.03918.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import kutta as kt
from kutta.demo.classifier import CLASSES, Classifier, Images, Settings, Split, build, load_split, train

if TYPE_CHECKING:
    from kutta import training
    from kutta.history import History

COEFFICIENTS = (0.03, 0.1, 0.3)
"""Coefficients of the penalty that were tried with seed 0, to choose one by the validation images."""

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
"""Where the costs of the trained models are compared."""


@dataclass(frozen=True)
class Outcome:
    """A trained classifier on the test images.

    Attributes:
        images: the test images.
        predicted: the predicted digits, shape ``(N,)``.
        function_evaluations: of the one solve that classifies all of them.
        seconds: median wall time of that prediction.
        steps: the accepted steps of that solve.
        evaluations_at: function evaluations of that solve at other tolerances.
    """

    images: Images
    predicted: Tensor
    function_evaluations: int
    seconds: float
    steps: History
    evaluations_at: Mapping[float, int]

    @property
    def right(self) -> Tensor:
        """Whether each image was classified correctly, shape ``(N,)``."""
        return self.predicted == self.images.labels

    @property
    def accuracy(self) -> float:
        """Share of the images classified correctly."""
        return float(self.right.double().mean())

    @property
    def confusion(self) -> Tensor:
        """Number of images of digit ``i`` classified as ``j``, shape ``(10, 10)``."""
        cells = self.images.labels * CLASSES + self.predicted
        return torch.bincount(cells, minlength=CLASSES**2).view(CLASSES, CLASSES)


@dataclass(frozen=True)
class Flow:
    """The test images on their way, seen in a plane.

    Attributes:
        ts: times, shape ``(T,)``.
        points: the states in the plane that best separates the classes at the end, ``(T, N, 2)``.
        labels: the digits, shape ``(N,)``.
    """

    ts: Tensor
    points: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Trained:
    """One of the two models.

    Attributes:
        name: for tables and pictures.
        history: the figures of every epoch, see `kutta.demo.classifier.train`.
        function_evaluations: of all training solves together.
        outcome: how it does on the test images.
        flow: what it makes of them.
    """

    name: str
    history: training.Figures
    function_evaluations: int
    outcome: Outcome
    flow: Flow

    @property
    def kept(self) -> int:
        """Index of the epoch whose weights were kept, that of the lowest validation loss."""
        losses = self.history["validation loss"]
        return losses.index(min(losses))


@dataclass(frozen=True)
class Study:
    """The whole study."""

    settings: Settings
    split: Split
    plain: Trained
    penalised: Trained
    parameters: int

    @property
    def models(self) -> tuple[Trained, Trained]:
        """Both."""
        return self.plain, self.penalised


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: for tensors of this size, waking another costs more than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.no_grad()
def evaluate(model: Classifier, images: Images, repeats: int = 21) -> Outcome:
    """Classify all images in one solve, `repeats` times for the wall time."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        model(images.pixels)
        seconds.append(time.perf_counter() - began)
    solution = model.flow(images.pixels, diagnostics=True)
    assert solution.stats.history is not None
    return Outcome(
        images=images,
        predicted=model.readout(solution.y1).argmax(1),
        function_evaluations=int(solution.stats.function_evaluations),
        seconds=statistics.median(seconds),
        steps=solution.stats.history,
        evaluations_at={one: _evaluations_at(one, model, images) for one in TOLERANCES},
    )


def _evaluations_at(tolerance: float, model: Classifier, images: Images) -> int:
    return int(model.flow(images.pixels, rtol=tolerance, atol=tolerance).stats.function_evaluations)


@torch.no_grad()
def observe(model: Classifier, split: Split, frames: int = 21) -> Flow:
    """States of the test images over time, projected on the first two linear discriminants at time 1.

    The discriminants (Fisher) are computed from the training images.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    plane = LinearDiscriminantAnalysis(n_components=2)
    plane.fit(model.flow(split.train.pixels).y1.numpy(), split.train.labels.numpy())
    ts = torch.linspace(0.0, 1.0, frames, dtype=torch.float64)
    states = model.flow(split.test.pixels, save_at=ts).ys
    points = torch.from_numpy(plane.transform(states.flatten(0, 1).numpy()))
    return Flow(ts, points.view(frames, len(split.test), 2), split.test.labels)


def study(seed: int = 0, settings: Settings | None = None, progress: bool = False) -> Study:
    """Train both models on one split, then classify its test images with each."""
    settings = settings or Settings()
    split = load_split(seed)

    def trained(name: str, penalties: dict[str, kt.regularizers.Regularizer]) -> Trained:
        model = build(settings, seed)
        history = train(model, split, settings, seed, penalties, progress and f"Digits: {name}")
        batches = -(-len(split.train) // settings.batch)
        evaluations = round(batches * sum(history["evaluations"]))
        return Trained(name, history, evaluations, evaluate(model, split.test), observe(model, split))

    with one_thread():
        return Study(
            settings=settings,
            split=split,
            plain=trained("plain", {}),
            penalised=trained("penalised", {"error": kt.regularizers.ErrorEstimate()}),
            parameters=sum(one.numel() for one in build(settings, seed).parameters()),
        )
