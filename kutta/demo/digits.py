"""A neural ODE that classifies handwritten digits.

An image ``x`` of 8 x 8 pixels is the initial state of a learned flow, and its end is classified:

    dy/dt = W2 [tanh(W1 [y, t] + b1), t] + b2,   y(0) = x,   t in [0, 1]
    p(class | x) = softmax(W3 y(1) + b3)

The data are the 1,797 digits of scikit-learn: E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

import kutta as kt

CLASSES, SIDE = 10, 8


@dataclass(frozen=True)
class Settings:
    """Everything that the training depends on, apart from the seed.

    Attributes:
        hidden: width of the hidden layer.
        epochs: passes over the training images.
        batch: images a step.
        rate: largest learning rate of the one-cycle schedule.
        decay: weight decay.
        tolerance: relative and absolute tolerance of the solve.
        shift: largest shift of a training image, in pixels.
        rotation: largest rotation, in radians.
        scale: largest relative change of size.
    """

    hidden: int = 64
    epochs: int = 100
    batch: int = 128
    rate: float = 1e-2
    decay: float = 0.1
    tolerance: float = 1e-3
    shift: float = 0.5
    rotation: float = 0.2
    scale: float = 0.1


@dataclass(frozen=True)
class Images:
    """Labelled images.

    Attributes:
        pixels: brightness in [0, 1], shape ``(N, 64)``.
        labels: the digits, shape ``(N,)``.
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> Images:
        return Images(self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Split:
    """Disjoint images to train on, to choose the epoch by, and to test on."""

    train: Images
    validation: Images
    test: Images


@dataclass
class History:
    """What happened in each epoch.

    Attributes:
        loss: mean cross-entropy of the training batches.
        validation_loss: mean cross-entropy of the validation images.
        accuracy: share of the validation images classified correctly.
        evaluations: mean number of function evaluations of a training solve.
        kept: index of the epoch whose parameters were kept, that of the lowest validation loss.
        function_evaluations: of all training solves together.
        seconds: wall time of the training.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)
    kept: int = 0
    function_evaluations: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """The trained classifier on the test images.

    Attributes:
        images: the test images.
        predicted: the predicted digits, shape ``(N,)``.
        function_evaluations: of the one solve that classifies all of them.
        seconds: median wall time of that prediction.
    """

    images: Images
    predicted: Tensor
    function_evaluations: int
    seconds: float

    @property
    def accuracy(self) -> float:
        """Share of the images classified correctly."""
        return float((self.predicted == self.images.labels).double().mean())

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
class Study:
    """The whole study."""

    settings: Settings
    split: Split
    history: History
    outcome: Outcome
    flow: Flow
    parameters: int


class Field(nn.Module):
    """The right-hand side ``W2 [tanh(W1 [y, t] + b1), t] + b2``."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.inner = nn.Linear(features + 1, hidden)
        self.outer = nn.Linear(hidden + 1, features)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative at time `t` of states ``(N, features)``."""
        time = t.expand(len(y), 1)
        hidden = torch.tanh(self.inner(torch.cat((y, time), dim=1)))
        return self.outer(torch.cat((hidden, time), dim=1))


class Classifier(nn.Module):
    """The flow from time 0 to 1 and a linear layer on its end.

    Attributes:
        function_evaluations: of the latest forward pass.
    """

    def __init__(self, settings: Settings):
        super().__init__()
        self.field = Field(SIDE**2, settings.hidden)
        self.readout = nn.Linear(SIDE**2, CLASSES)
        self.tolerance = settings.tolerance
        self.function_evaluations = 0

    def flow(self, pixels: Tensor, save_at: Tensor | None = None) -> kt.Solution:
        """Solve from the images to time 1."""
        problem = kt.ODEProblem(self.field, pixels, (0.0, 1.0))
        return kt.solve(problem, kt.Tsit5(), rtol=self.tolerance, atol=self.tolerance, save_at=save_at)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of the classes, ``(N, 10)``."""
        solution = self.flow(pixels)
        self.function_evaluations = int(solution.stats.function_evaluations)
        return self.readout(solution.y1)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: for tensors of this size, waking another costs more than the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_split(seed: int) -> Split:
    """The digits of scikit-learn: 1,197 to train on, 240 for validation, 360 to test, stratified by class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    pixels = torch.from_numpy(data.data / 16.0).float()  # type: ignore[attr-defined]
    labels = torch.from_numpy(data.target).long()  # type: ignore[attr-defined]
    everything = Images(pixels, labels)
    rest, test = train_test_split(range(len(labels)), test_size=360, stratify=labels, random_state=seed)
    train, validation = train_test_split(rest, test_size=240, stratify=labels[rest], random_state=seed)
    return Split(*(everything[torch.as_tensor(rows)] for rows in (train, validation, test)))


def distort(pixels: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    """Shift, rotate and scale each image by random amounts up to those in the settings, bilinearly."""
    count = len(pixels)

    def uniform(limit: float) -> Tensor:
        return limit * (2.0 * torch.rand(count, generator=generator) - 1.0)

    angle, size = uniform(settings.rotation), 1.0 + uniform(settings.scale)
    cosine, sine = size * angle.cos(), size * angle.sin()
    # affine_grid measures in half widths of the image.
    right, down = (uniform(settings.shift * 2.0 / SIDE) for _ in range(2))
    maps = torch.stack((cosine, -sine, right, sine, cosine, down), dim=1).view(count, 2, 3)
    grid = functional.affine_grid(maps, [count, 1, SIDE, SIDE], align_corners=False)
    images = functional.grid_sample(pixels.view(count, 1, SIDE, SIDE), grid, align_corners=False)
    return images.view(count, SIDE**2)


def build(settings: Settings, seed: int) -> Classifier:
    """A classifier with PyTorch's default initial parameters for the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(settings)


def train(model: Classifier, split: Split, settings: Settings, seed: int, progress: bool = False) -> History:
    """Adam with decoupled weight decay and a one-cycle learning rate; keeps the epoch of lowest validation loss."""
    from tqdm import tqdm

    began = time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), settings.rate, weight_decay=settings.decay)
    steps = settings.epochs * -(-len(split.train) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps, pct_start=0.2)
    history, best = History(), copy.deepcopy(model.state_dict())
    with tqdm(total=steps, desc="Digits: training", unit=" steps", disable=not progress) as bar:
        for epoch in range(settings.epochs):
            _train_epoch(model, split.train, settings, generator, optimiser, schedule, history, bar)
            loss, share = score(model, split.validation)
            history.validation_loss.append(loss)
            history.accuracy.append(share)
            if loss <= min(history.validation_loss):
                history.kept, best = epoch, copy.deepcopy(model.state_dict())
            bar.set_postfix(loss=f"{history.loss[-1]:.3f}", validation=f"{history.accuracy[-1]:.1%}")
    model.load_state_dict(best)
    history.seconds = time.perf_counter() - began
    return history


