"""Slopes in a cell from the differences to its two neighbours, so limited that no new extremum arises.

With ``a`` the difference to the left neighbour and ``b`` that to the right one, a slope is 0 where they differ in sign,
at most twice the smaller one elsewhere, and, for order 2, ``a`` where ``a = b`` (Sweby, High resolution schemes using
flux limiters for hyperbolic conservation laws, SIAM J. Numer. Anal. 21, 1984). All are odd and symmetric in ``a`` and
``b``, so that mirror images stay mirror images to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Limiter = Callable[[Tensor, Tensor], Tensor]


def minmod(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two slopes of one sign: the most diffusive one."""
    return torch.where(a * b > 0, torch.where(a.abs() < b.abs(), a, b), 0.0)


def van_leer(a: Tensor, b: Tensor) -> Tensor:
    """The harmonic mean ``2 a b / (a + b)``: smooth, and the usual choice."""
    agree = a * b > 0
    return torch.where(agree, 2.0 * a * b / torch.where(agree, a + b, 1.0), 0.0)


def van_albada(a: Tensor, b: Tensor) -> Tensor:
    """``a b (a + b) / (a^2 + b^2)``: smoother still."""
    agree = a * b > 0
    return torch.where(agree, a * b * (a + b) / torch.where(agree, a * a + b * b, 1.0), 0.0)


def monotonised_central(a: Tensor, b: Tensor) -> Tensor:
    """The mean of both where twice the smaller one is not less."""
    return minmod(0.5 * (a + b), 2.0 * minmod(a, b))


def superbee(a: Tensor, b: Tensor) -> Tensor:
    """The largest one allowed: it keeps contacts sharp and makes steps of smooth slopes."""
    first, second = minmod(2.0 * a, b), minmod(a, 2.0 * b)
    return torch.where(first.abs() > second.abs(), first, second)


LIMITERS: dict[str, Limiter] = {
    "minmod": minmod,
    "van Leer": van_leer,
    "van Albada": van_albada,
    "monotonised central": monotonised_central,
    "superbee": superbee,
}
