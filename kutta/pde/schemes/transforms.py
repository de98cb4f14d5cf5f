"""Sine, cosine and Fourier transforms along the axes of a grid, and what derivatives are there.

A field on a periodic axis is a sum of ``exp(i k x)``. Between walls it is continued beyond them, evenly where its slope
vanishes at both and oddly where its value does, and is a sum of cosines or sines. With ``N`` points, ``x_j`` their
distance from the left side and ``L`` the length,

    even, cells    cos(pi k x / L),  k = 0 .. N - 1       odd, cells    sin(pi k x / L),  k = 1 .. N
    even, nodes    cos(pi k x / L),  k = 0 .. N - 1       odd, nodes    sin(pi k x / L),  k = 0 .. N - 1 (two idle)

A derivative along an axis makes cosines of sines and sines of cosines; products of fields multiply their parities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.pde.grid import Grid

PERIODIC, EVEN, ODD = "periodic", "even", "odd"


@dataclass(frozen=True, eq=False)
class Basis:
    """What fields of some parity along each axis are sums of.

    Attributes:
        grid: their grid.
        kinds: ``"periodic"``, ``"even"`` or ``"odd"``, one for each axis.
        real: whether fields are real, so that half of their Fourier coefficients suffice.
    """

    grid: Grid
    kinds: tuple[str, ...]
    real: bool = True

    @property
    def wrapped(self) -> list[int]:
        """The periodic axes, counted from the end of a shape; the last one is halved for real fields."""
        return [axis - self.grid.dim for axis, kind in enumerate(self.kinds) if kind == PERIODIC]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the coefficients of one field."""
        shape = list(self.grid.shape)
        if self.wrapped and self.real:
            shape[self.wrapped[-1]] = shape[self.wrapped[-1]] // 2 + 1
        return tuple(shape)

    def forward(self, u: Tensor) -> Tensor:
        """The coefficients of a field."""
        for axis, kind in enumerate(self.kinds):
            if kind != PERIODIC:
                u = along(axis - self.grid.dim, self._transforms(axis)[0], u)
        if not self.wrapped:
            return u
        return torch.fft.rfftn(u, dim=self.wrapped) if self.real else torch.fft.fftn(u, dim=self.wrapped)

    def backward(self, coefficients: Tensor) -> Tensor:
        """The field of these coefficients."""
        u = coefficients
        if self.wrapped:
            sizes = [self.grid.shape[axis] for axis in self.wrapped]
            u = (torch.fft.irfftn if self.real else torch.fft.ifftn)(u, s=sizes, dim=self.wrapped)
        for axis, kind in enumerate(self.kinds):
            if kind != PERIODIC:
                u = along(axis - self.grid.dim, self._transforms(axis)[1], u)
        return u

    def _transforms(self, axis: int) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        return (cosines if self.kinds[axis] == EVEN else sines)[self.grid.centring[axis]]  # type: ignore[index]

    def numbers(self, axis: int) -> Tensor:
        """The whole numbers ``n`` of the waves along an axis, as it stands in the shape of coefficients."""
        count = self.grid.shape[axis]
        if self.kinds[axis] != PERIODIC:
            first = 1 if self.kinds[axis] == ODD and self.grid.centring[axis] == "cell" else 0  # type: ignore[index]
            numbers = torch.arange(first, first + count, dtype=torch.float64)
        elif self.real and axis - self.grid.dim == self.wrapped[-1]:
            numbers = torch.fft.rfftfreq(count, 1.0 / count, dtype=torch.float64)
        else:
            numbers = torch.fft.fftfreq(count, 1.0 / count, dtype=torch.float64)
        return numbers.reshape(-1, *[1] * (self.grid.dim - axis - 1))

    def wavenumbers(self, axis: int) -> Tensor:
        """``k = 2 pi n / L`` of periodic axes, ``pi n / L`` of the others."""
        turns = 2.0 if self.kinds[axis] == PERIODIC else 1.0
        return turns * math.pi / self.grid.length[axis] * self.numbers(axis)  # type: ignore[index]

    def derived(self, axis: int, order: int) -> Basis:
        """The basis of a derivative."""
        kind = self.kinds[axis]
        if kind == PERIODIC or order % 2 == 0:
            return self
        kinds = [*self.kinds[:axis], ODD if kind == EVEN else EVEN, *self.kinds[axis + 1 :]]
        return Basis(self.grid, tuple(kinds), self.real)

    def symbol(self, axis: int, order: int) -> tuple[Tensor, int]:
        """What coefficients are multiplied with for a derivative, and by how many places they are then shifted.

        The highest wave of a periodic axis of even length has no odd derivatives: it is as much one to the left as one
        to the right.
        """
        k, kind, count = self.wavenumbers(axis), self.kinds[axis], self.grid.shape[axis]
        if kind == PERIODIC:
            if order % 2:
                k = torch.where(self.numbers(axis).abs() * 2 == count, 0.0, k)
                return (1j if order % 4 == 1 else -1j) * k**order, 0
            return (-1.0) ** (order // 2) * k**order, 0
        half, odd = divmod(order, 2)
        if not odd:
            return (-1.0) ** half * k**order, 0
        sign = (-1.0) ** half * (-1.0 if kind == EVEN else 1.0)
        shift = 0 if self.grid.centring[axis] == "node" else (-1 if kind == EVEN else 1)  # type: ignore[index]
        return sign * k**order, shift

    def kept(self, part: float) -> Tensor | None:
        """Which coefficients lie below a part of the highest wave number along each axis; ``None`` for all."""
        if part >= 1.0:
            return None
        mask = torch.ones(self.shape, dtype=torch.bool)
        for axis, kind in enumerate(self.kinds):
            highest = self.grid.shape[axis] / (2 if kind == PERIODIC else 1)
            mask = mask & (self.numbers(axis).abs() < part * highest)
        return mask


def shifted(coefficients: Tensor, dim: int, places: int) -> Tensor:
    """The coefficients moved along an axis, with zeros for those that enter."""
    if not places:
        return coefficients
    count = coefficients.shape[dim] - 1
    kept = coefficients.narrow(dim, 1 if places < 0 else 0, count)
    nothing = torch.zeros_like(coefficients.narrow(dim, 0, 1))
    return torch.cat([kept, nothing] if places < 0 else [nothing, kept], dim)


def along(dim: int, transform: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """A transform of the last axis, of another axis; of complex fields by their two parts."""
    if u.is_complex():
        return torch.complex(along(dim, transform, u.real), along(dim, transform, u.imag))
    return transform(u) if dim == -1 else transform(u.movedim(dim, -1)).movedim(-1, dim)


def _cosines_of_cells(u: Tensor) -> Tensor:
    """``sum_j u_j cos(pi k (j + 1/2) / N)``, from the Fourier transform of the field and its mirror image."""
    count = u.shape[-1]
    spectrum = torch.fft.rfft(torch.cat([u, u.flip(-1)], -1))[..., :count]
    return 0.5 * (spectrum * _turns(u, -1.0)).real


def _field_of_cosines_of_cells(c: Tensor) -> Tensor:
    count = c.shape[-1]
    spectrum = torch.cat([2.0 * c * _turns(c, 1.0), torch.zeros_like(c[..., :1])], -1)
    return torch.fft.irfft(spectrum, 2 * count)[..., :count]


def _turns(like: Tensor, sign: float) -> Tensor:
    """``exp(sign i pi k / 2N)``: the half cell between a side and the middle of the first cell."""
    count = like.shape[-1]
    angles = sign * math.pi / (2 * count) * torch.arange(count, dtype=like.dtype, device=like.device)
    return torch.polar(torch.ones_like(angles), angles)


def _sines_of_cells(u: Tensor) -> Tensor:
    """``sin(pi k (j + 1/2) / N) = (-1)^j cos(pi (N - k) (j + 1/2) / N)``."""
    return _cosines_of_cells(_alternating(u)).flip(-1)


def _field_of_sines_of_cells(c: Tensor) -> Tensor:
    return _alternating(_field_of_cosines_of_cells(c.flip(-1)))


def _alternating(u: Tensor) -> Tensor:
    signs = torch.ones(u.shape[-1], dtype=u.dtype, device=u.device)
    signs[1::2] = -1.0
    return signs * u


def _cosines_of_nodes(u: Tensor) -> Tensor:
    return 0.5 * torch.fft.rfft(torch.cat([u, u[..., 1:-1].flip(-1)], -1)).real


def _field_of_cosines_of_nodes(c: Tensor) -> Tensor:
    return torch.fft.irfft(2.0 * torch.complex(c, torch.zeros_like(c)), 2 * (c.shape[-1] - 1))[..., : c.shape[-1]]


def _sines_of_nodes(u: Tensor) -> Tensor:
    """Of the inner nodes; what stands at the ends is zero."""
    inner, zero = u[..., 1:-1], torch.zeros_like(u[..., :1])
    return -0.5 * torch.fft.rfft(torch.cat([zero, inner, zero, -inner.flip(-1)], -1)).imag


def _field_of_sines_of_nodes(c: Tensor) -> Tensor:
    spectrum = torch.complex(torch.zeros_like(c), -2.0 * c)
    return torch.fft.irfft(spectrum, 2 * (c.shape[-1] - 1))[..., : c.shape[-1]]


cosines = {
    "cell": (_cosines_of_cells, _field_of_cosines_of_cells),
    "node": (_cosines_of_nodes, _field_of_cosines_of_nodes),
}
sines = {
    "cell": (_sines_of_cells, _field_of_sines_of_cells),
    "node": (_sines_of_nodes, _field_of_sines_of_nodes),
}


def product_of_kinds(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """The parities of a product of fields."""
    return tuple(
        PERIODIC if one == PERIODIC else EVEN if one == other else ODD for one, other in zip(first, second, strict=True)
    )
