"""Orthonormal transforms that suit the sides of a grid, truncated, as products with matrices.

With ``N`` points along an axis, ``j = 0..N - 1``, fields are sums of

    values 0 at both sides, cells     sqrt(2 / N) sin(pi k (j + 1/2) / N),     k = 1..N        DST-II
    periodic                          1 / sqrt(N), sqrt(2 / N) cos(2 pi k j / N), sqrt(2 / N) sin(2 pi k j / N), ...
    all others                        sqrt(2 / N) cos(pi k (j + 1/2) / N),     k = 0..N - 1    DCT-II

where the constant and what alternates from point to point have ``1 / N`` in place of ``2 / N``. They stand in the
order of their wave numbers, the cosine before the sine. Sums of squares are those of the field (Parseval), and the
gradient of a transform is its inverse.

Cosines suit slopes that vanish at both sides, sines values that do: there coefficients decay fastest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kutta.operators.layers.precision import in_single_precision
from kutta.operators.layers.products import along
from kutta.pde.grids.grid import Grid
from kutta.pde.waves.kinds import EVEN, ODD, PERIODIC, kind_of
from kutta.tables import table

# How many of the lowest are kept along an axis, or the numbers of those that are.
Kept = int | tuple[int, ...]


@in_single_precision
def forward(a: Tensor, grid: Grid, modes: Sequence[Kept]) -> Tensor:
    """Coefficients of fields, ``(..., *shape) -> (..., *kept)``."""
    for axis, basis in _bases(grid, modes, a):
        a = along(a, basis, axis)
    return a


@in_single_precision
def backward(c: Tensor, grid: Grid, modes: Sequence[Kept]) -> Tensor:
    """The fields with some coefficients and zero for all others, ``(..., *kept) -> (..., *shape)``."""
    for axis, basis in _bases(grid, modes, c):
        c = along(c, basis.mT, axis)
    return c


def counts(modes: Sequence[Kept]) -> tuple[int, ...]:
    """How many coefficients there are along each axis."""
    return tuple(one if isinstance(one, int) else len(one) for one in modes)


def kind_along(grid: Grid, axis: int) -> str:
    """Which of the three bases an axis has."""
    kind = kind_of(grid.boundary[axis])
    sines = kind == ODD and grid.centring[axis] == "cell"  # type: ignore[index]
    return kind if kind == PERIODIC or sines else EVEN  # type: ignore[return-value]


def _bases(grid: Grid, modes: Sequence[Kept], like: Tensor) -> list[tuple[int, Tensor]]:
    """The axes, counted from the end of a shape, with the kept basis vectors of each as columns."""
    return [
        (axis - grid.dim, _basis(kind_along(grid, axis), grid.shape[axis], kept, like.dtype, like.device))
        for axis, kept in enumerate(modes)
    ]


@table
def _basis(kind: str, points: int, kept: Kept, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Basis vectors as columns, ``(N, m)``."""
    numbers = torch.arange(kept) if isinstance(kept, int) else torch.tensor(kept, dtype=torch.long)
    values = WAVES[kind](torch.arange(points)[:, None], numbers, points)
    return (values / math.sqrt(points)).to(device, dtype)


def _cosines(place: Tensor, k: Tensor, points: int) -> Tensor:
    return _norm(k == 0) * _turned((2 * place + 1) * k, 4 * points).cos()


def _sines(place: Tensor, k: Tensor, points: int) -> Tensor:
    return _norm(k + 1 == points) * _turned((2 * place + 1) * (k + 1), 4 * points).sin()


def _of_both(place: Tensor, number: Tensor, points: int) -> Tensor:
    """1, cos 1, sin 1, cos 2, sin 2, ..."""
    k = (number + 1) // 2
    angles = _turned(place * k, points)
    return _norm((k == 0) | (2 * k == points)) * torch.where(number % 2 == 1, angles.cos(), angles.sin() + (k == 0))


WAVES = {EVEN: _cosines, ODD: _sines, PERIODIC: _of_both}


def _norm(alone: Tensor) -> Tensor:
    """What makes the mean square 1: of waves that stand alone it is, and of cosines and sines 1/2."""
    return (2.0 - alone.to(torch.float64)).sqrt()


def _turned(steps: Tensor, turn: int) -> Tensor:
    """Angles; whole turns are taken away while they are whole numbers."""
    return (steps % turn).to(torch.float64) * (2.0 * math.pi / turn)
