"""The functions of exponential integrators, to full precision for every number, and for matrices.

    phi_0(z) = exp(z),    phi_k(z) = int_0^1 exp((1 - s) z) s^(k-1) / (k-1)! ds = sum_j z^j / (j + k)!

The recurrence ``phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`` is stable far from zero and loses all digits near it. There the
series is taken at a small part of the argument, which is then doubled,

    phi_k(2 z) = 2^-k (exp(z) phi_k(z) + sum_{j=1..k} phi_j(z) / (k - j)!),

a sum of positive terms for real arguments of either sign. It is the same for matrices.

Source: Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19, 2010; Skaflestad and Wright, The scaling and
modified squaring method for matrix functions related to the exponential, Applied Numerical Mathematics 59, 2009.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import read

HIGHEST = 10  # the largest k: beyond it the recurrence would have to begin farther out
_FAR = 20.0  # where the recurrence takes over
_DOUBLINGS = 5  # 20 / 2^5 < 1
_TERMS = 20  # 1 / 20! < 1e-18

Product = Callable[[Tensor, Tensor], Tensor]


def phi(k: int, z: Any) -> Tensor:
    """``phi_k(z)``, in double precision and differentiable.

    Args:
        k: from 0 to 10.
        z: real or complex arguments of any shape: a tensor, a number, an array or a list.

    Returns:
        a tensor of the shape of `z`, with a relative error of about 1e-15; infinite where ``exp(z)`` is.

    Raises:
        ValueError, TypeError: for another `k`, or what holds no numbers.

    Example:
        >>> phi(2, 1e-8)  # 1/2 + z/6
        tensor(0.5000, dtype=torch.float64)
    """
    if not isinstance(k, int) or not 0 <= k <= HIGHEST:
        raise ValueError(f"k must be a whole number from 0 to {HIGHEST}; got {k!r}")
    z = in_double(z)
    return scaled_phis(z, k)[k] * torch.exp(_growth(z))


def phis(z: Tensor, last: int) -> list[Tensor]:
    """``phi_0(z) ... phi_last(z)`` of numbers, in double precision."""
    z = in_double(z)
    size = torch.exp(_growth(z))
    return [value * size for value in scaled_phis(z, last)]


def scaled_phis(z: Tensor, last: int) -> list[Tensor]:
    """``phi_k(z) exp(-max(Re z, 0))`` for ``k = 0 ... last``: of absolute value 1 at most, however large `z` is."""
    near = z.abs() <= _FAR
    inner = torch.where(near, z, 0.0)
    powers = [torch.exp(inner / 2**halvings) for halvings in range(_DOUBLINGS, 0, -1)]
    inside = _raised(_series(inner / 2**_DOUBLINGS, last, torch.mul, 1.0), powers, torch.mul)[:last]
    shrunk = torch.exp(-_growth(inner))
    outside = _by_recurrence(torch.where(near, _FAR, z), last)
    return [
        torch.where(near, one * shrunk, other) for one, other in zip([torch.exp(inner), *inside], outside, strict=True)
    ]


def matrix_phis(matrix: Tensor, last: int) -> list[Tensor]:
    """``phi_0(A) ... phi_last(A)`` of a square matrix, or of each in a batch, in double precision.

    The error is about ``2^-52 |A|`` times that of the exponential's own condition. Costs ``last + 1`` products of
    matrices for every doubling, of which there are ``log2 |A|``: of each matrix in a batch its own number, since
    doublings that a small matrix does not need would cost it digits.
    """
    matrix = in_double(matrix)
    norms = matrix.detach().abs().sum(-1).amax(-1)
    most = read(norms.amax())
    doublings = max(0, math.frexp(most)[1] + 1) if math.isfinite(most) else 0
    needed = (torch.frexp(norms).exponent + 1).clamp(0, doublings)[..., None, None]
    unit = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    part = matrix / torch.pow(2.0, needed)
    found = _series(part, last, torch.matmul, unit)
    power = part @ found[0] + unit
    for done in range(doublings):
        raised = _raised(found, [power], torch.matmul)
        found = [torch.where(done < needed, new, old) for new, old in zip(raised, found, strict=True)]
        power = torch.where(done < needed, power @ power, power)
    return [power, *found][: last + 1]


def in_double(value: Any) -> Tensor:
    """Numbers, an array or a list of them, or a tensor, as a tensor of float64 or complex128.

    Raises:
        TypeError: for what holds no numbers.
    """
    if isinstance(value, Tensor):
        return value.to(torch.complex128 if value.is_complex() else torch.float64)
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "biufc":
        raise TypeError(f"expected numbers, an array of them or a tensor; got {value!r}")
    return torch.from_numpy(numbers.astype(np.complex128 if numbers.dtype.kind == "c" else np.float64, order="C"))


def _growth(z: Tensor) -> Tensor:
    return (z.real if z.is_complex() else z).clamp(min=0.0)


def _by_recurrence(z: Tensor, last: int) -> list[Tensor]:
    growth = _growth(z)
    unit = torch.exp(-growth)
    found = [torch.exp(z - growth)]
    for k in range(last):
        found.append((found[-1] - unit / math.factorial(k)) / z)
    return found


def _raised(found: list[Tensor], powers: Sequence[Tensor], product: Product) -> list[Tensor]:
    """``phi_1, ...`` at ``2^n z`` by those at ``z``, given the exponentials of ``z, 2 z, ... 2^(n-1) z``."""
    for power in powers:
        found = [
            (product(power, value) + sum(found[j] / math.factorial(k - j) for j in range(k + 1))) / 2 ** (k + 1)
            for k, value in enumerate(found)
        ]
    return found


def _series(z: Tensor, last: int, product: Product, unit: Any) -> list[Tensor]:
    """``phi_1(z) ... phi_last(z)``, at least one: the last by its series, the others by ``z phi_{k+1} + 1/k!``."""
    last = max(last, 1)
    value = torch.zeros_like(z) + unit / float(math.factorial(last + _TERMS))
    for j in reversed(range(_TERMS)):
        value = product(z, value) + unit / float(math.factorial(last + j))
    found = [value]
    for k in reversed(range(1, last)):
        found.insert(0, product(z, found[0]) + unit / math.factorial(k))
    return found
