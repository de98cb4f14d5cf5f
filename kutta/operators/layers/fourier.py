"""Truncated Fourier transforms as products with matrices.

Neural operators keep few waves, some 10 to 30 along an axis of some hundred points. Then a product with a matrix of
their values takes no longer than a fast transform of all waves, of which most would be thrown away. It has derivatives
of all orders, and compiles.

Along the last axis a real field has the waves ``k = 0..m // 2``; along the others both signs, ``k = -(m // 2)..``. With
the mean in place of the sum, coefficients belong to the function and not to the number of points:

    c_k = 1/N sum_j a_j exp(-2 pi i k j / N),    a_j = Re sum_k w_k c_k exp(2 pi i k j / N),

where ``w_k`` is 2 for waves of the last axis that stand for their conjugates, too, and 1 for the others. The real part
is what makes the coefficients of ``k = 0`` symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kutta.operators.layers.precision import in_single_precision
from kutta.tables import table


@in_single_precision
def forward(a: Tensor, modes: Sequence[int]) -> Tensor:
    """Coefficients of the kept waves.

    Args:
        a: ``(..., *shape)``.
        modes: how many waves, both signs counted, along each axis.

    Returns:
        ``(..., 2, *kept)``: real and imaginary parts. In memory the leading axes stand last, so that all coefficients
        of one wave lie side by side.
    """
    dim, lead = len(modes), a.shape[: -len(modes)]
    halves = a @ _of_half(a.shape[-1], modes[-1], a.dtype, a.device)
    # (lead, *others, 2 kept) -> (2, *others, kept, lead)
    c = halves.unflatten(-1, (2, -1)).flatten(0, len(lead) - 1).movedim((0, -2), (-1, 0))
    for axis, (count, points) in enumerate(zip(modes[:-1], a.shape[-dim:-1], strict=True), 1):
        c = _turned(c, _of_both(points, count, a.dtype, a.device), axis)
    return c.unflatten(-1, lead).movedim(list(range(dim + 1)), list(range(-dim - 1, 0)))


@in_single_precision
def backward(c: Tensor, modes: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The field with some coefficients.

    Args:
        c: ``(..., 2, *kept)``.
        modes: as of `forward`.
        shape: of the grid.

    Returns:
        ``(..., *shape)``.
    """
    dim, lead = len(modes), c.shape[: -len(modes) - 1]
    # (*lead, 2, *kept) -> (2, *kept, lead)
    c = c.movedim(list(range(-dim - 1, 0)), list(range(dim + 1))).flatten(dim + 1)
    for axis, (count, points) in enumerate(zip(modes[:-1], shape[:-1], strict=True), 1):
        c = _turned(c, points * _of_both(points, count, c.dtype, c.device).mT, axis)
    halves = c.movedim((-1, 0), (0, -2)).flatten(-2)
    u = halves @ _to_field(shape[-1], modes[-1], c.dtype, c.device)
    return u.unflatten(0, lead)


def kept(modes: Sequence[int]) -> tuple[int, ...]:
    """How many coefficients there are along each axis."""
    return (*modes[:-1], modes[-1] // 2 + 1)


def _turned(c: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """A product with a matrix of pairs of numbers along the first axis, the pairs, and another one."""
    pairs = c.movedim(axis, 1)
    turned = matrix @ pairs.flatten(2).flatten(0, 1)
    return turned.unflatten(0, (2, -1)).unflatten(-1, pairs.shape[2:]).movedim(1, axis)


@table
def _of_half(points: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """From a real line to its coefficients, ``(N, 2 kept)``."""
    cosines, sines = _waves(points, torch.arange(count // 2 + 1))
    return (torch.cat([cosines, -sines], 1) / points).to(device, dtype)


@table
def _to_field(points: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """From coefficients to a real line, ``(2 kept, N)``."""
    numbers = torch.arange(count // 2 + 1)
    alone = (numbers == 0) | (2 * numbers == points)
    stands_for = torch.where(alone, 1.0, 2.0)  # so many waves of both signs
    cosines, sines = _waves(points, numbers)
    return torch.cat([stands_for * cosines, -stands_for * sines], 1).mT.contiguous().to(device, dtype)


@table
def _of_both(points: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """From a complex line to its coefficients, as pairs of real numbers, ``(2 m, 2 N)``."""
    cosines, sines = (one.mT / points for one in _waves(points, torch.arange(count) - count // 2))
    return torch.cat([torch.cat([cosines, sines], 1), torch.cat([-sines, cosines], 1)]).to(device, dtype)


def _waves(points: int, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of waves at all points, ``(N, m)``."""
    # Whole turns are taken away while they are whole numbers.
    turns = torch.outer(torch.arange(points), numbers) % points
    angles = turns.to(torch.float64) * (2.0 * math.pi / points)
    return angles.cos(), angles.sin()
