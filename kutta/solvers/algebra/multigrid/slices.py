"""Pieces of grids along an axis, and sums of their multiples in place."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.autodiff import under_transform

# How many points before and after those of interest there are along each axis.
Margins = tuple[tuple[int, int], ...]
# A factor that is the same everywhere, or one that broadcasts with a piece of a grid.
Weight = float | Tensor


def every_second(x: Tensor, axis: int, start: int) -> Tensor:
    """The entries ``start, start + 2, ...`` along an axis that is counted from the end, as a view."""
    places = [slice(None)] * -axis
    places[0] = slice(start, None, 2)
    return x[(..., *places)]


def within(x: Tensor, margins: Margins, but: int | None = None) -> Tensor:
    """A view without the margins of its last axes, but for one of these, and those along which it only broadcasts."""
    for axis, (before, after) in enumerate(margins):
        dim = axis - len(margins)
        if axis != but and x.shape[dim] > 1:
            x = x.narrow(dim, before, x.shape[dim] - before - after)
    return x


def accumulate_(out: Tensor, weight: Weight, x: Tensor, sign: float = 1.0) -> None:
    """``out += sign weight x``."""
    if not isinstance(weight, Tensor):
        out.add_(x, alpha=sign * weight)
    elif under_transform():  # addcmul_ has no rule for vmap
        out.add_(weight * x, alpha=sign)
    else:
        out.addcmul_(weight, x, value=sign)


def part(weight: Weight, axis: int, start: int, count: int) -> Weight:
    """A piece of a factor along an axis; all of one that only broadcasts along it."""
    if isinstance(weight, Tensor) and weight.shape[axis] > 1:
        return weight.narrow(axis, start, count)
    return weight


def weight_of(values: Tensor, uniform: bool, like: Tensor) -> Weight:
    """Values as a factor for tensors such as `like`; a number where they are on the host and all the same."""
    if uniform and values.numel() and not torch.compiler.is_compiling():
        first = values.flatten()[0]
        if bool((values == first).all()):
            return float(first)
    return values.to(like)


def along_axis(values: Tensor, axis: int, like: Tensor) -> Tensor:
    """A vector as a tensor that varies along an axis."""
    return values.to(like).reshape(-1, *[1] * (-axis - 1))
