"""What ``-div(a grad u)`` is as a network of conductances, on a grid with its boundary conditions.

Between neighbours at a distance ``h`` there is the conductance ``a / h^2``, with the coefficient of the face between
them. Beyond a side with ``alpha u + beta du/dn = g``, what flows in, over the spacing, is

    c (g - alpha u),   c = a / (h (alpha h / 2 + beta))   into a cell, from half a spacing away,
                       c = 2 a / (h beta)                 into the half cell around a node on the side,
                       c = a / h^2                        into the node beside one on a Dirichlet side,

so that ``alpha c`` leads to the ground, and ``c g`` belongs to the right-hand side. Of a node on a side there is half a
cell, and its row is multiplied by a half: so the matrix is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Condition, Periodic
from kutta.pde.grids.given import is_data
from kutta.pde.grids.grid import Grid, conditions
from kutta.solvers.algebra.multigrid.network import Chain, Network
from kutta.solvers.algebra.multigrid.slices import Margins, within

MEANS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "harmonic": lambda a, b: 2.0 * a * b / (a + b),
    "arithmetic": lambda a, b: 0.5 * (a + b),
}


def margins(grid: Grid) -> Margins:
    """For each axis how many points before and after the unknowns are none."""
    return tuple((int(is_data(grid, axis, 0)), int(is_data(grid, axis, 1))) for axis in range(grid.dim))


def volumes(grid: Grid, axis: int) -> Tensor | None:
    """Of the points of an axis in units of the spacing; nothing where all are 1."""
    half = [side for side in (0, 1) if grid.centring[axis] == "node" and not is_data(grid, axis, side)]  # type: ignore[index]
    if not half:
        return None
    found = torch.ones(grid.shape[axis], dtype=torch.float64)
    found[[-side for side in half]] = 0.5
    return found.reshape(-1, *[1] * (grid.dim - 1 - axis))


def weights(grid: Grid) -> Tensor | None:
    """The volumes of all points, ``grid.shape``; nothing where all are 1."""
    found = [one for axis in range(grid.dim) if (one := volumes(grid, axis)) is not None]
    if not found:
        return None
    total = torch.ones(grid.shape, dtype=torch.float64)
    for one in found:
        total = total * one
    return total


def between(grid: Grid, axis: int, a: Tensor, faces: str) -> Tensor:
    """The conductances between neighbours along an axis, all around if it is periodic."""
    dim, count = axis - grid.dim, grid.shape[axis]
    shape = list(a.shape)
    shape[dim] = count
    a = a.expand(shape)
    wraps = isinstance(grid.boundary[axis][0], Periodic)
    after = a.roll(-1, dim) if wraps else a.narrow(dim, 1, count - 1)
    before = a if wraps else a.narrow(dim, 0, count - 1)
    return MEANS[faces](before, after) / grid.spacing[axis] ** 2


def inflow(grid: Grid, axis: int, side: int, a: Tensor, faces: str) -> Tensor:
    """``c`` at a side, a tensor of one point along its axis."""
    dim, h = axis - grid.dim, grid.spacing[axis]
    condition = grid.boundary[axis][side]
    assert isinstance(condition, Condition)
    if is_data(grid, axis, side):
        return between(grid, axis, a, faces).narrow(dim, -side, 1)
    if grid.centring[axis] == "node":  # type: ignore[index]
        return 2.0 * a.narrow(dim, -side, 1) / (h * condition.b)
    a = a.narrow(dim, -side, 1) if condition.b == 0.0 else _at_face(a, dim, side)
    return a / (h * (0.5 * h * condition.a + condition.b))


def _at_face(a: Tensor, dim: int, side: int) -> Tensor:
    """The coefficient of cells at a side: half a spacing further, along a mean of the last two slopes.

    With ``p`` and ``q`` the differences of the last two pairs of cells, the last one of which has the value ``a``,

        s = (p q (p + q) + e^2 p) / (p^2 + q^2 + e^2),  e = a / 10,      a (x + sqrt(1 + x^2)),  x = s / (2 a)

    This is of second order where the coefficient is smooth, nearly that of the cell where layers of constant ones end,
    positive, and differentiable everywhere: limiters that choose among slopes are not, where slopes are equal.
    The mean is that of van Albada, van Leer and Roberts, A comparative study of computational methods in cosmic gas
    dynamics, 1982.
    """
    if a.shape[dim] < 3:
        return a.narrow(dim, -side, 1)
    first, second, third = (a.narrow(dim, -1 - k if side else k, 1) for k in range(3))
    near, far = first - second, second - third
    small = (0.1 * first) ** 2
    slope = (near * far * (near + far) + small * near) / (near**2 + far**2 + small)
    part = 0.5 * slope / first
    return first * (part + torch.sqrt(1.0 + part**2))


def network(grid: Grid, a: Tensor, ground: Tensor, faces: str, uniform: bool, singular: bool) -> Network:
    """The network of ``shift u - div(a grad u)``.

    Args:
        grid: with its boundary conditions.
        a: the coefficient; it broadcasts with the grid.
        ground: the shift, likewise.
        faces: a mean of `MEANS`.
        uniform: see `Network`.
        singular: likewise.
    """
    chains = [_chain(grid, axis, a, faces) for axis in range(grid.dim)]
    around = margins(grid)
    ground = within(ground, around)
    for axis in range(grid.dim):
        size = volumes(grid, axis)
        if size is not None:
            size = within(size.reshape([1] * (grid.dim - size.dim()) + [*size.shape]).to(a), around)
            ground = ground * size
            chains = [one if n == axis else replace(one, links=one.links * size) for n, one in enumerate(chains)]
    return Network(tuple(chains), ground, uniform, singular)


def _chain(grid: Grid, axis: int, a: Tensor, faces: str) -> Chain:
    """The conductances along an axis, but for the volumes across it."""
    dim = axis - grid.dim
    periodic, cells = isinstance(grid.boundary[axis][0], Periodic), grid.centring[axis] == "cell"  # type: ignore[index]
    links = between(grid, axis, a, faces)
    if periodic:
        links = torch.cat([links.narrow(dim, -1, 1), links], dim)
    else:
        ends = [_end(grid, axis, side, a, faces) for side in (0, 1)]
        links = torch.cat([ends[0], links, ends[1]], dim)
    grounded = is_data(grid, axis, 0), is_data(grid, axis, 1)
    sizes = torch.ones(grid.shape[axis], dtype=torch.float64)
    return Chain(dim, within(links, margins(grid), but=axis), periodic, cells, sizes, grounded)


def _end(grid: Grid, axis: int, side: int, a: Tensor, faces: str) -> Tensor:
    """What leads from the last unknown to the ground; nothing more where there is a node on a Dirichlet side."""
    c, condition = inflow(grid, axis, side, a, faces), grid.boundary[axis][side]
    if is_data(grid, axis, side):
        return c.narrow(axis - grid.dim, 0, 0)
    half = 0.5 if grid.centring[axis] == "node" else 1.0  # type: ignore[index]
    return half * condition.a * c  # type: ignore[attr-defined]


def check_sides(grid: Grid) -> None:
    """Refuse what determines nothing, ``alpha h / 2 + beta = 0``."""
    for axis, side, condition in conditions(grid):
        h = grid.spacing[axis]
        if grid.centring[axis] == "cell" and abs(0.5 * h * condition.a + condition.b) < 1e-12 * abs(condition.b):  # type: ignore[index]
            raise ValueError(
                f"{condition.a:g} u + {condition.b:g} du/dn = g at side {side} of axis {axis} determines no value at "
                f"the spacing {h:.3g}: refine the grid"
            )
