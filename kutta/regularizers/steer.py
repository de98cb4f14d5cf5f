"""Random final times.

Ghosh, Behl, Dupont, Torr, Namboodiri, STEER: simple temporal regularization for neural ODEs, NeurIPS
2020, arXiv 2006.10711.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.regularizers.noise import normal, uniform


@dataclass(frozen=True)
class Steer:
    """Draws the times that a model is trained on around those that it will be used with.

    Not a penalty but a change of the problem: draw anew in every iteration of training, and use the
    true times when testing.

    Attributes:
        width: ``b``, so that the final time is uniform on ``[t1 - b, t1 + b]``; with
            ``normal=True`` it is the standard deviation.
        normal: draw from a normal distribution, cut off where the solve would have no length.

    Example:
        >>> import torch, kutta as kt
        >>> steer = kt.regularizers.Steer(width=0.5)
        >>> t0, t1 = steer.span((0.0, 1.0), torch.Generator().manual_seed(0))
        >>> t0, 0.5 <= t1 <= 1.5
        (0.0, True)
    """

    width: float = 0.5
    normal: bool = False

    def __post_init__(self) -> None:
        if not (self.width > 0.0 and math.isfinite(self.width)):
            raise ValueError(f"width must be positive and finite; got {self.width}")

    def span(self, t_span: tuple[float, float], generator: torch.Generator | None = None) -> tuple[float, float]:
        """``t_span`` with another final time.

        Raises:
            ValueError: where `width` is not smaller than the length of the span.
        """
        t0, t1 = map(float, t_span)
        if not self.width < abs(t1 - t0):
            raise ValueError(f"width must be smaller than the length of t_span, {abs(t1 - t0)}; got {self.width}")
        if not self.normal:
            return t0, t1 + self.width * float(2.0 * uniform((), generator) - 1.0)
        while True:
            end = t1 + self.width * float(normal((), generator))
            if (end - t0) * (t1 - t0) > 0.0:
                return t0, end

    @staticmethod
    def grid(ts: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Output times, each but the first moved by up to half of the smaller gap beside it: they stay sorted.

        The paper moves each by up to half of the gap before it, which can bring uneven times out of order.

        Args:
            ts: shape ``(T,)``, strictly increasing or decreasing.
            generator: where the moves are drawn from.
        """
        gaps = torch.diff(ts)
        if not bool((gaps * torch.sign(gaps[:1]) > 0).all()):
            raise ValueError(f"ts must be strictly increasing or decreasing; got {ts.tolist()}")
        # A time moved up may pass the next one, moved down: at most half of the smaller gap keeps the order.
        room = torch.minimum(gaps.abs(), torch.cat([gaps[1:].abs(), gaps[-1:].abs()]))
        moves = (uniform(gaps.shape, generator, ts.device) - 0.5).to(ts.dtype) * room
        return torch.cat([ts[:1], ts[1:] + moves])
