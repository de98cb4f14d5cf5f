"""What a scheme is: it replaces the derivatives of fields on a grid.

An equation is written in terms of a `Discretisation`, the operations of a scheme on one grid at one time. A field is
whatever the scheme computes with, a tensor ``(..., *grid.shape)`` or a `SpectralField`; sums, products and functions of
fields are written as those of tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from kutta.pde.grid import Grid, conditions

Field = Any


def real_dtype(dtype: torch.dtype) -> torch.dtype:
    """That of the real parts."""
    return {torch.complex64: torch.float32, torch.complex128: torch.float64}.get(dtype, dtype)


def per_component(weights: Sequence[Any], like: Field, dim: int) -> Tensor:
    """Numbers along the axis of components, ``(c, 1, ...)``, for fields in `dim` dimensions."""
    numbers = [torch.as_tensor(weight, dtype=like.dtype, device=like.device) for weight in weights]
    return torch.stack(numbers).reshape(-1, *[1] * dim)


class Law(Protocol):
    """A conservation law ``du/dt + div F(u) = 0``."""

    def flux(self, u: Field, axis: int, /) -> Field:
        """``F(u)`` along an axis."""
        ...

    def speed(self, u: Tensor, axis: int, /) -> Tensor:
        """The largest absolute speed of a wave along an axis, for one component; it broadcasts with `u`."""
        ...


class Scheme:
    """A way to discretise in space, such as ``kutta.pde.FiniteDifference()``: a frozen record of options."""

    def on(self, grid: Grid, degree: int = 1) -> Discretisation:
        """Its operations on a grid.

        Args:
            grid: with its boundary conditions.
            degree: of the products of fields that an equation has, which aliasing depends on.

        Raises:
            ValueError: for a grid that the scheme does not suit.
        """
        raise NotImplementedError


class Discretisation:
    """The operations of a scheme on a grid, with the boundary values of one time.

    Attributes:
        grid: where the fields live.
        t: the time of the boundary values.
    """

    grid: Grid
    t: Any

    def at(self, t: Any) -> Self:
        """The same with the boundary values of another time."""
        raise NotImplementedError

    def homogeneous(self) -> Self:
        """The same with all boundary data zero: what is then linear in the fields."""
        raise NotImplementedError

    @property
    def has_data(self) -> bool:
        """Whether some boundary value is other than zero, so that derivatives of zero are not zero."""
        return any(not isinstance(one.g, int | float) or one.g != 0.0 for _, _, one in conditions(self.grid))

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
        return torch.as_tensor(values, dtype=u.dtype, device=u.device)

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

    def gradient(self, u: Field) -> list[Field]:
        """The first derivatives along all axes."""
        return [self.derivative(u, axis) for axis in range(self.grid.dim)]

    def diffusion(self, u: Field, coefficient: Any) -> Field:
        """``div(a grad u)``; the coefficient is a number or a field."""
        if isinstance(coefficient, int | float) or (isinstance(coefficient, Tensor) and not coefficient.dim()):
            return coefficient * self.laplacian(u)
        flows = [self.derivative(coefficient * slope, axis) for axis, slope in enumerate(self.gradient(u))]
        return sum(flows[1:], flows[0])

    def advection(self, u: Field, velocity: Sequence[Any]) -> Field:
        """``v . grad u``, with a velocity of numbers or fields."""
        total = velocity[0] * self.derivative(u, 0)
        for axis in range(1, self.grid.dim):
            total = total + velocity[axis] * self.derivative(u, axis)
        return total

    def convection(self, law: Law, u: Field) -> Field:
        """``div F(u)``."""
        raise NotImplementedError

    def inverse_laplacian(self, f: Field) -> Field:
        """``u`` with ``laplacian(u) = f``, of mean zero where only its slopes are determined."""
        raise NotImplementedError
