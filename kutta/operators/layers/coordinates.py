"""Where the points are, as channels."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid


def with_coordinates(a: Tensor, grid: Grid) -> Tensor:
    """Fields and, behind them, the coordinates, each from 0 to 1 along its axis; ``(n, i + d, *shape)``."""
    unit = Grid(grid.shape, centring=grid.centring, boundary=grid.boundary)
    places = unit.points(a.dtype, a.device)
    return torch.cat([a, places.expand(len(a), *places.shape)], 1)
