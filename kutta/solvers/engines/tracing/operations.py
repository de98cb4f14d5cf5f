"""The operations that a scalar program is made of: what each computes, and its partial derivatives.

A program knows two kinds of value, real numbers and truth values. Every operation takes and returns
one scalar each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

# partials(b, result, *arguments) gives d(result)/d(argument) for each argument, built with `b`; None for zero.
Partials = Callable[..., tuple[Any, ...]]


@dataclass(frozen=True)
class Operation:
    """One scalar operation.

    Attributes:
        name: in programs.
        compute: on NumPy arrays or numbers.
        partials: its derivatives, as nodes of a builder; ``None`` where they are zero everywhere.
        truth: whether it returns a truth value.
        commutes: whether its two arguments may be exchanged.
    """

    name: str
    compute: Callable[..., Any]
    partials: Partials | None = None
    truth: bool = False
    commutes: bool = False


def _one(value: Any) -> Partials:
    return lambda b, r, *x: (value(b, r, *x),)


_BELL = 2.0 / math.sqrt(math.pi)
_SIMPLE: list[tuple[str, Callable[..., Any], Partials | None]] = [
    ("neg", np.negative, _one(lambda b, r, x: b.const(-1.0))),
    ("sqrt", np.sqrt, _one(lambda b, r, x: b.div(b.const(0.5), r))),
    ("exp", np.exp, _one(lambda b, r, x: r)),
    ("expm1", np.expm1, _one(lambda b, r, x: b.add(r, b.const(1.0)))),
    ("log", np.log, _one(lambda b, r, x: b.div(b.const(1.0), x))),
    ("log1p", np.log1p, _one(lambda b, r, x: b.div(b.const(1.0), b.add(x, b.const(1.0))))),
    ("sin", np.sin, _one(lambda b, r, x: b.apply("cos", x))),
    ("cos", np.cos, _one(lambda b, r, x: b.neg(b.apply("sin", x)))),
    ("tan", np.tan, _one(lambda b, r, x: b.add(b.const(1.0), b.mul(r, r)))),
    ("asin", np.arcsin, _one(lambda b, r, x: b.div(b.const(1.0), b.apply("sqrt", b.sub(b.const(1.0), b.mul(x, x)))))),
    ("acos", np.arccos, _one(lambda b, r, x: b.div(b.const(-1.0), b.apply("sqrt", b.sub(b.const(1.0), b.mul(x, x)))))),
    ("atan", np.arctan, _one(lambda b, r, x: b.div(b.const(1.0), b.add(b.const(1.0), b.mul(x, x))))),
    ("sinh", np.sinh, _one(lambda b, r, x: b.apply("cosh", x))),
    ("cosh", np.cosh, _one(lambda b, r, x: b.apply("sinh", x))),
    ("tanh", np.tanh, _one(lambda b, r, x: b.sub(b.const(1.0), b.mul(r, r)))),
    ("erf", special.erf, _one(lambda b, r, x: b.mul(b.const(_BELL), b.apply("exp", b.neg(b.mul(x, x)))))),
    ("abs", np.abs, _one(lambda b, r, x: b.apply("sign", x))),
    ("sign", np.sign, None),
    ("floor", np.floor, None),
    ("ceil", np.ceil, None),
    ("trunc", np.trunc, None),
    ("round", np.round, None),
]  # fmt: skip


def _power(b: Any, r: Any, x: Any, n: Any) -> tuple[Any, Any]:
    # x^n log x tends to zero with x for the powers that have a slope there.
    logarithm = b.where(b.apply("gt", x, b.const(0.0)), b.apply("log", b.maximum(x, b.const(_TINY))), b.const(0.0))
    return b.mul(n, b.pow(x, b.sub(n, b.const(1.0)))), b.mul(r, logarithm)


def _chosen(first: str) -> Partials:
    def partials(b: Any, r: Any, x: Any, y: Any) -> tuple[Any, Any]:
        # Where both are equal each has half of the slope, as in PyTorch.
        share = b.where(b.apply("eq", x, y), b.const(0.5), b.where(b.apply(first, x, y), b.const(1.0), b.const(0.0)))
        return share, b.sub(b.const(1.0), share)

    return partials


_TINY = 1e-37
_ARITHMETIC = [
    Operation("add", np.add, lambda b, r, x, y: (b.const(1.0), b.const(1.0)), commutes=True),
    Operation("sub", np.subtract, lambda b, r, x, y: (b.const(1.0), b.const(-1.0))),
    Operation("mul", np.multiply, lambda b, r, x, y: (y, x), commutes=True),
    Operation("div", np.divide, lambda b, r, x, y: (b.div(b.const(1.0), y), b.neg(b.div(r, y)))),
    Operation("pow", np.power, _power),
    Operation("fmod", np.fmod, lambda b, r, x, y: (b.const(1.0), b.neg(b.apply("trunc", b.div(x, y))))),
    Operation("atan2", np.arctan2, lambda b, r, y, x: _atan2(b, y, x)),
    Operation("max", np.maximum, _chosen("gt"), commutes=True),
    Operation("min", np.minimum, _chosen("lt"), commutes=True),
    Operation("where", np.where, lambda b, r, c, x, y: (None, *_either(b, c))),
]  # fmt: skip


def _either(b: Any, condition: Any) -> tuple[Any, Any]:
    one, zero = b.const(1.0), b.const(0.0)
    return b.where(condition, one, zero), b.where(condition, zero, one)


def _atan2(b: Any, y: Any, x: Any) -> tuple[Any, Any]:
    square = b.add(b.mul(x, x), b.mul(y, y))
    return b.div(x, square), b.neg(b.div(y, square))


_TRUTHS = [
    Operation("lt", np.less, truth=True),
    Operation("le", np.less_equal, truth=True),
    Operation("gt", np.greater, truth=True),
    Operation("ge", np.greater_equal, truth=True),
    Operation("eq", np.equal, truth=True, commutes=True),
    Operation("ne", np.not_equal, truth=True, commutes=True),
    Operation("and", np.logical_and, truth=True, commutes=True),
    Operation("or", np.logical_or, truth=True, commutes=True),
    Operation("not", np.logical_not, truth=True),
]

OPERATIONS = {
    operation.name: operation for operation in (*_ARITHMETIC, *(Operation(*simple) for simple in _SIMPLE), *_TRUTHS)
}
