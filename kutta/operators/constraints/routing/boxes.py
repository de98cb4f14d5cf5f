"""Experts in boxes of space and time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from kutta.operators.operator import check_counts
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.grid import Grid

# Of a box along one axis, in parts of the whole length.
Interval = tuple[float, float]


class Boxes:
    """Each expert predicts in a box, or with an overlap a little beyond it.

    The share of expert ``k`` is ``h_k / sum_l h_l`` with a hat ``h_k`` that is 1 within its box, 0 far from it, and in
    between, within ``overlap`` times the width of the box at each side of a face, ``3 s^2 - 2 s^3``. So shares add up
    to 1 everywhere, and with an overlap predictions have a continuous slope across faces.

    Args:
        counts: boxes along the axis of time and along those of space.
        overlap: 0, by default, for boxes that meet at their faces; at most 0.5.

    Attributes:
        intervals: of each box, along each axis, in parts of its length.
        overlap: see above.

    Example:
        >>> import kutta as kt
        >>> kt.operators.Boxes((1, 4)).experts
        4
    """

    def __init__(self, counts: Sequence[int], overlap: float = 0.0):
        counts = tuple(counts)
        check_counts(**{f"counts[{axis}]": count for axis, count in enumerate(counts)})
        if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0.0 <= overlap <= 0.5:
            raise ValueError(f"overlap must be a number from 0 to 0.5; got {overlap!r}")
        axes = [[(number / count, (number + 1) / count) for number in range(count)] for count in counts]
        self.intervals: list[tuple[Interval, ...]] = list(product(*axes))
        self.overlap = float(overlap)

    @property
    def experts(self) -> int:
        """How many there are."""
        return len(self.intervals)

    def split(self, error: Sequence[float] | Tensor, axis: int | None = None) -> Boxes:
        """The same boxes, but the one with the largest error in two halves.

        Args:
            error: of each box, such as `Prediction.error_of_experts`.
            axis: that is cut; by default the one along which the box is widest.

        Raises:
            ValueError: for another number of errors, and such as are not finite.
        """
        errors = torch.as_tensor(error, dtype=torch.float64).detach()
        if tuple(errors.shape) != (self.experts,) or not bool(torch.isfinite(errors).all()):
            raise ValueError(f"error must hold a finite number for each of the {self.experts} boxes; got {error!r}")
        worst = int(errors.argmax())
        box = self.intervals[worst]
        widths = [right - left for left, right in box]
        along = widths.index(max(widths)) if axis is None else axis
        if isinstance(along, bool) or along not in range(len(box)):
            raise ValueError(f"axis must be from 0 to {len(box) - 1}; got {axis!r}")
        left, right = box[along]
        middle = 0.5 * (left + right)
        halves = [(*box[:along], part, *box[along + 1 :]) for part in ((left, middle), (middle, right))]
        found = Boxes([1] * len(box), self.overlap)
        found.intervals = [*self.intervals[:worst], *halves, *self.intervals[worst + 1 :]]
        return found

    def shares(self, a: Tensor, grid: Grid) -> Tensor:
        """The share of each expert in the prediction, ``(1, K, *shape)``.

        Args:
            a: what the network reads, which boxes do not depend on.
            grid: in time and space.

        Raises:
            ValueError: for boxes with another number of axes.
        """
        if len(self.intervals[0]) != grid.dim:
            raise ValueError(
                f"boxes must have an axis for time and one for each of space, {grid.dim}; got {len(self.intervals[0])}"
            )
        hats = torch.stack([self._hat(box, grid) for box in self.intervals]).to(a.device)
        return (hats / hats.sum(0)).unsqueeze(0)

    def _hat(self, box: tuple[Interval, ...], grid: Grid) -> Tensor:
        found = torch.ones((), dtype=torch.float64)
        for axis, (interval, count) in enumerate(zip(box, grid.shape, strict=True)):
            places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
            wraps = isinstance(grid.boundary[axis][0], Periodic)
            found = found.unsqueeze(-1) * self._along(places, interval, wraps)
        return found

    def _along(self, places: Tensor, interval: Interval, wraps: bool) -> Tensor:
        """The hat along one axis: of the interval, and on an axis that wraps of what it is beside itself."""
        left, right = interval
        if right - left == 1.0:
            return torch.ones_like(places)
        reach = self.overlap * (right - left)
        if not wraps:
            return _rising(places, left, reach, left == 0.0) * _falling(places, right, reach, right == 1.0)
        around = [places + turn for turn in (-1.0, 0.0, 1.0)]
        return sum(_rising(x, left, reach, False) * _falling(x, right, reach, False) for x in around)  # type: ignore[return-value]


def _rising(places: Tensor, face: float, reach: float, outermost: bool) -> Tensor:
    """From 0 to 1 around a face."""
    if outermost:
        return torch.ones_like(places)
    if reach == 0.0:
        return (places >= face).to(places.dtype)
    s = ((places - face + reach) / (2.0 * reach)).clamp(0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def _falling(places: Tensor, face: float, reach: float, outermost: bool) -> Tensor:
    """From 1 to 0."""
    return torch.ones_like(places) if outermost else 1.0 - _rising(places, face, reach, False)
