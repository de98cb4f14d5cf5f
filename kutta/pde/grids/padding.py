"""Ghost values: what lies beyond the sides of a grid, so that one stencil serves all of its points.

Beyond a side, a field is the polynomial through the points next to it that fulfils ``a p + b dp/dn = g`` at the
boundary. With ``s`` the distance from it in units of the spacing, it goes through the points

    nodes     s = 0, 1, 2, ...       for Dirichlet without the first, whose value is the boundary's
    cells     s = 1/2, 3/2, ...

of which there are as many as the order of accuracy where a slope is given, and one less for a value alone. Order 2
makes do with one cell, since the slope between it and its ghost is exact for parabolas. So its ghosts are the usual
ones, ``2 g - u_1`` and ``u_1 + h g`` of cells, and ``u_1 + 2 h g`` of nodes. Second derivatives at the sides lose one
order by all that where a slope is given, and two for a value alone. Solutions lose none: the answer to what acts in one
cell is smaller than that to what acts everywhere by one order, and by another one beside a value that is held.

Beyond a `Wall` a field is its mirror image, whatever the order.

Here is what boundary conditions mean for stencils. What they mean for fluxes, the conductances beyond the sides, is in
`kutta.pde.elliptic.conductances`, and which waves fulfil them in `kutta.pde.waves`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.pde.grids.boundary import Periodic, Wall
from kutta.pde.grids.given import check_leading, face_value, is_data
from kutta.pde.grids.grid import Grid
from kutta.tables import table

ACCURACIES = (2, 4, 6)
# The number of the first point that a ghost depends on, and for each ghost, the nearest first, the weights of the
# points and of ``g``.
Ghosts = tuple[int, tuple[tuple[float, ...], ...]]


def pad(
    u: Tensor,
    grid: Grid,
    width: int,
    *,
    axis: int | None = None,
    accuracy: int = 2,
    t: Any = 0.0,
    directions: Sequence[int | None] = (),
) -> Tensor:
    """A field with ghost values around it.

    Args:
        u: ``(..., *grid.shape)``.
        grid: with its boundary conditions.
        width: how many ghosts at each side.
        axis: the one that is padded; by default all, one after the other, which also fills the corners.
        accuracy: order of the ghosts, 2, 4 or 6; that of the stencil that uses them.
        t: the time, for boundary values that depend on it.
        directions: of each component, which stand before the axes of the grid, the axis along which it points, or
            ``None``. At a `Wall` across that axis the component is turned around. By default there are none.

    Returns:
        the field with ``2 width`` more points on each padded axis. On node axes with `Dirichlet` sides the values of
        the boundary stand in place of those of `u`.

    Raises:
        TypeError, ValueError: for a field of another shape or of too few points for the accuracy, and for a width, an
            axis or an accuracy that there is not.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(3, 3.0, boundary=(kt.pde.Dirichlet(0.0), kt.pde.Neumann(1.0)))
        >>> kt.pde.pad(torch.tensor([1.0, 2.0, 3.0]), grid, 1)
        tensor([-1.,  1.,  2.,  3.,  4.])
    """
    check_field("u", u, grid)
    check_accuracy(accuracy)
    if axis is not None:
        check_axis(axis, grid)
    if not is_whole(width) or width < 0:
        raise ValueError(f"width must be a whole number of at least 0; got {width!r}")
    padded: list[int] = []
    for one in range(grid.dim) if axis is None else [axis]:
        u = _padded(u, grid, one, width, accuracy, t, padded, [-1.0 if way == one else 1.0 for way in directions])
        padded.append(one)
    return u


def check_field(name: str, u: Tensor, grid: Grid) -> None:
    """Refuse anything but a field on the grid."""
    if not isinstance(u, Tensor):
        raise TypeError(f"{name} must be a tensor; got {type(u).__name__}")
    if tuple(u.shape[-grid.dim :]) != grid.shape:
        raise ValueError(f"{name} must have the shape (..., {', '.join(map(str, grid.shape))}); got {tuple(u.shape)}")


def check_axis(axis: Any, grid: Grid) -> None:
    """Refuse anything but an axis of the grid."""
    if not is_whole(axis) or not 0 <= axis < grid.dim:
        raise ValueError(f"axis must be a whole number from 0 to {grid.dim - 1}; got {axis!r}")


def check_accuracy(accuracy: Any) -> None:
    """Refuse orders of accuracy that central differences do not have."""
    if not is_whole(accuracy) or accuracy not in ACCURACIES:
        raise ValueError(f"accuracy must be 2, 4 or 6; got {accuracy!r}")


def is_whole(value: Any) -> bool:
    """Whether it is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def _padded(
    u: Tensor, grid: Grid, axis: int, width: int, accuracy: int, t: Any, before: Sequence[int], signs: Sequence[float]
) -> Tensor:
    dim, count = axis - grid.dim, grid.shape[axis]
    if isinstance(grid.boundary[axis][0], Periodic):
        return _wrapped(u, dim, width)
    beyond = []
    for side in (0, 1):
        if isinstance(grid.boundary[axis][side], Wall):
            beyond.append(_mirrored(u, grid, axis, side, width, signs))
        else:
            g = _continued(face_value(u, grid, axis, side, t), grid, width, before)
            beyond.append(_ghosts(u, grid, axis, side, width, accuracy, g))
    left, right = beyond
    first, last = len(left) - width, len(right) - width  # a node on a Dirichlet side is replaced, too
    inside = u.narrow(dim, first, count - first - last)
    return torch.cat([*left[::-1], inside, *right], dim)


