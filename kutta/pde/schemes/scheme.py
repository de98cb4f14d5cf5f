"""What a scheme is: it replaces the derivatives of fields on a grid.

An equation is written in terms of a `Discretisation`, the operations of a scheme on one grid at one time. A field is
whatever the scheme computes with, a tensor ``(..., *grid.shape)`` or a `SpectralField`; sums, products and functions of
fields are written as those of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor

from kutta.pde.grids.boundary import has_data
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import converted, is_number, real_dtype, total

Field = Any


def per_component(weights: Sequence[Any], like: Field, dim: int) -> Tensor:
    """Numbers along the axis of components, ``(c, 1, ...)``, for fields in `dim` dimensions."""
    numbers = [converted(weight, like.dtype, like.device) for weight in weights]
    return torch.stack(numbers).reshape(-1, *[1] * dim)


class Law(Protocol):
    """A conservation law ``du/dt + div F(u) = 0``.

    A law of several components may also have `directions`: for each component the axis along which it points, such as a
    velocity's, or ``None``; see `kutta.pde.pad`.
    """

    def flux(self, u: Field, axis: int, /) -> Field:
        """``F(u)`` along an axis."""
        ...

    def speed(self, u: Tensor, axis: int, /) -> Tensor:
        """The largest absolute speed of a wave along an axis, for one component; it broadcasts with `u`."""
        ...


def directions(law: Law) -> Sequence[int | None]:
    """Where the components of a law point; nowhere, unless it says so."""
    return getattr(law, "directions", ())


def components(u: Field, dim: int) -> tuple[Field, ...]:
    """The components of a state on a grid of `dim` axes, with or without ghosts: what a law's flux begins with."""
    return torch.unbind(u, -dim - 1) if isinstance(u, Tensor) else u.space.split(u)


def joined(parts: Sequence[Field], dim: int) -> Field:
    """The state made of these components: what a law's flux ends with."""
    return torch.stack(list(parts), -dim - 1) if isinstance(parts[0], Tensor) else parts[0].space.join(parts)


class Scheme:
    """A way to discretise in space, such as ``kutta.pde.FiniteDifference()``: a frozen record of options."""

    def check(self, grid: Grid) -> None:
        """Refuse a grid that the scheme does not suit."""

    def on(self, grid: Grid, degree: int = 1) -> Discretisation:
        """Its operations on a grid.

        Args:
            grid: with its boundary conditions.
            degree: of the products of fields that an equation has, which aliasing depends on.

        Raises:
            ValueError: for a grid that the scheme does not suit.
        """
        raise NotImplementedError

    def sampled(self, function: Callable[[Tensor], Any], grid: Grid) -> Any:
        """The values of a function of the coordinates ``(d, *shape)``, which are float64, where unknowns are."""
        return function(grid.points())


class Discretisation:
    """The operations of a scheme on a grid, with the boundary values of one time.

    Attributes:
        grid: where the fields live.
        t: the time of the boundary values.
        product_rule: whether derivatives of products are those of Leibniz, so that all forms of a term are one.
        pointwise: whether products are computed at points from derivatives, so that a term costs as much as there are
            different derivatives in it, and not as many as are taken.
    """

    grid: Grid
    t: Any
    product_rule: ClassVar[bool] = False
    pointwise: ClassVar[bool] = False

    def at(self, t: Any) -> Self:
        """The same with the boundary values of another time."""
        raise NotImplementedError

    def homogeneous(self) -> Self:
        """The same with all boundary data zero: what is then linear in the fields."""
        raise NotImplementedError

    @property
    def has_data(self) -> bool:
        """Whether some boundary value is other than zero, so that derivatives of zero are not zero."""
        return any(has_data(one) for pair in self.grid.boundary for one in pair)

    def enter(self, u: Tensor) -> Field:
        """A tensor as a field."""
        return u

    def leave(self, field: Field) -> Tensor:
        """A field as a tensor."""
        return field

    def points(self, u: Field) -> Tensor:
        """The coordinates ``(d, *shape)``, of the real dtype and on the device of a field."""
        return self.grid.points(real_dtype(u.dtype), u.device)

    def data(self, values: Any, u: Field) -> Field:
        """Values at the points, a number or a tensor, as a field like another."""
        return converted(values, u.dtype, u.device)

    def constant(self, values: Any, u: Field) -> Field:
        """`data` that an equation holds: the same ones, whenever it asks."""
        return self.data(values, u)

    def evaluated(self, function: Callable[[Tensor, Any], Any], t: Any, u: Field) -> Any:
        """What a function of points and time returns: values at the points, or several of them."""
        return function(self.points(u), t)

    def image(self, function: Callable[[Any, Field], Field], u: Field) -> Field:
        """A linear function ``(ops, u)`` of one field, made of these operations and of no data."""
        return function(self, u)

    def split(self, u: Field) -> tuple[Field, ...]:
        """The components of a field, whose axis is the one before those of space."""
        return torch.unbind(u, -self.grid.dim - 1)

    def join(self, components: Sequence[Field]) -> Field:
        """A field of several components."""
        return torch.stack(list(components), -self.grid.dim - 1)

    def weighted(self, u: Field, weights: Sequence[Any]) -> Field:
        """A field of several components, each times a number of its own."""
        return per_component(weights, u, self.grid.dim) * u

    def derivative(self, u: Field, axis: int, order: int = 1) -> Field:
        """``d^order u / dx_axis^order``."""
        raise NotImplementedError

    def laplacian(self, u: Field) -> Field:
        """The sum of all second derivatives."""
        raise NotImplementedError

    def derivative_of(self, function: Callable[[Field], Field], u: Field, axis: int, order: int = 1) -> Field:
        """A derivative of a function of the values of a field, which is what has the boundary conditions."""
        return self.homogeneous().derivative(function(u), axis, order)

    def laplacian_of(self, function: Callable[[Field], Field], u: Field) -> Field:
        """The Laplacian of such a function."""
        return self.homogeneous().laplacian(function(u))

    def gradient(self, u: Field) -> list[Field]:
        """The first derivatives along all axes."""
        return [self.derivative(u, axis) for axis in range(self.grid.dim)]

    def diffusion(self, u: Field, coefficient: Any) -> Field:
        """``div(a grad u)``; the coefficient is a number or a field."""
        if is_number(coefficient):
            return coefficient * self.laplacian(u)
        slopes = enumerate(self.gradient(u))
        return total(self.derivative(coefficient * slope, axis) for axis, slope in slopes)

    def advection(self, u: Field, velocity: Sequence[Any]) -> Field:
        """``v . grad u``, with a velocity of numbers or fields."""
        return total(velocity[axis] * self.derivative(u, axis) for axis in range(self.grid.dim))

    def convection(self, law: Law, u: Field) -> Field:
        """``div F(u)``."""
        raise NotImplementedError

    def inverse_laplacian(self, f: Field) -> Field:
        """``u`` with ``laplacian(u) = f``, of mean zero where only its slopes are determined."""
        raise NotImplementedError
