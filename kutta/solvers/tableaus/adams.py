"""Coefficients of the explicit Adams methods on equal steps.

With backward differences ``D f_n = f_n - f_{n-1}``, the polynomial through the last slopes is integrated over the next
step by ``sum_j g_j D^j f_n``, where ``sum_{i <= j} g_i / (j - i + 1) = 1``:

    g = 1, 1/2, 5/12, 3/8, 251/720, ...

Source: Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section III.1.
"""

from fractions import Fraction
from functools import lru_cache
from math import comb


@lru_cache
def adams_bashforth(order: int) -> tuple[Fraction, ...]:
    """The weights of the last slopes, newest first: ``sum_j g_j D^j`` written out, ``D = 1 - E^-1``."""
    differences = difference_weights(order)
    return tuple(
        sum((-1) ** i * comb(j, i) * differences[j] for j in range(i, order)) + Fraction(0) for i in range(order)
    )


@lru_cache
def difference_weights(count: int) -> tuple[Fraction, ...]:
    """The first weights ``g_j`` of the backward differences."""
    found: list[Fraction] = []
    for j in range(count):
        found.append(1 - sum((g / (j - i + 1) for i, g in enumerate(found)), Fraction(0)))
    return tuple(found)
