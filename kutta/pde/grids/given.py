"""What the boundary gives: values at the sides of a grid, and the nodes that have them.

At nodes on `Dirichlet` sides the value of a field is that of the boundary, and no unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Dirichlet
from kutta.pde.grids.grid import Grid, conditions


def is_data(grid: Grid, axis: int, side: int) -> bool:
    """Whether the outermost points at a side are given by the boundary."""
    return grid.centring[axis] == "node" and isinstance(grid.boundary[axis][side], Dirichlet)  # type: ignore[index]


def filled(grid: Grid, u: Tensor, t: Any) -> Tensor:
    """A field with the boundary's values at the nodes where they are given."""
    for axis, side, _ in conditions(grid):
        if is_data(grid, axis, side):
            dim = axis - grid.dim
            value = face_value(u, grid, axis, side, t)
            check_leading(value, u, grid, axis, side)
            value = torch.as_tensor(value).to(u)
            ends = [value.expand(u.narrow(dim, 0, 1).shape), u.narrow(dim, 1 - side, grid.shape[axis] - 1)]
            u = torch.cat(ends[::-1] if side else ends, dim)  # unlike a scatter's, with derivatives of complex fields
    return u


def where_unknown(grid: Grid, u: Tensor) -> Tensor:
    """A field with zeros at the nodes whose values are the boundary's."""
    for axis, side, _ in conditions(grid):
        if is_data(grid, axis, side):
            ends = torch.ones(grid.shape[axis], dtype=u.real.dtype, device=u.device)
            ends[-side] = 0.0
            u = u * ends.reshape(-1, *[1] * (grid.dim - axis - 1))
    return u


def unknowns(grid: Grid) -> Tensor:
    """A field that is 1 where values are unknown, and 0 at the nodes where the boundary gives them."""
    return where_unknown(grid, torch.ones(grid.shape, dtype=torch.float64))


def face_value(u: Tensor, grid: Grid, axis: int, side: int, t: Any) -> float | Tensor:
    """``g`` at a side, as a field has it: a number, or a tensor of one point along the axis."""
    condition = grid.boundary[axis][side]
    value = condition.g  # type: ignore[attr-defined]
    if callable(value):
        face = grid.face(axis, side, u.real.dtype if u.is_complex() else u.dtype, u.device)
        value = condition.value(face, t)  # type: ignore[attr-defined]
    if not isinstance(value, Tensor):
        return value
    check_kind(value, u, axis, side)
    return _over_face(value.to(u), grid, axis, side).unsqueeze(axis - grid.dim) if value.dim() else value


def _over_face(value: Tensor, grid: Grid, axis: int, side: int) -> Tensor:
    """Boundary values at all places of a face; axes of 1 stand for all of them."""
    face = (*grid.shape[:axis], *grid.shape[axis + 1 :])
    lead = value.dim() - len(face)
    if lead < 0 or any(one not in (1, count) for one, count in zip(value.shape[lead:], face, strict=True)):
        raise ValueError(
            f"g at side {side} of axis {axis} must be a number or have the shape (..., {', '.join(map(str, face))}) of "
            f"the face; got {tuple(value.shape)}"
        )
    return value.expand(*value.shape[:lead], *face)


def check_leading(value: float | Tensor, u: Tensor, grid: Grid, axis: int, side: int) -> None:
    """Refuse what `face_value` says of more samples or components than a field has."""
    if not isinstance(value, Tensor) or value.dim() == 0:
        return
    of_values, of_field = tuple(value.shape[: -grid.dim]), tuple(u.shape[: -grid.dim])
    if not is_within(of_values, of_field):
        raise ValueError(
            f"g at side {side} of axis {axis} has the axes {of_values} before those of the face, and the field there "
            f"has {of_field}: give it values for the samples and components of that field, or one for all"
        )


def is_within(before: Sequence[int], lead: Sequence[int]) -> bool:
    """Whether leading axes add none to others."""
    try:
        return torch.broadcast_shapes(tuple(before), tuple(lead)) == tuple(lead)
    except RuntimeError:
        return False


def check_kind(value: Tensor, u: Tensor, axis: int, side: int) -> None:
    """Refuse a complex boundary value of a real field, which would lose its imaginary part."""
    if value.is_complex() and not u.is_complex():
        raise TypeError(
            f"g at side {side} of axis {axis} is complex, {value.dtype}, and the field is real, {u.dtype}: give the "
            "field, such as u0 or a source, a complex dtype, or g a real one"
        )
