"""What predictions weigh over a step of an exponential sampler, by `kutta.solvers.exponential.phi`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.exponential.phi import in_double, scaled_phis


def data_moments(h: Any, count: int) -> Tensor:
    """``int_0^h exp(-(h - r)) (r / h)^k dr = k! h phi_{k+1}(-h)`` for ``k < count``: shape ``(..., count)``.

    They weigh predictions of the data over a step of size `h`; ``(r / h)^k`` instead of ``r^k`` keeps them of one
    size.

    Args:
        h: sizes of steps in ``log(alpha / sigma)``, positive, of any shape.
        count: how many, up to 10.
    """
    return _moments(in_double(h), count, -1.0)


def noise_moments(h: Any, count: int) -> Tensor:
    """``exp(-h) int_0^h exp(h - r) (r / h)^k dr = k! h exp(-h) phi_{k+1}(h)`` for ``k < count``.

    They weigh predictions of the noise, likewise. Without the factor ``exp(-h)`` they would overflow in long steps.
    """
    return _moments(in_double(h), count, 1.0)


def _moments(h: Tensor, count: int, sign: float) -> Tensor:
    functions = scaled_phis(sign * h, count)[1:]
    return torch.stack([math.factorial(k) * h * value for k, value in enumerate(functions)], -1)
