"""Straight-line scalar code, and the builder that simplifies it while it is written down.

A node is an operation on earlier nodes, a constant, or an input. The builder gives the same node for
the same operation on the same nodes, so common subexpressions appear once; it computes what is
constant, and applies identities that change no result by more than rounding:

    x + 0 = x    1 x = x    x / 2^k = x 2^-k    c (d x) = (c d) x    (c x) / d = (c / d) x
    x^2 = x x, and so for small whole powers
    x^(1/2) = sqrt x    -(-x) = x    a + (-b) = a - b
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kutta.solvers.engines.tracing.operations import OPERATIONS

# Whole powers up to this are products.
LARGEST_POWER = 16
# Constants are merged only where the result is far from the ends of single precision.
SMALLEST = 1e-30


@dataclass(frozen=True)
class Node:
    """One value of a program.

    Attributes:
        operation: the name of an operation, ``"const"`` or ``"input"``.
        arguments: earlier nodes, by number.
        value: of a constant; of an input its name and place, such as ``("y", 3)``.
    """

    operation: str
    arguments: tuple[int, ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Program:
    """Nodes in the order in which they can be computed, and which of them are the result.

    Attributes:
        nodes: every node after its arguments; none that the outputs do not need.
        outputs: numbers of nodes.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    @property
    def operations(self) -> Counter[str]:
        """How often each operation occurs."""
        return Counter(node.operation for node in self.nodes if node.operation not in ("const", "input"))

    @property
    def cost(self) -> int:
        """The number of operations."""
        return self.operations.total()

    def evaluate(self, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs, by NumPy.

        Args:
            inputs: for each name a sequence of numbers, or of arrays that broadcast.
        """
        values: list[Any] = []
        for node in self.nodes:
            if node.operation == "const":
                values.append(node.value)
            elif node.operation == "input":
                name, place = node.value
                values.append(inputs[name][place])
            else:
                values.append(OPERATIONS[node.operation].compute(*(values[one] for one in node.arguments)))
        return [values[output] for output in self.outputs]


def needed(nodes: Sequence[Node], outputs: Sequence[int]) -> Program:
    """The program of some outputs."""
    order = needed_by(nodes, outputs)
    number = {old: new for new, old in enumerate(order)}
    kept = [nodes[old] for old in order]
    moved = [Node(one.operation, tuple(number[old] for old in one.arguments), one.value) for one in kept]
    return Program(tuple(moved), tuple(number[old] for old in outputs))


def needed_by(nodes: Sequence[Node], outputs: Sequence[int]) -> list[int]:
    """The numbers of the outputs and of all that they are made of, in order."""
    needed, waiting = set(), list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += nodes[node].arguments
    return sorted(needed)  # arguments always have smaller numbers


class Builder:
    """Writes a program, simplifying on the way. Nodes are numbers."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.asked = 0
        self._numbers: dict[Any, int] = {}

    def input(self, name: str, place: int) -> int:
        """The node of an input."""
        return self._node(Node("input", (), (name, place)))

    def const(self, value: float | bool) -> int:
        """The node of a constant."""
        return self._node(Node("const", (), bool(value) if isinstance(value, bool | np.bool_) else float(value)))

    def apply(self, operation: str, *arguments: int) -> int:
        """The node of an operation, as simple as the identities make it."""
        self.asked += 1
        return self._simple(operation, *arguments)

    def add(self, x: int, y: int) -> int:
        return self._simple("add", x, y)

    def sub(self, x: int, y: int) -> int:
        return self._simple("sub", x, y)

    def mul(self, x: int, y: int) -> int:
        return self._simple("mul", x, y)

    def div(self, x: int, y: int) -> int:
        return self._simple("div", x, y)

    def pow(self, x: int, y: int) -> int:
        return self._simple("pow", x, y)

    def neg(self, x: int) -> int:
        return self._simple("neg", x)

    def maximum(self, x: int, y: int) -> int:
        return self._simple("max", x, y)

    def where(self, condition: int, x: int, y: int) -> int:
        return self._simple("where", condition, x, y)

    def value(self, node: int) -> Any:
        """The value of a constant, otherwise ``None``."""
        return self.nodes[node].value if self.nodes[node].operation == "const" else None

    def is_truth(self, node: int) -> bool:
        """Whether a node is a truth value."""
        one = self.nodes[node]
        return isinstance(one.value, bool) if one.operation == "const" else _truth(one.operation)

    def program(self, outputs: Sequence[int]) -> Program:
        """What the outputs need, in order."""
        return needed(self.nodes, outputs)

    def _node(self, node: Node) -> int:
        # -0.0 == 0.0 and 1.0 == True, but they are different constants; NaN is not equal to itself.
        key = (node.operation, node.arguments, repr(node.value))
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[key]

    def _simple(self, operation: str, *arguments: int) -> int:
        kind = OPERATIONS[operation]
        values = [self.value(one) for one in arguments]
        if all(value is not None for value in values):
            with np.errstate(all="ignore"):
                result = kind.compute(*values)
            return self.const(bool(result) if kind.truth or isinstance(result, np.bool_) else float(result))
        rule = _RULES.get(operation)
        known = rule(self, *arguments) if rule is not None else None
        if known is not None:
            return known
        if kind.commutes:
            arguments = tuple(sorted(arguments))
        return self._node(Node(operation, arguments))

    def _negated(self, node: int) -> int | None:
        """``x`` of ``-x``."""
        one = self.nodes[node]
        return one.arguments[0] if one.operation == "neg" else None


def _truth(operation: str) -> bool:
    return operation in OPERATIONS and OPERATIONS[operation].truth


def _add(b: Builder, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        if b.value(one) == 0.0:
            return other
        if (positive := b._negated(one)) is not None:
            return b.sub(other, positive)
    return None


def _sub(b: Builder, x: int, y: int) -> int | None:
    if b.value(y) == 0.0:
        return x
    if b.value(x) == 0.0:
        return b.neg(y)
    positive = b._negated(y)
    return b.add(x, positive) if positive is not None else None


def _mul(b: Builder, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        if b.value(one) == 1.0:
            return other
        if b.value(one) == -1.0:
            return b.neg(other)
        if (positive := b._negated(one)) is not None:
            return b.neg(b.mul(positive, other))
        if (value := b.value(one)) is not None:
            inner, rest = _factored(b, other)
            if _is_moderate(value * inner) and rest != other:
                return b.mul(b.const(value * inner), rest)
    return None


def _factored(b: Builder, node: int) -> tuple[float, int]:
    """``c`` and ``x`` of ``c x`` and of ``x / (1 / c)``; of anything else one and itself."""
    one = b.nodes[node]
    if one.operation == "mul":
        for first, second in (one.arguments, one.arguments[::-1]):
            if (value := b.value(first)) is not None:
                return value, second
    if one.operation == "div" and (value := b.value(one.arguments[1])):
        return 1.0 / value, one.arguments[0]
    return 1.0, node


def _is_moderate(value: float) -> bool:
    """Whether a constant is far from the ends of single precision."""
    return SMALLEST <= abs(value) <= 1.0 / SMALLEST


def _div(b: Builder, x: int, y: int) -> int | None:
    value = b.value(y)
    if value and abs(math.frexp(value)[0]) == 0.5 and _is_moderate(value):
        return b.mul(x, b.const(1.0 / value))
    if value:
        factor, rest = _factored(b, x)
        if _is_moderate(factor / value) and rest != x:
            return b.mul(b.const(factor / value), rest)
    if (positive := b._negated(x)) is not None:
        return b.neg(b.div(positive, y))
    return None


def _pow(b: Builder, x: int, y: int) -> int | None:
    power = b.value(y)
    if power is None:
        return None
    if power == 0.5:
        return b._simple("sqrt", x)
    if power == -0.5:
        return b.div(b.const(1.0), b._simple("sqrt", x))
    if power != int(power) if math.isfinite(power) else True:
        return None
    if power < 0:
        return b.div(b.const(1.0), b.pow(x, b.const(-power)))
    return _product(b, x, int(power)) if power <= LARGEST_POWER else None


def _product(b: Builder, x: int, power: int) -> int:
    """``x^power`` by squaring."""
    if power == 0:
        return b.const(1.0)
    half = _product(b, x, power // 2)
    square = b.mul(half, half) if power > 1 else half
    return b.mul(square, x) if power % 2 else square


def _neg(b: Builder, x: int) -> int | None:
    inner = b.nodes[x]
    if inner.operation == "neg":
        return inner.arguments[0]
    if inner.operation == "sub":
        return b.sub(inner.arguments[1], inner.arguments[0])
    return None


def _where(b: Builder, condition: int, x: int, y: int) -> int | None:
    if (value := b.value(condition)) is not None:
        return x if value else y
    return x if x == y else None


_RULES = {"add": _add, "sub": _sub, "mul": _mul, "div": _div, "pow": _pow, "neg": _neg, "where": _where}
