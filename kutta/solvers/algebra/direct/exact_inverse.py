"""The inverse that an operator brings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kutta.solvers.algebra.direct.direct import Direct, DirectMethod
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True)
class ExactInverse(DirectMethod):
    """The inverse that the operator brings, such as division in a transform (`Diagonal`).

    Where a symbol of such an operator is zero, that part of the solution is zero; a right-hand side that has it is
    refused as ``SINGULAR`` when it is more than 1 % of the whole.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.algebra.Diagonal(torch.tensor([1.0, 2.0, 4.0]))
        >>> kt.solve(kt.LinearProblem(operator, torch.ones(3)), kt.algebra.ExactInverse()).y1
        tensor([1.0000, 0.5000, 0.2500])
    """

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        super().check(operator, b)
        if operator.inverse() is None:
            raise ValueError(f"ExactInverse needs an operator with an inverse; got a {type(operator).__name__}")

    def factorised(self, operator: LinearOperator, b: Tensor) -> Direct:
        inverse = operator.inverse()
        assert inverse is not None
        return Direct(operator, inverse)
