"""Grids for waves that wrap around: enough points, and room behind axes that do not."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.grid import Grid


def check_modes(modes: Sequence[int], grid: Grid) -> None:
    """Refuse grids with fewer points than waves that are kept."""
    for axis, (count, points) in enumerate(zip(modes, grid.shape, strict=True)):
        if count > points:
            raise ValueError(f"{count} waves along axis {axis} need as many points; the grid has {points}")


def check_padding(padding: float) -> None:
    """Refuse less than no room."""
    if padding < 0.0:
        raise ValueError(f"padding must not be negative; got {padding!r}")


def continued(v: Tensor, grid: Grid, fraction: float) -> Tensor:
    """Fields with zeros behind the axes that do not wrap around."""
    sides = zip(grid.shape, grid.boundary, strict=True)
    more = [0 if isinstance(left, Periodic) else round(fraction * count) for count, (left, _) in sides]
    return functional.pad(v, [entry for count in reversed(more) for entry in (0, count)]) if any(more) else v


def cut(v: Tensor, grid: Grid) -> Tensor:
    """Of continued fields what lies on the grid."""
    for axis, count in enumerate(grid.shape):
        v = v.narrow(axis + 2, 0, count)
    return v
