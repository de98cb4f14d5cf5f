"""A family of Gaussian mixtures in the plane as one problem: what a search learns from, and what it is judged on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import kutta as kt

F64 = torch.float64
NOISE = kt.diffusion.EDM(start=5.0, end=0.05)
COMPONENTS = 3


@dataclass(frozen=True)
class Family:
    """Mixtures of three components each, drawn at random like those of test problem T1.

    Weights are uniform on [0.2, 1] before they are made to sum to 1, means normal with a standard deviation of 1.6,
    variances log-uniform on [0.05, 0.4].

    Attributes:
        weights, means, variances: shapes ``(M, K)``, ``(M, K, 2)``, ``(M, K)``.
        starts: shape ``(M, B, 2)``.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    starts: Tensor

    @classmethod
    def drawn(cls, mixtures: int, starts: int, seed: int) -> Family:
        generator = torch.Generator().manual_seed(seed)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=F64)

        weights = 0.2 + 0.8 * uniform(mixtures, COMPONENTS)
        means = 1.6 * torch.randn(mixtures, COMPONENTS, 2, generator=generator, dtype=F64)
        variances = 0.05 * torch.exp(uniform(mixtures, COMPONENTS) * math.log(0.4 / 0.05))
        x = NOISE.start * torch.randn(mixtures, starts, 2, generator=generator, dtype=F64)
        return cls(weights / weights.sum(-1, keepdim=True), means, variances, x)

    @property
    def problem(self) -> kt.DiffusionProblem:
        """All mixtures as one problem, whose samples are ordered by mixture."""
        return kt.DiffusionProblem(self.model, NOISE, self.starts.reshape(-1, 2))

    def model(self, x: Tensor, t: Tensor) -> Tensor:
        """The expected noise of each sample, by the mixture that it belongs to."""
        x, kappa = x.reshape(self.starts.shape), t[0]
        away = x[:, :, None] - self.means[:, None]
        spread = (self.variances + kappa**2)[:, None]
        logits = torch.log(self.weights)[:, None] - 0.5 * (away**2).sum(-1) / spread - torch.log(spread)
        shares = torch.softmax(logits, -1) / spread
        return (kappa * (shares[..., None] * away).sum(2)).reshape(-1, 2)

    def reference(self) -> Tensor:
        """The end states of the probability flow, to eight digits."""
        return kt.solve(self.problem, kt.Vern9(), rtol=1e-9, atol=1e-9).y1
