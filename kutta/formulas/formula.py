"""A formula of named values, such as an initial state in terms of the coordinates."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.formulas.functions import ARITIES, FUNCTIONS
from kutta.formulas.program import Program, program_of
from kutta.formulas.reading import FormulaError, nearest, read
from kutta.formulas.tree import Tree, names_of

TAKEN = {"pi", *FUNCTIONS}


@dataclass(frozen=True)
class Scope:
    """What names stand for: numbers, tensors or fields."""

    names: Mapping[str, Any]


class Formula:
    """A text that is a function of named values.

    Args:
        text: such as ``"exp(-x**2) * cos(k*t)"``, of ``+ - * / **``, numbers, brackets, ``pi`` and the functions of
            `kutta.formulas.functions`. It is read by a grammar of its own and never evaluated as Python.
        names: that it may hold.
        constants: the values of further ones, numbers or tensors.

    Attributes:
        text: as it was given.
        used: the names that it holds.

    Raises:
        FormulaError: with the place in the text.

    Example:
        >>> from kutta.formulas.formula import Formula
        >>> Formula("a*x**2 + 1", ["x"], {"a": 3.0})(x=2.0)
        13.0
    """

    def __init__(self, text: str, names: Collection[str], constants: Mapping[str, Any] | None = None):
        numbers, self.constants = numbers_and_tensors(constants or {})
        self.text, tree = text, read(text, ARITIES, numbers)
        check_names(tree, text, {*names, *(constants or {})})
        self.used = tuple(names_of(tree))
        self._program: Program = program_of([tree])

    def __call__(self, **values: Any) -> Any:
        """The value, a number or a tensor."""
        return self._program.run(Scope({**self.constants, **values}))[0]

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"


def is_name(name: Any) -> bool:
    """Whether this is a text that formulas read as a name."""
    return isinstance(name, str) and name.isascii() and name.isidentifier()


def numbers_and_tensors(constants: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    """What may stand in a formula as a number, and what must have a name.

    Raises:
        TypeError, ValueError: for names that have a meaning or none, and values that are neither finite numbers nor
            tensors.
    """
    numbers, tensors = {}, {}
    for name, value in constants.items():
        if not is_name(name) or name in TAKEN:
            raise ValueError(f"{name!r} cannot be the name of a parameter")
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, bool) or not isinstance(value, int | float | complex):
            raise TypeError(f"parameter {name} must be a number or a tensor; got {value!r}")
        elif isinstance(value, complex):
            tensors[name] = torch.as_tensor(value, dtype=torch.complex128)
        elif not abs(value) <= sys.float_info.max:
            raise ValueError(f"parameter {name} must be finite, and no larger than floats are")
        else:
            numbers[name] = float(value)
    return numbers, tensors


def check_names(tree: Tree, text: str, known: Collection[str]) -> None:
    """Refuse names that have no meaning."""
    for name, place in names_of(tree).items():
        if name not in known:
            raise FormulaError(f"there is no {name[:24]}{nearest(name, known)}", text, place)