def _train_epoch(model, images, settings, generator, optimiser, schedule, history, bar) -> None:
    losses, evaluations = [], []
    for rows in torch.randperm(len(images), generator=generator).split(settings.batch):
        batch = images[rows]
        loss = functional.cross_entropy(model(distort(batch.pixels, settings, generator)), batch.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        evaluations.append(model.function_evaluations)
        bar.update()
    history.loss.append(statistics.fmean(losses))
    history.evaluations.append(statistics.fmean(evaluations))
    history.function_evaluations += sum(evaluations)


@torch.no_grad()
def score(model: Classifier, images: Images) -> tuple[float, float]:
    """Mean cross-entropy, and the share of the images classified correctly."""
    logits = model(images.pixels)
    loss = functional.cross_entropy(logits, images.labels)
    return float(loss), float((logits.argmax(1) == images.labels).double().mean())


@torch.no_grad()
def evaluate(model: Classifier, images: Images, repeats: int = 21) -> Outcome:
    """Classify all images in one solve, `repeats` times for the wall time."""
    seconds = []
    predicted = images.labels
    for _ in range(repeats):
        began = time.perf_counter()
        predicted = model(images.pixels).argmax(1)
        seconds.append(time.perf_counter() - began)
    return Outcome(images, predicted, model.function_evaluations, statistics.median(seconds))


@torch.no_grad()
def observe(model: Classifier, split: Split, frames: int = 21) -> Flow:
    """States of the test images over time, projected on the first two linear discriminants at time 1.

    The discriminants (Fisher) are computed from the training images.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    plane = LinearDiscriminantAnalysis(n_components=2)
    plane.fit(model.flow(split.train.pixels).y1.numpy(), split.train.labels.numpy())
    ts = torch.linspace(0.0, 1.0, frames)
    states = model.flow(split.test.pixels, ts).ys
    points = torch.from_numpy(plane.transform(states.flatten(0, 1).numpy()))
    return Flow(ts, points.view(frames, len(split.test), 2), split.test.labels)


def study(seed: int = 0, settings: Settings | None = None, progress: bool = False) -> Study:
    """Train on one split, then classify its test images."""
    settings = settings or Settings()
    split = load_split(seed)
    with one_thread():
        model = build(settings, seed)
        history = train(model, split, settings, seed, progress)
        return Study(
            settings=settings,
            split=split,
            history=history,
            outcome=evaluate(model, split.test),
            flow=observe(model, split),
            parameters=sum(one.numel() for one in model.parameters()),
        )
