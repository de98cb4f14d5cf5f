"""The parts of an equation that are derivatives: trees whose values are fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kutta.formulas.program import Program, program_of
from kutta.formulas.tree import Tree
from kutta.pde.grids.values import total
from kutta.pde.strings.operators import Operator


@dataclass(frozen=True)
class OfUnknown(Tree):
    """An operator of an unknown."""

    operator: Operator
    name: str

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return scope.of_unknown(self.operator, self.name)


@dataclass(frozen=True)
class OfDerivative(Tree):
    """An operator of even derivatives of an unknown, which have its boundary conditions without their data."""

    operator: Operator
    argument: Tree

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.argument,)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return self.operator.of_field(scope.ops.homogeneous(), values[0])


@dataclass(frozen=True)
class OfFunction(Tree):
    """An operator of a function of the unknowns' values."""

    operator: Operator
    argument: Tree
    program: Program = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "program", program_of([self.argument]))

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return scope.of_function(self.operator, lambda inner: self.program.run(inner)[0])


@dataclass(frozen=True)
class OfField(Tree):
    """An operator of what has no boundary conditions of its own, and where it stands in the text."""

    operator: Operator
    argument: Tree
    what: str = field(compare=False)

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.argument,)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return self.operator.of_field(scope.beyond(self.what), values[0])


@dataclass(frozen=True)
class Combination(Tree):
    """``a_1 grad f_1 + a_2 grad f_2 + ...``: the coefficients, and the gradients; a list, one entry for each axis."""

    coefficients: tuple[Tree, ...]
    gradients: tuple[Tree, ...]

    @property
    def children(self) -> tuple[Tree, ...]:
        return (*self.coefficients, *self.gradients)

    def value(self, values: Sequence[Any], scope: Any) -> list[Any]:
        count = len(self.coefficients)
        factors, gradients = values[:count], values[count:]
        terms = [[one * part for part in gradient] for one, gradient in zip(factors, gradients, strict=True)]
        return [total(parts) for parts in zip(*terms, strict=True)]


@dataclass(frozen=True)
class Dot(Tree):
    """The sum over all axes of the products of two vectors."""

    first: Tree
    second: Tree

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.first, self.second)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return total(a * b for a, b in zip(*values, strict=True))


@dataclass(frozen=True)
class Square(Tree):
    """The product of a vector with itself."""

    vector: Tree

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.vector,)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return total(a * a for a in values[0])


@dataclass(frozen=True)
class DiffusionOfUnknown(Tree):
    """``div(a grad u)`` of an unknown."""

    coefficient: Tree
    name: str

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.coefficient,)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return scope.diffusion(values[0], self.name)


@dataclass(frozen=True)
class Diffusion(Tree):
    """``div(a grad f)`` of what has no boundary conditions of its own."""

    coefficient: Tree
    argument: Tree
    what: str = field(compare=False)

    @property
    def children(self) -> tuple[Tree, ...]:
        return (self.coefficient, self.argument)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return scope.beyond(self.what).diffusion(values[1], values[0])
