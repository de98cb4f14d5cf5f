"""Sums of waves on a grid, by Fourier, cosine and sine transforms along its axes, and what derivatives are there.

A field on a periodic axis is a sum of ``exp(i k x)``. Between walls it is continued beyond them, evenly where its slope
vanishes at both and oddly where its value does, and is a sum of cosines or sines. With ``N`` points, ``x_j`` their
distance from the left side and ``L`` the length,

    even, cells    cos(pi k x / L),  k = 0 .. N - 1       odd, cells    sin(pi k x / L),  k = 1 .. N
    even, nodes    cos(pi k x / L),  k = 0 .. N - 1       odd, nodes    sin(pi k x / L),  k = 0 .. N - 1 (two idle)

A derivative along an axis makes cosines of sines and sines of cosines; products of fields multiply their parities.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid
from kutta.pde.waves.kinds import EVEN, ODD, PERIODIC
from kutta.pde.waves.transforms import Transform, cosines_of_cells, cosines_of_nodes, sines_of_cells, sines_of_nodes

Along = Callable[[Tensor, int], Tensor]


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
    transforms: tuple[Transform | None, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        places = zip(self.kinds, self.grid.centring or (), self.grid.shape, strict=True)
        object.__setattr__(self, "transforms", tuple(_transform(*place) for place in places))

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
        for axis, transform in enumerate(self.transforms):
            if transform is not None:
                u = _of_both_parts(transform.forward, u, axis - self.grid.dim)
        if not self.wrapped:
            return u
        return torch.fft.rfftn(u, dim=self.wrapped) if self.real else torch.fft.fftn(u, dim=self.wrapped)

    def backward(self, coefficients: Tensor) -> Tensor:
        """The field of these coefficients."""
        u = coefficients
        if self.wrapped:
            sizes = [self.grid.shape[axis] for axis in self.wrapped]
            u = (torch.fft.irfftn if self.real else torch.fft.ifftn)(u, s=sizes, dim=self.wrapped)
        for axis, transform in enumerate(self.transforms):
            if transform is not None:
                u = _of_both_parts(transform.backward, u, axis - self.grid.dim)
        return u

    def of_real_fields(self, coefficients: Tensor) -> Tensor:
        """The part of coefficients that real fields have, ``c(-k) = conj c(k)``.

        On the planes where the halved axis has its lowest and its highest wave both of the two are kept, and `backward`
        does not see what they differ by. Where waves grow, that would grow from rounding.
        """
        if not self.real or len(self.wrapped) < 2:
            return coefficients
        *others, last = self.wrapped
        highest = self.grid.shape[last] // 2
        for place in [0] if self.grid.shape[last] % 2 else [0, highest]:
            plane = coefficients.narrow(last, place, 1)
            mirrored = plane.flip(others).roll([1] * len(others), others).conj()
            coefficients = coefficients.slice_scatter(0.5 * (plane + mirrored), last, place, place + 1)
        return coefficients

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

    def symbol(self, axis: int, order: int) -> Tensor:
        """What coefficients are multiplied with for a derivative, before they are shifted by `places`.

        The highest wave of a periodic axis of even length has no odd derivatives: it is as much one to the left as one
        to the right.
        """
        k, kind, count = self.wavenumbers(axis), self.kinds[axis], self.grid.shape[axis]
        half, odd = divmod(order, 2)
        sign = (-1.0) ** half
        if not odd:
            return sign * k**order
        if kind == PERIODIC:
            return sign * 1j * torch.where(self.numbers(axis).abs() * 2 == count, 0.0, k) ** order
        return (-sign if kind == EVEN else sign) * k**order

    def places(self, axis: int, order: int) -> int:
        """By how many places a derivative shifts coefficients: the first sine of cells belongs to the second cosine."""
        kind = self.kinds[axis]
        if kind == PERIODIC or order % 2 == 0 or self.grid.centring[axis] == "node":  # type: ignore[index]
            return 0
        return -1 if kind == EVEN else 1

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


def _transform(kind: str, centring: str, count: int) -> Transform | None:
    """That of an axis between walls, its waves in rising order and as many as there are points."""
    if kind == PERIODIC:
        return None
    if kind == EVEN:
        return cosines_of_cells(count) if centring == "cell" else cosines_of_nodes(count)
    return _rising(sines_of_cells(count)) if centring == "cell" else _with_ends(sines_of_nodes(count - 2))


def _rising(transform: Transform) -> Transform:
    """With the waves in the reverse order."""
    return Transform(
        lambda u, dim: transform.forward(u, dim).flip(dim),
        lambda c, dim: transform.backward(c.flip(dim), dim),
        transform.symbols.flip(0),
    )


def _with_ends(transform: Transform) -> Transform:
    """Of the inner points, with zeros for the two ends."""

    def inside(function: Along) -> Along:
        def applied(u: Tensor, dim: int) -> Tensor:
            zero = torch.zeros_like(u.narrow(dim, 0, 1))
            return torch.cat([zero, function(u.narrow(dim, 1, u.shape[dim] - 2), dim), zero], dim)

        return applied

    symbols = torch.cat([torch.zeros(1, dtype=torch.float64), transform.symbols, torch.zeros(1, dtype=torch.float64)])
    return Transform(inside(transform.forward), inside(transform.backward), symbols)


def _of_both_parts(transform: Along, u: Tensor, dim: int) -> Tensor:
    """A real transform of fields that may be complex."""
    if u.is_complex():
        return torch.complex(transform(u.real, dim), transform(u.imag, dim))
    return transform(u, dim)
