"""Error bands that hold with a probability that was chosen, whatever the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Calibration:
    """``|u - u*| <= q w`` at a share of the points, with a probability.

    With the width ``w`` that an ensemble says, or 1 for a single model, each of ``n`` samples that it was not trained
    on has a score, the share's quantile of ``|u - u*| / w`` over its points; ``q`` is the ``ceil((n + 1) p)``-th
    smallest. Of a further sample drawn like them the band holds with a probability of at least ``p``, without further
    assumptions on the model: it is that of an exchangeable one's rank.

    Attributes:
        quantile: ``q``.
        probability: ``p``.
        share: of the points.
        samples: ``n``.

    Source: Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, Distribution-free predictive inference for regression, JASA
    113, 2018; of operators: Ma, Pitt, Azizzadenesheli, Anandkumar, Calibrated uncertainty quantification for operator
    learning via conformal prediction, TMLR 2024, arXiv 2402.01960.

    Example:
        >>> import torch, kutta as kt
        >>> target = torch.randn(99, 1, 64, generator=torch.Generator().manual_seed(0))
        >>> found = kt.operators.Calibration.of(torch.zeros_like(target), target, probability=0.9, share=0.95)
        >>> 1.8 < found.quantile < 2.6
        True
    """

    quantile: float
    probability: float
    share: float
    samples: int

    @classmethod
    def of(
        cls,
        u: Float[Tensor, "n o *s"],
        target: Float[Tensor, "n o *s"],
        spread: Float[Tensor, "n o *s"] | None = None,
        probability: float = 0.9,
        share: float = 0.98,
    ) -> Calibration:
        """From predictions for samples that the model was not trained on.

        Args:
            u: predictions.
            target: solutions.
            spread: ``w``, such as the band of an ensemble; by default 1.
            probability: that the band holds.
            share: of the points at which it is to.

        Raises:
            ValueError: for too few samples, and for probabilities and shares that are none.
        """
        for name, value in (("probability", probability), ("share", share)):
            if not 0.0 < value <= 1.0:
                raise ValueError(f"{name} must lie between 0 and 1; got {value!r}")
        if probability == 1.0:
            raise ValueError("no number of samples makes a band certain: give a probability below 1")
        rank, least = math.ceil((len(u) + 1) * probability), math.ceil(probability / (1.0 - probability))
        if rank > len(u):
            raise ValueError(f"a probability of {probability:g} needs at least {least} samples; got {len(u)}")
        errors = (u - target).abs() if spread is None else (u - target).abs() / _positive(spread)
        points = errors.flatten(1).sort(1).values
        scores = points[:, math.ceil(share * points.shape[1]) - 1]
        return cls(float(scores.sort().values[rank - 1]), probability, share, len(u))

    def band(self, states: Tensor, spread: Tensor | None) -> Tensor:
        """``q w``."""
        return self.quantile * (torch.ones_like(states) if spread is None else _positive(spread))


def _positive(spread: Tensor) -> Tensor:
    return spread.clamp(min=torch.finfo(spread.dtype).tiny)
