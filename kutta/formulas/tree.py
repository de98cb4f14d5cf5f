"""What a formula is made of: numbers, names, sums, products, powers and functions.

Sums and products have any number of parts, so that a tree is no deeper than the brackets of its text. Numbers among
each other are computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add, mul
from typing import Any

import torch
from torch import Tensor

from kutta.formulas.functions import FUNCTIONS

HIGHEST_POWER = 64


class NumberError(ValueError):
    """A number that no formula may hold."""


class Tree:
    """A part of a formula. Equal ones have equal values."""

    @property
    def children(self) -> tuple[Tree, ...]:
        """The parts that its value is computed from."""
        return ()

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        """Its value.

        Args:
            values: of the children.
            scope: with ``names``, the values of names: numbers, tensors or fields.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Tree):
    """A number."""

    number: float

    def value(self, values: Sequence[Any], scope: Any) -> float:
        return self.number


@dataclass(frozen=True)
class Name(Tree):
    """A name, and where it stands in the text."""

    name: str
    place: int = field(default=0, compare=False)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return scope.names[self.name]


@dataclass(frozen=True)
class Sum(Tree):
    """``a + b + ...``."""

    terms: tuple[Tree, ...]

    @property
    def children(self) -> tuple[Tree, ...]:
        return self.terms

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return reduce(add, values)


@dataclass(frozen=True)
class Product(Tree):
    """``a b ...``; what is one number for all points is multiplied last, once."""

    factors: tuple[Tree, ...]

    @property
    def children(self) -> tuple[Tree, ...]:
        return self.factors

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        scalars, fields = [one for one in values if is_scalar(one)], [one for one in values if not is_scalar(one)]
        if not scalars or not fields:
            return reduce(mul, values)
        return reduce(mul, scalars) * reduce(mul, fields)


@dataclass(frozen=True)
class Power(Tree):
    """``a**b``."""

    base: Tree
    exponent: Tree

    @property
    def children(self) -> tuple[Tree, ...]:
        whole = isinstance(self.exponent, Number) and self.exponent.number.is_integer()
        return (self.base,) if whole else (self.base, self.exponent)

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        if len(values) == 1:
            power = int(self.exponent.number)  # type: ignore[attr-defined]
            return 1.0 / values[0] if power == -1 else values[0] ** power
        base, exponent = values
        return torch.pow(as_operand(base), exponent)


@dataclass(frozen=True)
class Call(Tree):
    """A function of its arguments, and where it stands in the text."""

    function: str
    arguments: tuple[Tree, ...]
    place: int = field(default=0, compare=False)

    @property
    def children(self) -> tuple[Tree, ...]:
        return self.arguments

    def value(self, values: Sequence[Any], scope: Any) -> Any:
        return FUNCTIONS[self.function](*map(as_operand, values))


def is_scalar(value: Any) -> bool:
    """Whether a value is one for all points."""
    return isinstance(value, int | float | complex) or (isinstance(value, Tensor) and not value.dim())


def as_operand(value: Any) -> Any:
    """What functions of PyTorch take: of a number, a tensor that leaves the dtype of others as it is."""
    return torch.as_tensor(value, dtype=torch.float64) if isinstance(value, int | float) else value


def added(*terms: Tree) -> Tree:
    """The sum of trees."""
    parts = [part for term in terms for part in (term.terms if isinstance(term, Sum) else (term,))]
    numbers = [part.number for part in parts if isinstance(part, Number)]
    others = [part for part in parts if not isinstance(part, Number)]
    if sum(numbers) or not others:
        others.append(_finite(sum(numbers)))
    return others[0] if len(others) == 1 else Sum(tuple(others))


def multiplied(*factors: Tree) -> Tree:
    """The product of trees."""
    parts = [part for factor in factors for part in (factor.factors if isinstance(factor, Product) else (factor,))]
    number = math.prod(part.number for part in parts if isinstance(part, Number))
    others = [part for part in parts if not isinstance(part, Number)]
    if number != 1.0 or not others:
        others.insert(0, _finite(number))
    return others[0] if len(others) == 1 else Product(tuple(others))


def raised(base: Tree, exponent: Tree) -> Tree:
    """A power of trees."""
    if not isinstance(exponent, Number):
        return Power(base, exponent)
    power = exponent.number
    if abs(power) > HIGHEST_POWER:
        raise NumberError(f"an exponent may be up to {HIGHEST_POWER}; got {power:.9g}")
    if isinstance(base, Number):
        return _power_of_numbers(base.number, power)
    return Number(1.0) if power == 0.0 else base if power == 1.0 else Power(base, exponent)


def _power_of_numbers(base: float, power: float) -> Number:
    try:
        found = base**power
    except (OverflowError, ZeroDivisionError):
        found = math.inf
    if isinstance(found, complex):
        raise NumberError(f"({base:.9g})**{power:.9g} is not a real number")
    return _finite(found)


def _finite(number: float) -> Number:
    if not math.isfinite(number):
        raise NumberError("this is infinite, or too large for a number")
    return Number(float(number))


def parts_of(tree: Tree) -> Iterator[Tree]:
    """A tree and all that it is made of."""
    yield tree
    for child in tree.children:
        yield from parts_of(child)


def names_of(tree: Tree) -> dict[str, int]:
    """The names in a tree, in the order of the text, and where each stands first."""
    found: dict[str, int] = {}
    for name in sorted((one for one in parts_of(tree) if isinstance(one, Name)), key=lambda one: one.place):
        found.setdefault(name.name, name.place)
    return found
