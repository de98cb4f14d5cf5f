"""Fields on finer and coarser grids, by filters that leave low waves as they are and take away high ones.

A field with no waves above the highest of its grid is known between the points, too. With ``h`` the larger of the two
spacings, that from which it comes and that to which it goes, and ``w`` a Kaiser window of half-width ``6 h``,

    u(y) = sum_j a_j g(y - x_j),    g(s) ~ sinc(s / h) w(s),    sum_j g(y - x_j) = 1.

To a finer grid this interpolates; to a coarser one it takes away what that cannot show, which would otherwise look like
low waves there. Waves up to half the highest one of the coarser grid pass within 5e-4, and those from 3/2 of it on are
gone as far. Filters act along one axis after the other, as products with matrices, which hold what lies beyond the
sides: the field, around a periodic axis; its image with the opposite sign, beyond a value; its image, beyond all else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kutta.operators.layers.products import along
from kutta.pde.grids.boundary import Boundary, Dirichlet, Periodic
from kutta.pde.grids.grid import Grid
from kutta.tables import table

# In spacings of the coarser grid, and the shape of the window: with 8 the errors above are those of the best compromise
# between waves that pass and waves that are gone.
HALF_WIDTH, KAISER = 6, 8.0


def resampled(u: Tensor, grid: Grid, shape: Sequence[int]) -> Tensor:
    """A field on a grid with the same sides and other points, ``(..., *grid.shape) -> (..., *shape)``."""
    for axis, (points, wanted) in enumerate(zip(grid.shape, shape, strict=True)):
        if points != wanted:
            signs = tuple(map(_sign, grid.boundary[axis]))
            matrix = _filter(grid.centring[axis], signs, points, wanted, u.dtype, u.device)  # type: ignore[index]
            u = along(u, matrix, axis - grid.dim)
    return u


def refined(grid: Grid) -> Grid:
    """With half the spacing: twice the points, or ``2 n - 1`` nodes."""
    counts = zip(grid.shape, grid.centring, strict=True)  # type: ignore[arg-type]
    return replace(grid, shape=tuple(2 * count - (kind == "node") for count, kind in counts))


def _sign(side: Boundary) -> float:
    """By what the image beyond a side is multiplied; 0 where there is none."""
    return 0.0 if isinstance(side, Periodic) else -1.0 if isinstance(side, Dirichlet) else 1.0


@table
def _filter(
    centring: str, signs: tuple[float, float], points: int, wanted: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """What each point is to each wanted one, ``(N, M)``."""
    places, (given, spacing) = _places(centring, wanted), (_places(centring, points), _spacing(centring, points))
    coarser = max(spacing, _spacing(centring, wanted))
    reach = math.ceil(HALF_WIDTH * coarser / spacing) + 1
    numbers = np.arange(-reach, points + reach)
    distances = (places[:, None] - (given[0] + spacing * numbers)) / coarser
    weights = np.sinc(distances) * np.i0(KAISER * np.sqrt(np.clip(1.0 - (distances / HALF_WIDTH) ** 2, 0.0, None)))
    weights[np.abs(distances) >= HALF_WIDTH] = 0.0
    weights /= weights.sum(1, keepdims=True)
    matrix = np.zeros((points, wanted))
    for column, number in enumerate(numbers):
        place, sign = _seen(int(number), centring, signs, points)
        matrix[place] += sign * weights[:, column]
    return torch.from_numpy(matrix).to(device, dtype)


def _seen(number: int, centring: str, signs: tuple[float, float], points: int) -> tuple[int, float]:
    """The point whose value stands at a place beyond the sides, and the sign that it has there."""
    if centring == "periodic":
        return number % points, 1.0
    shift, sign = (0 if centring == "node" else 1), 1.0
    while not 0 <= number < points:
        side = int(number >= points)
        number = 2 * (points - 1) + shift - number if side else -shift - number
        sign *= signs[side]
    return number, sign


def _spacing(centring: str, points: int) -> float:
    """Of an axis of length 1."""
    return 1.0 / (points - (centring == "node"))


def _places(centring: str, points: int) -> np.ndarray:
    """Of the points of an axis of length 1."""
    return _spacing(centring, points) * (np.arange(points) + 0.5 * (centring == "cell"))
