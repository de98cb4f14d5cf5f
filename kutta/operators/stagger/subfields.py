"""Every s-th point of a field, from each of the first ones on: sub-fields ``u[p::s]``, and their grids."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from kutta.pde.grids.grid import Grid


def unshuffle(u: Tensor, stagger: Sequence[int]) -> Tensor:
    """All sub-fields of fields.

    Args:
        u: ``(..., *shape)``, whose entries are multiples of those of `stagger`.
        stagger: ``s`` along each axis.

    Returns:
        ``(offsets, ..., *shape / s)``, the offset along the last axis running fastest.
    """
    dim, lead = len(stagger), u.dim() - len(stagger)
    for axis, step in enumerate(reversed(stagger), 1):
        u = u.unflatten(-axis - (axis - 1), (-1, step))
    offsets = [lead + 2 * axis + 1 for axis in range(dim)]
    return u.movedim(offsets, list(range(dim))).flatten(0, dim - 1)


def shuffle(parts: Tensor, stagger: Sequence[int]) -> Tensor:
    """The fields with these sub-fields, ``(offsets, ..., *shape / s) -> (..., *shape)``."""
    dim = len(stagger)
    u = parts.unflatten(0, tuple(stagger))
    lead = u.dim() - 2 * dim
    u = u.movedim(list(range(dim)), [lead + 2 * axis + 1 for axis in range(dim)])
    for axis in range(dim):
        u = u.flatten(lead + axis, lead + axis + 1)
    return u


def subgrids(grid: Grid, stagger: Sequence[int]) -> Iterator[Grid]:
    """The grid of each sub-field, with its points where they were; between walls the box moves with them."""
    shape = tuple(count // step for count, step in zip(grid.shape, stagger, strict=True))
    for offset in itertools.product(*map(range, stagger)):
        yield replace(grid, shape=shape, origin=_origin(grid, stagger, offset))


def _origin(grid: Grid, stagger: Sequence[int], offset: Sequence[int]) -> tuple[float, ...]:
    """Where the box of a sub-field begins: half of its own spacing before its first cell."""
    axes = zip(grid.origin, grid.spacing, grid.centring, stagger, offset, strict=True)  # type: ignore[arg-type]
    return tuple(begin + h * (place - 0.5 * (step - 1) * (kind == "cell")) for begin, h, kind, step, place in axes)


def check_stagger(grid: Grid, stagger: Sequence[int]) -> None:
    """Refuse grids that have no equal sub-fields.

    Raises:
        ValueError: for axes of nodes, both ends of which only one sub-field would have, and for sizes that are no
            multiples.
    """
    for axis, (points, kind, step) in enumerate(zip(grid.shape, grid.centring, stagger, strict=True)):  # type: ignore[arg-type]
        if kind == "node":
            raise ValueError(
                f"grid must have cells or be periodic along axis {axis}; got nodes, which have no equal parts"
            )
        if points % step:
            raise ValueError(f"grid must have a multiple of {step} points along axis {axis}; got {points}")


def count_of(stagger: Sequence[int]) -> int:
    """How many sub-fields there are."""
    return math.prod(stagger)
