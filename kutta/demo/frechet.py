"""How far generated digits are from real ones: a Fréchet distance between features of a small classifier.

Of the features of each of two sets of images take mean `m` and covariance `S`. The distance of the two normal
distributions is

    |m_1 - m_2|^2 + trace(S_1 + S_2 - 2 (S_1 S_2)^(1/2)).

Source: Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, 2017, where
the classifier is one of photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kutta.demo.classifier import CLASSES, SIDE

FEATURES = 32


class Reader(nn.Module):
    """A classifier of images of brightness in [-1, 1] that shows its last hidden layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(SIDE**2, 128), nn.SiLU(), nn.Linear(128, FEATURES), nn.SiLU())
        self.outer = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """The last hidden layer, ``(N, 32)``."""
        return self.inner(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of the digits, ``(N, 10)``."""
        return self.outer(self.features(images))


def train_reader(images: Tensor, digits: Tensor, seed: int = 0, steps: int = 400) -> Reader:
    """A classifier trained on labelled images.

    Args:
        images: ``(N, 64)``, brightness in [-1, 1].
        digits: ``(N,)``.
        seed: of initial weights and batches.
        steps: of Adam.
    """
    from kutta.training import Batches, Task, fit

    def loss(model: Any, batch: Any, progress: float) -> Tensor:
        pixels, wanted = batch
        return functional.cross_entropy(model(pixels), wanted)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader()
    task = Task(reader, loss, optimizer=lambda parameters: torch.optim.Adam(parameters, 2e-3))
    fit(task, Batches((images, digits), 128, seed), steps, progress=False, accelerator="cpu")
    return reader.eval().requires_grad_(False)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """The distance of the normal distributions with the means and covariances of two sets of features.

    Args:
        first: ``(N, F)``.
        second: ``(M, F)``.
    """
    (mean, covariance), (other_mean, other) = (_moments(one.double()) for one in (first, second))
    # The eigenvalues of S_1 S_2 are those of the symmetric S_1^(1/2) S_2 S_1^(1/2).
    values, vectors = torch.linalg.eigh(covariance)
    root = vectors * values.clamp(min=0.0).sqrt() @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ other @ root).clamp(min=0.0).sqrt().sum()
    return float((mean - other_mean).square().sum() + covariance.trace() + other.trace() - 2.0 * shared)


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    return features.mean(0), torch.cov(features.T)


@dataclass(frozen=True)
class Judge:
    """Compares generated images with real ones.

    Attributes:
        reader: makes the features.
        real: features of the real images, ``(N, 32)``.
    """

    reader: Reader
    real: Tensor

    @classmethod
    def of(cls, images: Tensor, digits: Tensor, seed: int = 0) -> Judge:
        """One that knows labelled images."""
        reader = train_reader(images, digits, seed)
        return cls(reader, reader.features(images))

    def distance(self, images: Tensor) -> float:
        """The Fréchet distance of some images from the real ones."""
        return frechet_distance(self.reader.features(images.float()), self.real)

    def legible(self, images: Tensor, digits: Tensor) -> float:
        """The share of the images that are read as the digits that they shall show."""
        return float((self.reader(images.float()).argmax(1) == digits).double().mean())
