"""What a network predicts that knows an equation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result


@dataclass(frozen=True, eq=False)
class Prediction:
    """A field in space and time, how well it fulfils its equation, and how it was found, for each of ``n`` samples.

    Attributes:
        times: ``t_0, ..., t_Q``.
        u: the field, ``(Q + 1, n, *shape)``; without the axis of samples if the problem has none.
        residual: of the equation at all points but the first times', ``(Q, n, *shape)``: ``T (du/dt - f(t, u))``.
        error: the residual, or what is measured in its place: see `EstimatedError`.
        results: how the search for the weights of each expert ended, codes of `kutta.Result`, ``(n, K)``.
        weights: of the basis functions of each expert, ``(n, K, N)``.
        iterations: of each expert, ``(n, K)``.
        shares: of each expert, ``(n or 1, K, Q + 1, *shape)``.
    """

    times: Tensor
    u: Tensor
    residual: Tensor
    error: Tensor
    results: Tensor
    weights: Tensor | None = None
    iterations: Tensor | None = None
    shares: Tensor | None = None

    @property
    def sizes(self) -> Tensor:
        """The root of the mean square of `error` of each sample, ``(n,)``; NaN where that is not finite."""
        squares = self.error.square().mean(0).flatten(1).mean(1)
        some = squares > 0.0  # a root has no slope at 0
        return torch.where(some, torch.where(some, squares, 1.0).sqrt(), squares.detach())

    @property
    def solved(self) -> Tensor:
        """Which samples have the weights of a least sum of squares, for all experts, ``(n,)``."""
        return (self.results < int(Result.MAX_STEPS)).all(1)

    @property
    def loss(self) -> Tensor:
        """The mean of `sizes` over the samples that are solved; 0 if none is.

        Samples that are not solved are left out, as derivatives of their weights mean nothing.
        """
        return _mean(self.sizes, self.solved)

    @property
    def loss_of_all(self) -> Tensor:
        """The same with those that are not solved, but finite, whose weights are then constants.

        Where weights make least what training makes small, derivatives through them vanish (the envelope theorem); so
        what is left is about right where they nearly do. Early in training it may be that hardly a sample is solved.
        """
        return _mean(self.sizes, (self.results != int(Result.NON_FINITE)).all(1))

    @property
    def unsolved(self) -> float:
        """The part of the samples that are left out of `loss`."""
        return float((~self.solved).double().mean())

    @property
    def imbalance(self) -> Tensor:
        """``K sum_k s_k^2 - 1`` with the mean share ``s_k`` of each expert: 0 where all have equal ones.

        To be added to the loss, times a small number, where shares are learned, so that no expert is left idle.

        Source: Shazeer et al., Outrageously large neural networks: the sparsely-gated mixture-of-experts layer, 2017.
        """
        mean = self._shares.flatten(2).mean(2)
        uneven = mean.shape[1] * mean.square().sum(1) - 1.0
        return _mean(uneven, uneven.isfinite())

    @property
    def error_of_experts(self) -> Tensor:
        """The root of the mean square of `error` where each expert predicts, over samples that have one, ``(K,)``."""
        finite = self.sizes.detach().isfinite()
        square = self.error.detach()[:, finite].square()
        shares = self._shares[:, :, 1:].detach().movedim(0, 2)
        weights = shares.expand(-1, *self.error.shape)[:, :, finite]
        return ((weights * square).flatten(1).sum(1) / weights.flatten(1).sum(1)).sqrt()

    @property
    def _shares(self) -> Tensor:
        if self.shares is None:
            raise ValueError("this prediction has no experts: it is one of a MixtureOfExperts that has")
        return self.shares


def _mean(sizes: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, sizes, 0.0).sum() / where.sum().clamp(min=1)
