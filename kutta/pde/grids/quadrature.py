"""Integrals of fields over the box of a grid, as sums over its points."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid


def quadrature(grid: Grid) -> Tensor:
    """The volume that belongs to each point, ``grid.shape``, in float64: ``sum w u`` is about the integral of ``u``.

    At cells that is the midpoint rule, exact where values are means of cells; at the points of periodic axes the rule
    of trapezoids, which for smooth fields is as exact as can be; and so it is at nodes, where those at the ends count
    half.

    Example:
        >>> import kutta as kt
        >>> from kutta.pde.grids.quadrature import quadrature
        >>> quadrature(kt.pde.Grid(5, 2.0, "node", kt.pde.Neumann()))
        tensor([0.2500, 0.5000, 0.5000, 0.5000, 0.2500], dtype=torch.float64)
    """
    total = torch.ones(grid.shape, dtype=torch.float64)
    for axis, (count, h) in enumerate(zip(grid.shape, grid.spacing, strict=True)):
        along = torch.full((count,), h, dtype=torch.float64)
        if grid.centring[axis] == "node":  # type: ignore[index]
            along[[0, -1]] = 0.5 * h
        total = total * along.reshape(-1, *[1] * (grid.dim - 1 - axis))
    return total
