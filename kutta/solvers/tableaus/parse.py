"""Reading tables that are written the way the literature prints them.

A Butcher tableau is one line a stage: the node, a bar, the row of ``a``. A line without a node
continues the row above it. Numbers are integers, decimals or rationals ``p/q``, and each is read as the
`Fraction` that its digits denote. A long rational may break after its slash, or between digits after an
underscore.
"""

from __future__ import annotations

import re
from fractions import Fraction

from .tableau import Row

_BREAK = re.compile(r"(?:_|(/))\s+")


def row(text: str) -> Row:
    """The numbers of a text separated by white space."""
    return tuple(Fraction(number) for number in _BREAK.sub(r"\1", text).split())


def butcher(text: str, before: int = 0) -> tuple[Row, tuple[Row, ...]]:
    """Nodes and rows of a Butcher tableau.

    `before` counts the stages that precede the first line; it is positive for the extra stages of an
    interpolant.
    """
    nodes, rows = zip(*labelled(text), strict=True)
    for index, entries in enumerate(rows):
        if len(entries) != before + index:
            raise ValueError(f"row {index} must have {before + index} entries, got {len(entries)}")
    return nodes, rows


def polynomials(text: str, stages: int) -> tuple[Row, ...]:
    """The polynomials of an interpolant, one row a stage.

    Each line holds the number of a stage, counted from 1, and the coefficients of
    ``theta, theta**2, ...``. A stage that is not listed has no weight.
    """
    listed = {int(stage): coefficients for stage, coefficients in labelled(text)}
    length = max(map(len, listed.values()))
    if any(len(coefficients) != length for coefficients in listed.values()):
        raise ValueError(f"all polynomials must have {length} coefficients")
    if not listed.keys() <= set(range(1, stages + 1)):
        raise ValueError(f"stages must lie in 1..{stages}, got {sorted(listed)}")
    return tuple(listed.get(stage, (Fraction(0),) * length) for stage in range(1, stages + 1))


def labelled(text: str) -> list[tuple[Fraction, Row]]:
    """The lines ``label | numbers`` of a text, continuation lines joined."""
    lines: list[list[str]] = []
    for line in filter(str.strip, text.splitlines()):
        label, bar, numbers = line.partition("|")
        if not bar:
            raise ValueError(f"expected a line with a bar, got {line!r}")
        if label.strip():
            lines.append([label.strip(), numbers])
        else:
            lines[-1][1] += " " + numbers
    return [(Fraction(label), row(numbers)) for label, numbers in lines]
