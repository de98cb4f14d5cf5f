"""A matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Dense(LinearOperator):
    """``x -> A x`` along the last axis.

    Attributes:
        matrix: ``A``, ``(n, n)``.
    """

    matrix: Tensor

    def apply(self, x: Tensor) -> Tensor:
        return torch.matmul(self.matrix, x.unsqueeze(-1)).squeeze(-1)

    def transposed(self) -> Dense:
        return Dense(self.matrix.mT)

    def shifted(self, shift: Any, scale: Any) -> Dense:
        unit = torch.eye(self.matrix.shape[-1], dtype=self.matrix.dtype, device=self.matrix.device)
        return Dense(shift * unit + scale * self.matrix)

    def inverse(self) -> Callable[[Tensor], Tensor]:
        factors, pivots, _ = torch.linalg.lu_factor_ex(self.matrix)
        return lambda b: torch.linalg.lu_solve(factors, pivots, b.unsqueeze(-1)).squeeze(-1)
