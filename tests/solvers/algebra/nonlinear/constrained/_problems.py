"""Constrained problems of Hock and Schittkowski, with their starts and least values.

Source: Hock and Schittkowski, Test examples for nonlinear programming codes, 1981.
"""

import math
from typing import NamedTuple

import torch

from tests._helpers import tensor


class Case(NamedTuple):
    """A problem: what is made least, what is made zero, where to begin, and the least value."""

    f: object
    constraints: object
    start: torch.Tensor
    least: float


def _hs77(x):
    fourth, sixth = (x[3] - 1.0) ** 4, (x[4] - 1.0) ** 6
    return (x[0] - 1.0) ** 2 + (x[0] - x[1]) ** 2 + (x[2] - 1.0) ** 2 + fourth + sixth


def _hs77_constraints(x):
    first = x[0] ** 2 * x[3] + torch.sin(x[3] - x[4]) - 2.0 * math.sqrt(2.0)
    return torch.stack([first, x[1] + x[2] ** 4 * x[3] ** 2 - 8.0 - math.sqrt(2.0)])


def _hs78_constraints(x):
    return torch.stack([x.square().sum() - 10.0, x[1] * x[2] - 5.0 * x[3] * x[4], x[0] ** 3 + x[1] ** 3 + 1.0])


HS = {
    "HS6": Case(lambda x: (1.0 - x[0]) ** 2, lambda x: 10.0 * (x[1] - x[0] ** 2), tensor(-1.2, 1.0), 0.0),
    "HS7": Case(
        lambda x: torch.log(1.0 + x[0] ** 2) - x[1],
        lambda x: (1.0 + x[0] ** 2) ** 2 + x[1] ** 2 - 4.0,
        tensor(2.0, 2.0),
        -math.sqrt(3.0),
    ),
    "HS27": Case(
        lambda x: 0.01 * (x[0] - 1.0) ** 2 + (x[1] - x[0] ** 2) ** 2,
        lambda x: x[0] + x[2] ** 2 + 1.0,
        tensor(2.0, 2.0, 2.0),
        0.04,
    ),
    "HS39": Case(
        lambda x: -x[0],
        lambda x: torch.stack([x[1] - x[0] ** 3 - x[2] ** 2, x[0] ** 2 - x[1] - x[3] ** 2]),
        tensor(2.0, 2.0, 2.0, 2.0),
        -1.0,
    ),
    "HS40": Case(
        lambda x: -x.prod(),
        lambda x: torch.stack([x[0] ** 3 + x[1] ** 2 - 1.0, x[0] ** 2 * x[3] - x[2], x[3] ** 2 - x[1]]),
        tensor(0.8, 0.8, 0.8, 0.8),
        -0.25,
    ),
    "HS42": Case(
        lambda x: (x - tensor(1.0, 2.0, 3.0, 4.0)).square().sum(),
        lambda x: torch.stack([x[0] - 2.0, x[2] ** 2 + x[3] ** 2 - 2.0]),
        tensor(1.0, 1.0, 1.0, 1.0),
        28.0 - 10.0 * math.sqrt(2.0),
    ),
    "HS77": Case(_hs77, _hs77_constraints, tensor(2.0, 2.0, 2.0, 2.0, 2.0), 0.24150513),
    "HS78": Case(lambda x: x.prod(), _hs78_constraints, tensor(-2.0, 1.5, 2.0, -1.0, -1.0), -2.91970041),
}


def optimality(f, constraints, x, multipliers):
    """The norm of ``(grad f + G^T lambda, c)``, by derivatives in reverse mode."""
    x = x.detach().clone().requires_grad_()
    c = constraints(x).reshape(-1)
    (gradient,) = torch.autograd.grad(f(x) + (multipliers.detach() * c).sum(), x)
    return float(torch.cat([gradient, c.detach()]).norm())
