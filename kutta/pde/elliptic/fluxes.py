"""``div(a grad u)`` by what flows through the faces of cells, of second order.

The conductances are those of `kutta.pde.Elliptic`. So what leaves one cell enters the next, a steady state is a
solution of that operator, and layers of constant coefficients have their exact flux.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.pde.elliptic import conductances
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.given import face_value, is_data
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import pad
from kutta.pde.grids.values import total


def diffusion(u: Tensor, a: Tensor, grid: Grid, t: Any = 0.0, faces: str = "harmonic") -> Tensor:
    """``div(a grad u)`` at the points; at nodes on Dirichlet sides it means nothing.

    Args:
        u: ``(..., *grid.shape)``.
        a: the coefficient, positive, ``(..., *grid.shape)``.
        grid: with its boundary conditions.
        t: the time of their values.
        faces: the mean of two neighbours that holds between them, see `kutta.pde.Elliptic`.
    """
    u = pad(u, grid, 0, t=t)
    return total(_along(u, a, grid, axis, t, faces) for axis in range(grid.dim))


def _along(u: Tensor, a: Tensor, grid: Grid, axis: int, t: Any, faces: str) -> Tensor:
    dim, links = axis - grid.dim, conductances.between(grid, axis, a, faces)
    if isinstance(grid.boundary[axis][0], Periodic):
        flow = links * (u.roll(-1, dim) - u)
        return flow - flow.roll(1, dim)
    flow = links * torch.diff(u, dim=dim)
    ends = [_inflow(u, a, grid, axis, side, t, faces) for side in (0, 1)]
    shape = torch.broadcast_shapes(*(end.shape for end in ends), flow.narrow(dim, 0, 1).shape)
    left, right = (end.expand(shape) for end in ends)
    flow = flow.expand(*shape[: len(shape) + dim], flow.shape[dim], *shape[len(shape) + dim + 1 :])
    return torch.diff(torch.cat([-left, flow, right], dim), dim=dim) / _sizes(grid, axis, u)


def _inflow(u: Tensor, a: Tensor, grid: Grid, axis: int, side: int, t: Any, faces: str) -> Tensor:
    """What flows in at a side, over the spacing; nothing that matters at nodes whose values are data."""
    end = u.narrow(axis - grid.dim, -side, 1)
    if is_data(grid, axis, side):
        return torch.zeros_like(end)
    wall: Any = grid.boundary[axis][side]
    g = face_value(u, grid, axis, side, t)
    half = 0.5 if grid.centring[axis] == "node" else 1.0  # type: ignore[index]
    return half * conductances.inflow(grid, axis, side, a, faces) * (g - wall.a * end)


def _sizes(grid: Grid, axis: int, like: Tensor) -> Tensor | float:
    """Of the cells; half of one around nodes on sides."""
    found = conductances.volumes(grid, axis)
    return 1.0 if found is None else found.to(like)
