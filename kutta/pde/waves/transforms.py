"""The transforms in which second differences are diagonal: which one, the two sides of an axis say.

    cells, values 0 at both sides        sin(pi k (j + 1/2) / n)     DST-II
    cells, slopes 0 at both sides        cos(pi k (j + 1/2) / n)     DCT-II
    nodes, values 0 at both sides        sin(pi k j / (n + 1))       DST-I
    nodes, slopes 0 at both sides        cos(pi k j / (n - 1))       DCT-I
    periodic                             exp(2 pi i k j / n)         FFT

With a value at one side and a slope at the other a field is continued evenly beyond the slope, to values at both sides.
All of them are FFTs of fields that are continued beyond the sides, oddly where the value is zero, evenly where the
slope is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Dirichlet, Neumann, Periodic
from kutta.pde.grids.given import is_data
from kutta.pde.grids.grid import Grid
from kutta.pde.waves.kinds import EVEN, ODD, kind_of
from kutta.solvers.algebra.operators.linear_operator import Inverse


class Transform(NamedTuple):
    """A transform along one axis.

    Attributes:
        forward, backward: it and its inverse, of tensors whose axis `dim` has the unknowns.
        symbols: what minus the second difference, at spacing 1, does to each entry.
    """

    forward: Callable[[Tensor, int], Tensor]
    backward: Callable[[Tensor, int], Tensor]
    symbols: Tensor


def diagonalised(grid: Grid, coefficient: float, shift: float) -> Inverse | None:
    """``x -> A^-1 x`` for the unknowns of ``shift u - coefficient laplacian(u)``; nothing if there are Robin sides.

    Where a symbol is zero the answer has zero, so that solutions have mean zero.
    """
    transforms = [_transform(grid, axis) for axis in range(grid.dim)]
    real = [(axis - grid.dim, one) for axis, one in enumerate(transforms) if isinstance(one, Transform)]
    waves = [axis - grid.dim for axis in range(grid.dim) if isinstance(grid.boundary[axis][0], Periodic)]
    if len(real) + len(waves) < grid.dim:
        return None
    symbols = torch.full([1] * grid.dim, shift, dtype=torch.float64)
    for dim, one in real:
        symbols = symbols + coefficient / grid.spacing[dim] ** 2 * _along(one.symbols, dim)
    for dim in waves:
        count = grid.shape[dim] // 2 + 1 if dim == waves[-1] else grid.shape[dim]
        waves_of = torch.arange(count, dtype=torch.float64) * (2.0 * math.pi / grid.shape[dim])
        symbols = symbols + coefficient / grid.spacing[dim] ** 2 * _along(2.0 - 2.0 * waves_of.cos(), dim)
    reciprocal = torch.where(symbols == 0.0, 0.0, 1.0 / torch.where(symbols == 0.0, 1.0, symbols))

    def inverse(x: Tensor) -> Tensor:
        if x.is_complex():
            return torch.complex(inverse(x.real), inverse(x.imag))
        factor = reciprocal.to(x)
        for dim, one in real:
            x = one.forward(x, dim)
        if waves:
            x = torch.fft.irfftn(factor * torch.fft.rfftn(x, dim=waves), [grid.shape[dim] for dim in waves], waves)
        else:
            x = factor * x
        for dim, one in real:
            x = one.backward(x, dim)
        return x

    return inverse


def _along(values: Tensor, dim: int) -> Tensor:
    return values.reshape(-1, *[1] * (-dim - 1))


def _transform(grid: Grid, axis: int) -> Transform | None:
    """That of an axis; nothing for periodic ones, and where there is none."""
    left, right = grid.boundary[axis]
    cells = grid.centring[axis] == "cell"  # type: ignore[index]
    unknowns = grid.shape[axis] - sum(is_data(grid, axis, side) for side in (0, 1))
    kind = kind_of((left, right))
    if kind == ODD:
        return sines_of_cells(unknowns) if cells else sines_of_nodes(unknowns)
    if kind == EVEN:
        return cosines_of_cells(unknowns) if cells else cosines_of_nodes(unknowns)
    if isinstance(left, Dirichlet) and isinstance(right, Neumann):
        return _continued(unknowns, cells)
    if isinstance(left, Neumann) and isinstance(right, Dirichlet):
        return _reversed(_continued(unknowns, cells))
    return None


def cosines_of_cells(n: int) -> Transform:
    """``X_k = 2 sum_j x_j cos(pi k (j + 1/2) / n)``."""
    turns = torch.arange(n, dtype=torch.float64) * (math.pi / n)

    def forward(x: Tensor, dim: int) -> Tensor:
        spectrum = torch.fft.rfft(torch.cat([x, x.flip(dim)], dim), dim=dim).narrow(dim, 0, n)
        phase = 0.5 * _along(turns, dim)
        return spectrum.real * phase.cos().to(x) + spectrum.imag * phase.sin().to(x)

    def backward(x: Tensor, dim: int) -> Tensor:
        phase = 0.5 * _along(turns, dim)
        spectrum = torch.complex(x * phase.cos().to(x), x * phase.sin().to(x))
        return torch.fft.irfft(spectrum, 2 * n, dim=dim).narrow(dim, 0, n)

    return Transform(forward, backward, 2.0 - 2.0 * turns.cos())


def sines_of_cells(n: int) -> Transform:
    """``X_k = 2 sum_j (-1)^j x_j cos(pi k (j + 1/2) / n)``, which is that with the sine of ``n - k``."""
    cosines = cosines_of_cells(n)
    signs = 1.0 - 2.0 * (torch.arange(n, dtype=torch.float64) % 2)

    def forward(x: Tensor, dim: int) -> Tensor:
        return cosines.forward(_along(signs, dim).to(x) * x, dim)

    def backward(x: Tensor, dim: int) -> Tensor:
        return _along(signs, dim).to(x) * cosines.backward(x, dim)

    return Transform(forward, backward, 4.0 - cosines.symbols)


def sines_of_nodes(n: int) -> Transform:
    """``X_k = 2 sum_j x_j sin(pi k j / (n + 1))`` with ``j, k`` from 1 to ``n``."""

    def forward(x: Tensor, dim: int) -> Tensor:
        zero = torch.zeros_like(x.narrow(dim, 0, 1))
        continued = torch.cat([zero, x, zero, -x.flip(dim)], dim)
        return -torch.fft.rfft(continued, dim=dim).imag.narrow(dim, 1, n)

    turns = torch.arange(1, n + 1, dtype=torch.float64) * (math.pi / (n + 1))
    return Transform(forward, lambda x, dim: forward(x, dim) / (2 * n + 2), 2.0 - 2.0 * turns.cos())


def cosines_of_nodes(n: int) -> Transform:
    """``X_k = x_0 + (-1)^k x_{n-1} + 2 sum_j x_j cos(pi k j / (n - 1))`` with the sum over the nodes inside."""

    def forward(x: Tensor, dim: int) -> Tensor:
        continued = torch.cat([x, x.narrow(dim, 1, n - 2).flip(dim)], dim)
        return torch.fft.rfft(continued, dim=dim).real

    turns = torch.arange(n, dtype=torch.float64) * (math.pi / (n - 1))
    return Transform(forward, lambda x, dim: forward(x, dim) / (2 * n - 2), 2.0 - 2.0 * turns.cos())


def _continued(n: int, cells: bool) -> Transform:
    """The value is zero at the left side, and the slope at the right one: every second sine of the continued field."""
    whole = sines_of_cells(2 * n) if cells else sines_of_nodes(2 * n - 1)
    first = 1 if cells else 0
    size = len(whole.symbols)

    def forward(x: Tensor, dim: int) -> Tensor:
        mirrored = x if cells else x.narrow(dim, 0, n - 1)
        spectrum = whole.forward(torch.cat([x, mirrored.flip(dim)], dim), dim)
        return spectrum.index_select(dim, torch.arange(first, size, 2, device=x.device))

    def backward(x: Tensor, dim: int) -> Tensor:
        pair = [torch.zeros_like(x), x] if cells else [x, torch.zeros_like(x)]
        spectrum = torch.stack(pair, x.dim() + dim + 1).flatten(x.dim() + dim, x.dim() + dim + 1)
        return whole.backward(spectrum.narrow(dim, 0, size), dim).narrow(dim, 0, n)

    return Transform(forward, backward, whole.symbols[first::2])


def _reversed(transform: Transform) -> Transform:
    """For a field that is read from the right."""
    return Transform(
        lambda x, dim: transform.forward(x.flip(dim), dim),
        lambda x, dim: transform.backward(x, dim).flip(dim),
        transform.symbols,
    )
