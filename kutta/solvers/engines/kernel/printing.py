"""Numbers and sums of a tableau as C++."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction


def number(value: Fraction) -> str:
    """A coefficient in the precision of the state."""
    return f"real({float(value)!r})"


def total(weights: Iterable[Fraction]) -> str:
    """``sum_i w_i k_i``, one entry of it."""
    terms = [f"{number(weight)} * k[{stage}][d]" for stage, weight in enumerate(weights) if weight]
    return " + ".join(terms) or "splat(0)"


def interpolant_weights(rows: Sequence[Sequence[Fraction]]) -> str:
    """The weights of the stages in the state at ``theta``, polynomials without constant."""
    lines = [f"  p[{stage}] = {_polynomial(row)};" for stage, row in enumerate(rows)]
    head = "template <class X> FUNCTION void interpolant_weights(X theta, X *p) {"
    return "\n".join([head, *lines, "}"])


def _polynomial(row: Sequence[Fraction]) -> str:
    """``theta (w_1 + theta (w_2 + ...))``."""
    text = ""
    for weight in reversed(row):
        text = f"theta * ({float(weight)!r} + {text})" if text else f"theta * {float(weight)!r}"
    return text
