"""Places as a network sees them, where some of their coordinates come back to where they were."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PeriodicFeatures(nn.Module):
    """Coordinates with a period as waves, the others as they are, so that what follows has that period.

        y_i  ->  cos(2 pi k y_i / L_i), sin(2 pi k y_i / L_i),    k = 1..waves

    Args:
        periods: ``L_i``, or nothing where a coordinate has none.
        waves: how many for each such coordinate.
    """

    def __init__(self, periods: Sequence[float | None], waves: int):
        super().__init__()
        self.periods, self.waves = periods, waves

    def forward(self, y: Tensor) -> Tensor:
        """``(..., q)`` to as many numbers as there are waves, twice, and coordinates without a period."""
        columns = y.split(1, -1)
        return torch.cat([self._seen(column, period) for column, period in zip(columns, self.periods, strict=True)], -1)

    def _seen(self, column: Tensor, period: float | None) -> Tensor:
        if period is None:
            return column
        numbers = torch.arange(1, self.waves + 1, dtype=column.dtype, device=column.device)
        angles = (2.0 * math.pi / period) * column * numbers
        return torch.cat([angles.cos(), angles.sin()], -1)
