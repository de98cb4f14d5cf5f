"""Products with matrices along the axes of fields."""

from __future__ import annotations

from torch import Tensor


def along(a: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """``u_..k.. = sum_j a_..j.. M_jk`` along an axis, which is counted from the end of the shape."""
    return a @ matrix if axis == -1 else (a.movedim(axis, -1) @ matrix).movedim(-1, axis)
