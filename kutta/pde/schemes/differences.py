"""Central differences of order 2, 4 and 6: pad, then add up neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from math import factorial
from typing import Any

from torch import Tensor

from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_accuracy, check_axis, is_whole, pad
from kutta.pde.grids.values import total


def derivative(u: Tensor, grid: Grid, axis: int, order: int = 1, accuracy: int = 2, t: Any = 0.0) -> Tensor:
    """A derivative along an axis.

    Args:
        u: ``(..., *grid.shape)``.
        grid: with its boundary conditions.
        axis: along which.
        order: of the derivative, 1 or more.
        accuracy: 2, 4 or 6.
        t: the time, for boundary values that depend on it.

    Returns:
        the derivative at all points, of the shape of `u`.

    Raises:
        TypeError, ValueError: for a field of another shape or of too few points for the accuracy, and for an axis, an
            order or an accuracy that there is not.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64)
        >>> wave = torch.sin(2 * torch.pi * grid.points()[0])
        >>> slope = kt.pde.derivative(wave, grid, 0, accuracy=6)
        >>> bool((slope - 2 * torch.pi * torch.cos(2 * torch.pi * grid.points()[0])).abs().max() < 1e-6)
        True
    """
    check_axis(axis, grid)
    check_accuracy(accuracy)
    if not is_whole(order) or order < 1:
        raise ValueError(f"order must be a whole number of at least 1; got {order!r}")
    weights = float_weights(order, accuracy)
    padded = pad(u, grid, len(weights) // 2, axis=axis, accuracy=accuracy, t=t)
    return differentiated(padded, weights, grid, axis, order)


def differentiated(padded: Tensor, weights: Sequence[float], grid: Grid, axis: int, order: int) -> Tensor:
    """The sum of weighted neighbours along an axis of a field that has been padded there."""
    scale, count = grid.spacing[axis] ** -order, grid.shape[axis]
    terms = [
        (weight * scale, padded.narrow(axis - grid.dim, place, count))
        for place, weight in enumerate(weights)
        if weight != 0.0
    ]
    (weight, first), *others = terms
    found = weight * first
    for weight, neighbour in others:
        found = found.add(neighbour, alpha=weight)
    return found


def float_weights(order: int, accuracy: int) -> tuple[float, ...]:
    """The weights of a central difference at spacing 1, from left to right."""
    return tuple(map(float, central_weights(order, accuracy)))


def laplacian(u: Tensor, grid: Grid, accuracy: int = 2, t: Any = 0.0) -> Tensor:
    """The sum of the second derivatives along all axes.

    Args:
        u: ``(..., *grid.shape)``.
        grid: with its boundary conditions.
        accuracy: 2, 4 or 6.
        t: the time, for boundary values that depend on it.

    Raises:
        TypeError, ValueError: as `derivative`.
    """
    return total(derivative(u, grid, axis, 2, accuracy, t) for axis in range(grid.dim))


@cache
def central_weights(order: int, accuracy: int) -> tuple[Fraction, ...]:
    """The weights of a central difference at spacing 1, from left to right.

    They are exact for polynomials up to degree ``order + accuracy - 1``: ``sum_j w_j j^k = k!`` for ``k = order`` and 0
    for the other degrees.
    """
    width = (order + 1) // 2 + accuracy // 2 - 1
    places = range(-width, width + 1)
    system = [[Fraction(j) ** k for j in places] for k in range(len(places))]
    wanted = [Fraction(factorial(order) if k == order else 0) for k in range(len(places))]
    return tuple(_solved(system, wanted))


def _solved(system: list[list[Fraction]], wanted: list[Fraction]) -> list[Fraction]:
    """Gauss and Jordan's elimination, exactly."""
    rows = [[*row, right] for row, right in zip(system, wanted, strict=True)]
    for column in range(len(rows)):
        pivot = next(row for row in range(column, len(rows)) if rows[row][column] != 0)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [entry / rows[column][column] for entry in rows[column]]
        for row in range(len(rows)):
            if row != column:
                factor = rows[row][column]
                rows[row] = [entry - factor * top for entry, top in zip(rows[row], rows[column], strict=True)]
    return [row[-1] for row in rows]
