"""A neural ODE that classifies handwritten digits: its data, its equations and its training.

An image ``x`` of 8 x 8 pixels is the initial state of a learned flow, and its end is classified:

    dy/dt = W2 [tanh(W1 [y, t] + b1), t] + b2,   y(0) = x,   t in [0, 1]
    p(class | x) = softmax(W3 y(1) + b3)

The data are the 1,797 digits of scikit-learn: E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import kutta as kt

if TYPE_CHECKING:
    from kutta.training import Figures

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
        coefficient: of the penalty in the loss.
        shift: largest shift of a training image, in pixels.
        rotation: largest rotation, in radians.
        scale: largest relative change of size.
    """

    hidden: int = 64
    epochs: int = 40
    batch: int = 128
    rate: float = 2e-2
    decay: float = 0.1
    tolerance: float = 1e-7
    coefficient: float = 0.1
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
    """The flow from time 0 to 1 and a linear layer on its end, in double precision."""

    def __init__(self, settings: Settings):
        super().__init__()
        self.field = Field(SIDE**2, settings.hidden)
        self.readout = nn.Linear(SIDE**2, CLASSES)
        self.tolerance = settings.tolerance
        self.double()

    def flow(self, pixels: Tensor, **options: Any) -> kt.Solution:
        """Solve from the images to time 1; the options are those of `kutta.solve`."""
        problem = kt.ODEProblem(self.field, pixels, (0.0, 1.0))
        tolerances: dict[str, Any] = {"rtol": self.tolerance, "atol": self.tolerance}
        return kt.solve(problem, kt.Tsit5(), **tolerances | options)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of the classes, ``(N, 10)``."""
        return self.readout(self.flow(pixels).y1)


def load_split(seed: int) -> Split:
    """The digits of scikit-learn: 1,197 to train on, 240 for validation, 360 to test, stratified by class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    pixels = torch.from_numpy(data.data / 16.0)  # type: ignore[attr-defined]
    labels = torch.from_numpy(data.target).long()  # type: ignore[attr-defined]
    everything = Images(pixels, labels)
    rest, test = train_test_split(range(len(labels)), test_size=360, stratify=labels, random_state=seed)
    train, validation = train_test_split(rest, test_size=240, stratify=labels[rest], random_state=seed)
    return Split(*(everything[torch.as_tensor(rows)] for rows in (train, validation, test)))


def distort(pixels: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    """Shift, rotate and scale each image by random amounts up to those in the settings, bilinearly."""
    count = len(pixels)

    def uniform(limit: float) -> Tensor:
        return limit * (2.0 * torch.rand(count, generator=generator, dtype=pixels.dtype) - 1.0)

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


def train(
    model: Classifier,
    split: Split,
    settings: Settings,
    seed: int,
    penalties: dict[str, kt.regularizers.Regularizer],
    progress: bool | str = False,
) -> Figures:
    """Adam with decoupled weight decay and a one-cycle learning rate; keeps the epoch of lowest validation loss.

    Batches and distortions depend on the seed only, so that two models trained with it see the same images.

    Args:
        model: is trained in place.
        split: its validation images choose the epoch, and its test images play no part.
        settings: how.
        seed: of batches and distortions.
        penalties: what is added to the cross-entropy, times the coefficient of the settings.
        progress: whether to show a progress bar, or what to write before it.

    Returns:
        of each epoch the ``loss`` and the ``evaluations`` of a solve, means over the batches, and at its end the
        ``validation loss``, without penalties, and the ``validation accuracy``.
    """
    from kutta.training import Batches, Task, fit

    generator = torch.Generator().manual_seed(seed)

    def loss(model: Classifier, batch: Any, progress: float) -> tuple[Tensor, dict[str, Any]]:
        pixels, labels = batch
        solution = model.flow(distort(pixels, settings, generator), penalties=penalties)
        entropy = functional.cross_entropy(model.readout(solution.y1), labels)
        penalty = settings.coefficient * sum(solution.penalties.values())
        return entropy + penalty, {"evaluations": solution.stats.function_evaluations}

    task = Task(
        model,
        loss,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, settings.rate, weight_decay=settings.decay),
        schedule=lambda optimizer, steps: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.rate, total_steps=steps, pct_start=0.2
        ),
        validate=score,
        keep={"distortions": generator},
    )
    batches = Batches((split.train.pixels, split.train.labels), settings.batch, seed)
    validation = Batches((split.validation.pixels, split.validation.labels), len(split.validation), shuffle=False)
    return fit(
        task,
        batches,
        settings.epochs * len(batches),
        validation=validation,
        best="validation loss",
        progress=progress,
        accelerator="cpu",
    )


def score(model: Classifier, batch: Any) -> dict[str, Tensor]:
    """Mean cross-entropy, and the share of the images classified correctly."""
    pixels, labels = batch
    logits = model(pixels)
    return {
        "validation loss": functional.cross_entropy(logits, labels),
        "validation accuracy": (logits.argmax(1) == labels).double().mean(),
    }