def _wrapped(u: Tensor, dim: int, width: int) -> Tensor:
    count = u.shape[dim]
    if width > count:
        raise ValueError(f"a periodic axis of {count} points has no {width} ghosts")
    return torch.cat([u.narrow(dim, count - width, width), u, u.narrow(dim, 0, width)], dim) if width else u


def _mirrored(u: Tensor, grid: Grid, axis: int, side: int, width: int, signs: Sequence[float]) -> list[Tensor]:
    """The points next to a wall, seen in it, the nearest first."""
    dim, count, first = axis - grid.dim, grid.shape[axis], int(grid.centring[axis] == "node")  # type: ignore[index]
    if first + width > count:
        raise ValueError(f"a wall shows {count - first} points of axis {axis}, and {width} ghosts are needed")
    points = [u.narrow(dim, first + j if side == 0 else count - 1 - first - j, 1) for j in range(width)]
    if not signs:
        return points
    turned = torch.tensor(signs, dtype=u.dtype, device=u.device).reshape(-1, *[1] * grid.dim)
    return [turned * point for point in points]


def _continued(value: float | Tensor, grid: Grid, width: int, before: Sequence[int]) -> float | Tensor:
    """The value at a side, beyond those sides that are padded already."""
    if not isinstance(value, Tensor) or value.dim() == 0:
        return value
    for one in before:
        places = torch.arange(-width, grid.shape[one] + width, device=value.device).clamp(0, grid.shape[one] - 1)
        value = value.index_select(one - grid.dim, places)
    return value


def _ghosts(u: Tensor, grid: Grid, axis: int, side: int, width: int, accuracy: int, g: float | Tensor) -> list[Tensor]:
    """The values beyond a side, the nearest first; before them that of a node on a Dirichlet side."""
    dim, count = axis - grid.dim, grid.shape[axis]
    check_leading(g, u, grid, axis, side)
    first, rows = ghosts_at(grid, axis, side, width, accuracy)
    used = len(rows[0]) - 1 if rows else 0
    if first + used > count:
        raise ValueError(f"accuracy {accuracy} needs {first + used} points on axis {axis}; the grid has {count}")
    places = [first + j if side == 0 else count - 1 - first - j for j in range(used)]
    points = [u.narrow(dim, place, 1) for place in places]
    found = [_combined(row, [*points, g], points[0]) for row in rows]
    return [torch.zeros_like(u.narrow(dim, 0, 1)) + g, *found] if is_data(grid, axis, side) else found


def _combined(weights: Sequence[float], values: Sequence[Any], like: Tensor) -> Tensor:
    *points, g = values
    total = like * weights[0]
    for weight, point in zip(weights[1:-1], points[1:], strict=True):
        total = total + weight * point
    return total if isinstance(g, int | float) and g == 0 else total + weights[-1] * g


def ghosts_at(grid: Grid, axis: int, side: int, width: int, accuracy: int) -> Ghosts:
    """The weights of the ghosts at a side, which the grid keeps."""
    key = (axis, side, width, accuracy)
    if key not in grid.ghosts:
        condition, kind = grid.boundary[axis][side], grid.centring[axis]  # type: ignore[index]
        grid.ghosts[key] = ghost_weights(kind, condition.a, condition.b, grid.spacing[axis], width, accuracy)  # type: ignore[union-attr]
    return grid.ghosts[key]


@table
def ghost_weights(kind: str, a: float, b: float, h: float, width: int, accuracy: int) -> Ghosts:
    """How ghosts follow from the points next to a side.

    Args:
        kind: ``"cell"`` or ``"node"``.
        a: of the condition.
        b: likewise.
        h: the spacing.
        width: how many ghosts.
        accuracy: order of accuracy.

    """
    first = 1 if kind == "node" and b == 0.0 else 0
    used = 1 if kind == "cell" and accuracy == 2 else accuracy - (b == 0.0)
    shift = 0.5 if kind == "cell" else 0.0
    points = np.arange(first, first + used) + shift
    degrees = np.arange(used + 1)
    # Rows: the polynomial at the points, and ``a p - (b / h) dp/ds`` at the boundary.
    condition = np.zeros(used + 1)
    condition[:2] = a, -b / h
    system = np.vstack([points[:, None] ** degrees, condition])
    ghosts = -(np.arange(width) + (0.5 if kind == "cell" else 1.0))
    if abs(np.linalg.det(system / np.abs(system).max(1, keepdims=True))) < 1e-12:
        raise ValueError(f"{a:g} u + {b:g} du/dn = g determines no ghost value at the spacing {h:.3g}: refine the grid")
    weights = np.linalg.solve(system.T, (ghosts[:, None] ** degrees).T).T
    return first, tuple(tuple(map(float, row)) for row in weights)
