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
        ``(..., 2, *kept)``: real and imaginary parts.
    """
    dim = len(modes)
    cosines, sines = _waves(a.shape[-1], modes[-1], True, a.dtype, a.device)
    c = torch.stack([a @ cosines, -(a @ sines)], -dim - 1) / a.shape[-1]
    for axis, count in enumerate(reversed(modes[:-1]), 2):
        cosines, sines = _waves(a.shape[-axis], count, False, a.dtype, a.device)
        c = _turned(c, cosines, -sines, dim, axis) / a.shape[-axis]
    return c


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
    dim = len(modes)
    for axis, (count, points) in enumerate(zip(reversed(modes[:-1]), reversed(shape[:-1]), strict=True), 2):
        cosines, sines = _waves(points, count, False, c.dtype, c.device)
        c = _turned(c, cosines.mT, sines.mT, dim, axis)
    cosines, sines = _waves(shape[-1], modes[-1], True, c.dtype, c.device)
    doubled = _multiplicity(shape[-1], modes[-1], c.dtype, c.device)
    real, imaginary = c.unbind(-dim - 1)
    return real @ (cosines * doubled).mT - imaginary @ (sines * doubled).mT


def kept(modes: Sequence[int]) -> tuple[int, ...]:
    """How many coefficients there are along each axis."""
    return (*modes[:-1], modes[-1] // 2 + 1)


def _turned(c: Tensor, cosines: Tensor, sines: Tensor, dim: int, axis: int) -> Tensor:
    """``sum_j c_j (cos + i sin)_jk`` along an axis."""
    real, imaginary = (part.movedim(-axis, -1) for part in c.unbind(-dim - 1))
    parts = [real @ cosines - imaginary @ sines, real @ sines + imaginary @ cosines]
    return torch.stack([part.movedim(-1, -axis) for part in parts], -dim - 1)


@table
def _waves(points: int, count: int, half: bool, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of all kept waves at all points, ``(N, m)``."""
    numbers = torch.arange(count // 2 + 1) if half else torch.arange(count) - count // 2
    # Whole turns are taken away while they are whole numbers.
    turns = torch.outer(torch.arange(points), numbers) % points
    angles = turns.to(torch.float64) * (2.0 * math.pi / points)
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


@table
def _multiplicity(points: int, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """How many waves of both signs a wave of the last axis stands for."""
    numbers = torch.arange(count // 2 + 1)
    alone = (numbers == 0) | (2 * numbers == points)
    return torch.where(alone, 1.0, 2.0).to(device, dtype)
