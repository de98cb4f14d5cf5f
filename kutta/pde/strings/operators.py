"""The differential operators that an equation in words may hold.

Each is applied to a field that has the boundary conditions of the unknowns, or to a function of the unknowns, which
knows itself what lies beyond the sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kutta.pde.grids.grid import AXES
from kutta.pde.schemes.scheme import Discretisation, Field


class Operator:
    """A linear operator with constant coefficients."""

    even: bool  # whether it keeps the symmetry of a field at a wall

    def of_field(self, ops: Discretisation, u: Field) -> Any:
        """Of a field with the boundary conditions of the operations."""
        raise NotImplementedError

    def of_function(self, ops: Discretisation, function: Callable[[Field], Field], u: Field) -> Any:
        """Of a function of the values of a field, which has these boundary conditions."""
        raise NotImplementedError


@dataclass(frozen=True)
class Along(Operator):
    """``d^order / dx_axis^order``."""

    axis: int
    order: int

    @property
    def even(self) -> bool:  # type: ignore[override]
        return self.order % 2 == 0

    def of_field(self, ops: Discretisation, u: Field) -> Field:
        return ops.derivative(u, self.axis, self.order)

    def of_function(self, ops: Discretisation, function: Callable[[Field], Field], u: Field) -> Field:
        return ops.derivative_of(function, u, self.axis, self.order)


@dataclass(frozen=True)
class Laplace(Operator):
    """The sum of all second derivatives."""

    even = True

    def of_field(self, ops: Discretisation, u: Field) -> Field:
        return ops.laplacian(u)

    def of_function(self, ops: Discretisation, function: Callable[[Field], Field], u: Field) -> Field:
        return ops.laplacian_of(function, u)


@dataclass(frozen=True)
class InverseLaplace(Operator):
    """The field whose Laplacian this is, with the boundary conditions of the operations without their data.

    Without, since the inverses of the terms of a sum would otherwise have the data once each.
    """

    even = True

    def of_field(self, ops: Discretisation, u: Field) -> Field:
        return ops.homogeneous().inverse_laplacian(u)

    def of_function(self, ops: Discretisation, function: Callable[[Field], Field], u: Field) -> Field:
        return ops.homogeneous().inverse_laplacian(function(u))


@dataclass(frozen=True)
class Gradient(Operator):
    """The first derivatives along all axes, a list."""

    even = False

    def of_field(self, ops: Discretisation, u: Field) -> list[Field]:
        return ops.gradient(u)

    def of_function(self, ops: Discretisation, function: Callable[[Field], Field], u: Field) -> list[Field]:
        return [ops.derivative_of(function, u, axis) for axis in range(ops.grid.dim)]


# What the operators of one field that return one do, the first one first.
SCALAR_OPERATORS: dict[str, tuple[Operator, ...]] = {
    "laplace": (Laplace(),),
    "biharmonic": (Laplace(), Laplace()),
    "inverse_laplace": (InverseLaplace(),),
    **{f"d_d{name}": (Along(axis, 1),) for axis, name in enumerate(AXES)},
    **{f"d{n}_d{name}{n}": (Along(axis, n),) for n in (2, 3, 4) for axis, name in enumerate(AXES)},
}

# How many arguments each takes; those of vectors are ``gradient(u)``, and sums and multiples of such.
OPERATORS = {**dict.fromkeys(SCALAR_OPERATORS, 1), "gradient": 1, "divergence": 1, "dot": 2, "gradient_squared": 1}
