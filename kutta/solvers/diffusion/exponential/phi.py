"""The functions of exponential integrators, to full precision at every argument.

    phi_0(z) = exp(z),    phi_k(z) = int_0^1 exp((1 - s) z) s^(k-1) / (k-1)! ds = sum_j z^j / (j + k)!

The recurrence ``phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`` loses all digits near zero, and the series alternates for
negative arguments. Both are avoided by series of positive terms: the one above for ``z >= 0``, and after Kummer's
transformation ``phi_k(-a) = exp(-a) sum_j a^j / (j! (k-1)! (j + k))`` for ``z = -a < 0``. Far from zero the
recurrence is stable.

Source: Hochbruck and Ostermann, Exponential integrators, 2010; NIST Digital Library of Mathematical Functions, 13.2.39.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

HIGHEST = 10  # the largest k: beyond it the recurrence would have to begin farther out
_FAR = 20.0  # where the recurrence takes over
_TERMS = 80  # 20^80 / 80! is 1e-15 of exp(20) / 1e8


def phi(k: int, z: Any) -> Tensor:
    """``phi_k(z)``, in float64 and differentiable.

    Args:
        k: from 0 to 10.
        z: real arguments of any shape.

    Returns:
        a tensor of the shape of `z`, with a relative error of about 1e-15; infinite where ``exp(z)`` is.

    Example:
        >>> phi(2, 1e-8)  # 1/2 + z/6
        tensor(0.5000, dtype=torch.float64)
    """
    if not isinstance(k, int) or not 0 <= k <= HIGHEST:
        raise ValueError(f"k must be a whole number from 0 to {HIGHEST}; got {k!r}")
    z = _float64(z)
    return _scaled(z, k)[..., k] * torch.exp(z.clamp(min=0.0))


def data_moments(h: Any, count: int) -> Tensor:
    """``int_0^h exp(-(h - r)) (r / h)^k dr = k! h phi_{k+1}(-h)`` for ``k < count``: shape ``(..., count)``.

    They weigh predictions of the data over a step of size `h`; ``(r / h)^k`` instead of ``r^k`` keeps them of one
    size.

    Args:
        h: sizes of steps in ``log(alpha / sigma)``, positive, of any shape.
        count: how many, up to 10.
    """
    return _moments(_float64(h), count, -1.0)


def noise_moments(h: Any, count: int) -> Tensor:
    """``exp(-h) int_0^h exp(h - r) (r / h)^k dr = k! h exp(-h) phi_{k+1}(h)`` for ``k < count``.

    They weigh predictions of the noise, likewise. Without the factor ``exp(-h)`` they would overflow in long steps.
    """
    return _moments(_float64(h), count, 1.0)


def _float64(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def _moments(h: Tensor, count: int, sign: float) -> Tensor:
    factorials = _float64([float(math.factorial(k)) for k in range(count)])
    return factorials * h[..., None] * _scaled(sign * h, count)[..., 1:]


def _scaled(z: Tensor, last: int) -> Tensor:
    """``phi_k(z) exp(-max(z, 0))`` for ``k = 0 ... last``, along a new last axis: no larger than 1."""
    near = (z.abs() <= _FAR)[..., None]
    return torch.where(near, _by_series(z, last), _by_recurrence(z, last))


def _by_series(z: Tensor, last: int) -> Tensor:
    of_positive, of_negative = _coefficients(last)
    rises = z >= 0
    size = torch.where(rises, z, -z).clamp(max=_FAR)[..., None]  # not |z|, whose slope at zero is none of the two
    powers = size ** torch.arange(_TERMS, dtype=torch.float64)
    return torch.where(rises[..., None], powers @ of_positive, powers @ of_negative) * torch.exp(-size)


def _by_recurrence(z: Tensor, last: int) -> Tensor:
    z = torch.where(z.abs() <= _FAR, torch.full_like(z, _FAR), z)  # of no use there, but without division by zero
    unit = torch.exp(-z.clamp(min=0.0))
    found = [torch.exp(z.clamp(max=0.0))]
    for k in range(last):
        found.append((found[-1] - unit / math.factorial(k)) / z)
    return torch.stack(found, -1)


@lru_cache
def _coefficients(last: int) -> tuple[Tensor, Tensor]:
    """Of the two series, ``(terms, last + 1)``; the second one of ``phi_0 = exp(-a)`` is 1."""

    def transformed(j: int, k: int) -> float:
        return 1.0 / (math.factorial(j) * math.factorial(k - 1) * (j + k)) if k else float(j == 0)

    terms, orders = range(_TERMS), range(last + 1)
    positive = [[1.0 / math.factorial(j + k) for k in orders] for j in terms]
    return _float64(positive), _float64([[transformed(j, k) for k in orders] for j in terms])
