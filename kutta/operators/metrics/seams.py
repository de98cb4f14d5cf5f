"""Whether the faces between boxes show in a field."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Points that a box has at least along an axis, so that what is beside one face is not at the next.
_FEWEST = 4


def seams(u: Tensor, boxes: Sequence[int], wraps: bool = False) -> tuple[Tensor, Tensor]:
    """How much a field and its slope jump across the faces of boxes that divide space equally.

    Root mean squares of first and of second differences across faces, over those of the points beside: about 1 where
    nothing tells a face from other places, and 1 where nothing differs. Of several axes that are divided, it is the
    largest.

    Args:
        u: fields ``(..., *shape)``.
        boxes: how many along each of the last axes, 1 for such as are not divided; as of `kutta.operators.Boxes`.
        wraps: whether axes are periodic, so that the last box meets the first one.

    Returns:
        of values, and of slopes.

    Raises:
        ValueError: for other than real fields of as many axes, for boxes of fewer than 4 points along an axis, and
            where nothing is divided.

    Example:
        >>> import torch, kutta as kt
        >>> x = torch.linspace(0.0, 1.0, 64, dtype=torch.float64)
        >>> values, slopes = kt.operators.metrics.seams(torch.sin(x) + 0.1 * (x > 0.5), (2,))
        >>> bool(values > 5.0), bool(slopes > 100.0)
        (True, True)
    """
    if not u.is_floating_point() or u.dim() < len(boxes):
        raise ValueError(
            f"u must be real fields with an axis for each of {len(boxes)} numbers of boxes; got {u.dtype} of the shape "
            f"{tuple(u.shape)}"
        )
    divided = [(axis - len(boxes), count) for axis, count in enumerate(boxes) if count != 1]
    shape = tuple(u.shape[-len(boxes) :])
    if not divided or any(count < 1 or u.shape[axis] < _FEWEST * count for axis, count in divided):
        raise ValueError(
            f"boxes must divide an axis, and have {_FEWEST} points along each; got {tuple(boxes)} of the shape {shape}"
        )
    found = [torch.stack(_across(u.movedim(axis, -1), count, wraps)) for axis, count in divided]
    values, slopes = torch.stack(found).amax(0)
    return values, slopes


def _across(u: Tensor, boxes: int, wraps: bool) -> tuple[Tensor, Tensor]:
    """Across the faces between so many boxes along the last axis."""
    points = u.shape[-1]
    # The first point of each box is the first whose middle is in it.
    faces = [math.ceil(points * number / boxes - 0.5) for number in range(1, boxes + int(wraps))]
    u = torch.cat([u, u[..., :_FEWEST]], -1) if wraps else u

    def of(differences: Tensor, before: int) -> Tensor:
        at, left, right = (differences[..., [face - before + shift for face in faces]] for shift in (0, -2, 2))
        here, beside = at.square().mean(), 0.5 * (left.square() + right.square()).mean()
        same = (here == 0.0) & (beside == 0.0)
        return torch.where(same, 1.0, (here / torch.where(same, 1.0, beside)).sqrt())

    first, second = u.diff(), u.diff(n=2)
    return of(first, 1), torch.maximum(of(second, 1), of(second, 2))
