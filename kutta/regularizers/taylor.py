"""The penalty of TayNODE.

Kelly, Bettencourt, Johnson, Duvenaud, Learning differential equations that are easy to solve, NeurIPS
2020, arXiv 2007.04504.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.regularizers.integral import Integral

Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Taylor(Integral):
    """``int mean |d^K y / dt^K|^2 dt`` along the solution: prefers what a method of order ``K`` solves in few steps.

    Total derivatives by nested products of the Jacobian with a vector, whose cost doubles with each
    order: two evaluations of ``2^(K-1)`` times the work of `f` a step.

    Attributes:
        order: ``K``, at least 1; 2 or 3 are usual.

    Example:
        The solution ``e^-t`` has derivatives of size ``e^-t``.

        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 20.0))
        >>> penalty = kt.regularizers.Taylor(order=3)
        >>> sol = kt.solve(problem, rtol=1e-8, atol=1e-10, penalties={"taylor": penalty})
        >>> round(float(sol.penalties["taylor"]), 5)
        0.5
    """

    order: int = 3

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"order must be at least 1; got {self.order}")

    def integrand(self, field: Any, t: Any, y: Tensor) -> Tensor:
        time = torch.as_tensor(t, dtype=field.real_dtype, device=y.device)
        derivative: Function = field.derivative
        for _ in range(self.order - 1):
            derivative = _along_solution(derivative, field.derivative)
        return self.mean(derivative(time, y).abs().square(), field)


def _along_solution(function: Function, slope: Function) -> Function:
    """The total derivative ``d/dt function(t, y(t)) = function_t + function_y f``."""

    def derivative(t: Tensor, y: Tensor) -> Tensor:
        return torch.func.jvp(function, (t, y), (torch.ones_like(t), slope(t, y)))[1]

    return derivative
