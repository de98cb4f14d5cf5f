"""Reference solutions: Gragg's extrapolated midpoint rule of order 20, in extended precision.

It shares nothing with the solvers that are compared. Where the platform's ``long double`` is wider
than float64 (x86: 64 bits of mantissa) its rounding errors are below those of any float64 solve.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

COLUMNS = 10
DIVISIONS = [2 * (k + 1) for k in range(COLUMNS)]

Array = np.ndarray[Any, Any]
Rhs = Callable[[Any, Array], Array]


def reference(f: Rhs, y0: Sequence[float], times: Sequence[float]) -> Array:
    """The states at `times`, the first of which belongs to `y0`; float64, shape ``(T, D)``."""
    y, h = np.array(y0, dtype=np.longdouble), np.longdouble(1e-2)
    states = [y]
    for start, end in itertools.pairwise(times):
        y, h = _integrate(f, y, np.longdouble(start), np.longdouble(end), h)
        states.append(y)
    return np.stack(states).astype(np.float64)


def _integrate(f: Rhs, y: Array, t: Any, end: Any, h: Any) -> tuple[Array, Any]:
    # Far above the rounding errors of a step, which would stall the control; the value that is kept is
    # more accurate than the difference that is measured.
    tolerance = 1000 * np.finfo(np.longdouble).eps
    while t < end:
        size = min(h, end - t)
        ahead, error = _step(f, t, y, size)
        ratio = float(error / (tolerance * np.maximum(1.0, np.abs(y)).max()))
        if ratio <= 1.0:
            t, y = (end if size == end - t else t + size), ahead
        factor = min(2.0, max(0.2, 0.8 * max(ratio, 1e-30) ** (-1.0 / (2 * COLUMNS - 1))))
        h = max(h, size * factor) if ratio <= 1.0 and size < h else size * factor
    return y, h


def _step(f: Rhs, t: Any, y: Array, h: Any) -> tuple[Array, Any]:
    """One extrapolated step, and the difference of its two best values."""
    slope, row = f(t, y), []
    for index, n in enumerate(DIVISIONS):
        above, row = row, [_midpoint(f, t, y, slope, h, n)]
        for j in range(index):
            square = (np.longdouble(n) / DIVISIONS[index - j - 1]) ** 2
            row.append(row[j] + (row[j] - above[j]) / (square - 1))
    return row[-1], np.abs(row[-1] - row[-2]).max()


def _midpoint(f: Rhs, t: Any, y: Array, slope: Array, h: Any, n: int) -> Array:
    part = h / n
    before, now = y, y + part * slope
    for k in range(1, n):
        before, now = now, before + 2 * part * f(t + k * part, now)
    return now
