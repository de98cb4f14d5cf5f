"""Relative errors that count slopes, too."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float

# From this wave number on the published norm does not see slopes.
_SEEN = 20


def relative_h1(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``|u - u*|_H1 / |u*|_H1`` with ``|v|_H1^2 = int v^2 + |grad v|^2``.

    Slopes are those of the waves along periodic axes, and central differences, one-sided at the ends, along others.
    """
    return (_squared_h1(u - target, grid) / _squared_h1(target, grid)).sqrt()


def published_h1(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """The relative error by which MgNO was trained and tabled: the norm of ``w(k) F(v)``.

        w(k) = sqrt(1 + k_1^2 + ... + k_d^2),    k_j whole numbers, and 0 in place of those from 20 on

    Fields count as periodic, of whatever length. It is no Sobolev norm, but what figures are compared with.

    Source: He, Liu, Xu, MgNO, ICLR 2024, arXiv 2310.19809, by its code.
    """
    weight = torch.ones(grid.shape, dtype=u.dtype, device=u.device)
    for axis, count in enumerate(grid.shape):
        k = torch.fft.fftfreq(count, 1.0 / count, dtype=u.dtype, device=u.device)
        k = torch.where(k.abs() >= _SEEN, 0.0, k)
        weight = weight + k.square().reshape(-1, *[1] * (grid.dim - axis - 1))
    axes = tuple(range(-grid.dim, 0))
    squares = [(weight * torch.fft.fftn(v, dim=axes).abs().square()).flatten(1).sum(1) for v in (u - target, target)]
    return (squares[0] / squares[1]).sqrt()


def _squared_h1(v: Tensor, grid: Grid) -> Tensor:
    total = v.square()
    for axis in range(grid.dim):
        total = total + _slope(v, grid, axis).square()
    return total.flatten(1).sum(1)


def _slope(v: Tensor, grid: Grid, axis: int) -> Tensor:
    dim, count = axis - grid.dim, grid.shape[axis]
    if not isinstance(grid.boundary[axis][0], Periodic):
        return torch.gradient(v, spacing=grid.spacing[axis], dim=dim, edge_order=2)[0]
    k = torch.fft.rfftfreq(count, grid.spacing[axis] / (2.0 * math.pi), dtype=v.dtype, device=v.device)
    if count % 2 == 0:
        k[-1] = 0.0  # the slope of the fastest wave vanishes at all points
    spectrum = torch.fft.rfft(v, dim=dim) * (1j * k).reshape(-1, *[1] * (-dim - 1))
    return torch.fft.irfft(spectrum, count, dim=dim)
