"""Pieces of grids along an axis, and sums of their multiples in place."""

from __future__ import annotations

import torch
from torch import Tensor

# A factor that is the same everywhere, or one that broadcasts with a piece of a grid.
Weight = float | Tensor


def every_second(x: Tensor, axis: int, start: int) -> Tensor:
    """The entries ``start, start + 2, ...`` along an axis that is counted from the end, as a view."""
    places = [slice(None)] * -axis
    places[0] = slice(start, None, 2)
    return x[(..., *places)]


def accumulate_(out: Tensor, weight: Weight, x: Tensor, sign: float = 1.0) -> None:
    """``out += sign weight x``."""
    if isinstance(weight, Tensor):
        out.addcmul_(weight, x, value=sign)
    else:
        out.add_(x, alpha=sign * weight)


def weight_of(values: Tensor, uniform: bool, like: Tensor) -> Weight:
    """Values as a factor for tensors such as `like`; a number where they are on the host and all the same."""
    if uniform and values.numel() and bool((values == values.flatten()[0]).all()):
        return float(values.flatten()[0])
    return values.to(like)


def along_axis(values: Tensor, axis: int, like: Tensor) -> Tensor:
    """A vector as a tensor that varies along an axis."""
    return values.to(like).reshape(-1, *[1] * (-axis - 1))


def halves(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The entries at even and at odd places."""
    return every_second(x, axis, 0), every_second(x, axis, 1)


def edged(x: Tensor, axis: int, first: Tensor, last: Tensor) -> Tensor:
    """A tensor with one more entry at both ends of an axis."""
    return torch.cat([first, x, last], axis)
