"""Sums of waves: exact derivatives, products at the points of the grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, under_transform
from kutta.pde.grids.boundary import has_data
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import converted, is_number, total
from kutta.pde.schemes.scheme import Discretisation, Law, Scheme, per_component
from kutta.pde.schemes.spectral_field import Kinds, SpectralField
from kutta.pde.waves.basis import Basis, shifted
from kutta.pde.waves.kinds import EVEN, ODD, PERIODIC, kind_of


@dataclass(frozen=True)
class PseudoSpectral(Scheme):
    """Sums of waves: Fourier's on periodic axes, cosines where slopes vanish at walls, sines where values do.

    For smooth solutions the error falls faster than any power of the spacing. Products of fields are taken at the
    points, where waves too short for the grid look like longer ones; so only waves below a part of the shortest take
    part in products.

    Attributes:
        dealias: that part, from 0 to 1; by default ``2 / (degree + 1)`` for products of so many fields, which is exact
            (2/3 for two). With 1 nothing is left out.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64, 2 * torch.pi)
        >>> problem = kt.pde.Burgers(0.1).problem(grid, lambda x: torch.sin(x[0]), (0.0, 1.0), kt.pde.PseudoSpectral())
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
        >>> round(float(sol.y1.abs().max()), 4)
        0.9008
    """

    dealias: float | None = None

    def __post_init__(self) -> None:
        if self.dealias is not None and not 0.0 < self.dealias <= 1.0:
            raise ValueError(f"dealias must be a part of the waves, above 0 and up to 1; got {self.dealias!r}")

    def check(self, grid: Grid) -> None:
        kinds_of(grid)

    def on(self, grid: Grid, degree: int = 1) -> WaveSpace:
        part = 2.0 / (max(degree, 1) + 1) if self.dealias is None else self.dealias
        return WaveSpace(grid, kinds_of(grid), part)


def kinds_of(grid: Grid) -> Kinds:
    """The waves that fulfil the boundary conditions.

    Raises:
        ValueError: where there are none.
    """
    return tuple(_kind(grid, axis) for axis in range(grid.dim))


def _kind(grid: Grid, axis: int) -> str:
    left, right = grid.boundary[axis]
    kind = kind_of((left, right))
    if kind is not None and not any(has_data(one) for one in (left, right)):
        return kind
    raise ValueError(
        f"PseudoSpectral needs axes that are periodic, or have Dirichlet(0) or Neumann(0) at both sides; got "
        f"{left!r} and {right!r} on axis {axis}: use kutta.pde.FiniteDifference()"
    )


class WaveSpace(Discretisation):
    """The operations on fields that are sums of waves.

    Attributes:
        grid: where the fields live.
        kinds: of the equation's unknowns along each axis: periodic, even or odd.
        part: of the waves that take part in products.
        dtype: of values; as the first tensor that enters has it.
        device: likewise.
    """

    product_rule = True

    def __init__(self, grid: Grid, kinds: Kinds, part: float):
        self.grid, self.kinds, self.part, self.t = grid, kinds, part, 0.0
        self.dtype, self.device = torch.float64, torch.device("cpu")
        self.real_dtype, self.complex_dtype = torch.float64, torch.complex128
        self._bases: dict[Kinds, Basis] = {}
        self._masks: dict[Kinds, Tensor | None] = {}
        self._symbols: dict[Any, Tensor] = {}
        self._constants: dict[int, tuple[Any, SpectralField]] = {}

    def like(self, u: Tensor) -> WaveSpace:
        """The same for fields of the dtype and device of `u`."""
        space = WaveSpace(self.grid, self.kinds, self.part)
        space.dtype, space.device = u.dtype, u.device
        space.real_dtype, space.complex_dtype = u.dtype.to_real(), u.dtype.to_complex()
        return space

    def at(self, t: Any) -> Self:
        return self  # there are no boundary data

    def homogeneous(self) -> Self:
        return self

    def enter(self, u: Tensor) -> SpectralField:
        return self.of(self.basis(self.kinds).forward(u))

    def leave(self, field: SpectralField) -> Tensor:
        return self.basis(self.kinds).backward(self.coefficients(field))

    def of(self, coefficients: Tensor) -> SpectralField:
        """The unknown field of these coefficients."""
        return SpectralField(self, self.kinds, coefficients=coefficients)

    def coefficients(self, field: SpectralField) -> Tensor:
        """Of what an equation made of its unknowns, which must have their symmetry."""
        if field.kinds != self.kinds:
            raise ValueError(
                "PseudoSpectral: the terms of the equation do not have the symmetry of its unknown at the walls; use "
                "kutta.pde.FiniteDifference()"
            )
        return field.coefficients

    def basis(self, kinds: Kinds) -> Basis:
        """For fields of some parity."""
        if kinds not in self._bases:
            self._bases[kinds] = Basis(self.grid, kinds, not self.dtype.is_complex)
        return self._bases[kinds]

    def kept(self, kinds: Kinds, coefficients: Tensor) -> Tensor:
        """Without the waves that take no part in products."""
        mask = self._mask(kinds)
        return coefficients if mask is None else mask * coefficients

    def dealiased(self, kinds: Kinds, values: Tensor) -> Tensor:
        """Likewise, of values."""
        mask, basis = self._mask(kinds), self.basis(kinds)
        return values if mask is None else basis.backward(mask * basis.forward(values))

    def _mask(self, kinds: Kinds) -> Tensor | None:
        if kinds not in self._masks:
            mask = self.basis(kinds).kept(self.part)
            self._masks[kinds] = None if mask is None else mask.to(self.device, self.coefficient_dtype)
        return self._masks[kinds]

    def data(self, values: Any, u: Any) -> SpectralField:
        kinds = tuple(kind if kind == PERIODIC else EVEN for kind in self.kinds)
        values = converted(values, self.dtype, self.device)
        if values.dim():
            values = values.expand(torch.broadcast_shapes(values.shape, self.grid.shape))
            return SpectralField(self, kinds, values=values, given=True)
        ones = torch.ones(self.grid.shape, dtype=self.real_dtype)
        unit = self._remembered((kinds, "unit"), lambda: self.basis(kinds).forward(ones))
        return SpectralField(self, kinds, coefficients=values * unit)

    def constant(self, values: Any, u: Any) -> SpectralField:
        """Transformed once, unless derivatives reach them."""
        if isinstance(values, Tensor) and (values.requires_grad or carries_gradient(values) or under_transform()):
            return self.data(values, u)
        if id(values) not in self._constants:
            self._constants[id(values)] = values, self.data(values, u)
        return self._constants[id(values)][1]

    def image(self, function: Callable[[Any, SpectralField], SpectralField], u: SpectralField) -> SpectralField:
        """One product with what the function makes of a field all of whose coefficients are 1."""
        if any(kind != PERIODIC for kind in u.kinds):
            return function(self, u)

        def found() -> Tensor:
            ones = torch.ones(self.basis(u.kinds).shape, dtype=self.coefficient_dtype, device=self.device)
            return function(self, SpectralField(self, u.kinds, coefficients=ones)).coefficients

        return u.scaled(self._remembered((u.kinds, function), found))

    @property
    def coefficient_dtype(self) -> torch.dtype:
        """Of the coefficients: real between walls."""
        return self.complex_dtype if PERIODIC in self.kinds else self.dtype

    def split(self, u: SpectralField) -> tuple[SpectralField, ...]:
        held = u.values if u._coefficients is None else u._coefficients
        dim = -self.grid.dim - 1
        return tuple(u.mapped(lambda held, one=one: held.select(dim, one)) for one in range(held.shape[dim]))

    def join(self, components: Sequence[SpectralField]) -> SpectralField:
        dim, kinds = -self.grid.dim - 1, components[0].kinds
        if all(one._coefficients is None and one.given == components[0].given for one in components):
            values = torch.stack([one.values for one in components], dim)
            return SpectralField(self, kinds, values=values, given=components[0].given)
        return SpectralField(self, kinds, coefficients=torch.stack([one.coefficients for one in components], dim))

    def weighted(self, u: SpectralField, weights: Sequence[Any]) -> SpectralField:
        numbers = per_component(weights, u, self.grid.dim)
        return u.mapped(lambda held: numbers * held)

    def derivative(self, u: SpectralField, axis: int, order: int = 1) -> SpectralField:
        basis = self.basis(u.kinds)
        symbol = self._remembered((u.kinds, axis, order), lambda: basis.symbol(axis, order))
        found = shifted(symbol * u.coefficients, axis - self.grid.dim, basis.places(axis, order))
        return SpectralField(self, basis.derived(axis, order).kinds, coefficients=found)

    def laplacian(self, u: SpectralField) -> SpectralField:
        return u.scaled(self._laplacian(u.kinds))

    def diffusion(self, u: SpectralField, coefficient: Any) -> SpectralField:
        """``m laplacian(u) + div((a - m) grad u)`` with the mean ``m`` of a coefficient that varies.

        So waves that take no part in products diffuse too, and so does the highest one, which has no first derivative.
        """
        if is_number(coefficient):
            return coefficient * self.laplacian(u)
        a = coefficient if isinstance(coefficient, SpectralField) else self.data(coefficient, u)
        if ODD in a.kinds:
            return super().diffusion(u, a)
        mean = a.values.mean(tuple(range(-self.grid.dim, 0)), keepdim=True)
        rest = SpectralField(self, a.kinds, values=a.values - mean, given=a.given)
        return u.scaled(mean * self._laplacian(u.kinds)) + super().diffusion(u, rest)

    def inverse_laplacian(self, f: SpectralField) -> SpectralField:
        symbol = self._laplacian(f.kinds)
        return f.scaled(torch.where(symbol == 0.0, 0.0, 1.0 / symbol))

    def convection(self, law: Law, u: SpectralField) -> SpectralField:
        return total(self.derivative(law.flux(u, axis), axis) for axis in range(self.grid.dim))

    def _laplacian(self, kinds: Kinds) -> Tensor:
        squares = (self.basis(kinds).wavenumbers(axis) ** 2 for axis in range(self.grid.dim))
        return self._remembered((kinds, "laplacian"), lambda: -total(squares))

    def _remembered(self, key: Any, made: Callable[[], Tensor]) -> Tensor:
        """A symbol with the precision and on the device of the fields, which is computed once."""
        if key not in self._symbols:
            symbol = made()
            dtype = self.complex_dtype if symbol.is_complex() else self.real_dtype
            self._symbols[key] = symbol.to(self.device, dtype)
        return self._symbols[key]
