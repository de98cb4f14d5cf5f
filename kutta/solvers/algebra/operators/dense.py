"""An operator that is a matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import (
    LinearOperator,
    Scalar,
    check_size,
    is_real,
    stays_definite,
)


class Dense(LinearOperator):
    """A matrix, or one for each sample.

    Attributes:
        matrix: ``(n, n)``, or ``(*batch, n, n)``.
        symmetric: whether it equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        >>> import torch, kutta as kt
        >>> operator = kt.algebra.Dense(torch.tensor([[2.0, 1.0], [0.0, 3.0]]))
        >>> operator.apply(torch.ones(2)), operator.transposed().apply(torch.ones(2))
        (tensor([3., 3.]), tensor([2., 4.]))
    """

    axes = 1

    def __init__(self, matrix: Tensor, symmetric: bool = False, definite: bool = False):
        if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] == 0:
            raise ValueError(f"matrix must be square, of shape (..., n, n); got {tuple(matrix.shape)}")
        if not (matrix.is_floating_point() or matrix.is_complex()):
            raise TypeError(f"matrix must have a floating-point or complex dtype; got {matrix.dtype}")
        self.matrix, self.symmetric, self.definite = matrix, symmetric or definite, definite
        self.batch = matrix.shape[:-2]

    def apply(self, x: Tensor) -> Tensor:
        if self.matrix.dim() == 2:
            return x @ self.matrix.mT
        return (self.matrix @ x.unsqueeze(-1)).squeeze(-1)

    def check(self, x: Tensor) -> None:
        check_size("a matrix", self.matrix.shape[-1], self.matrix.dtype, x)

    def transposed(self) -> LinearOperator:
        return Dense(self.matrix.mT, self.symmetric, self.definite)

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        eye = torch.eye(self.matrix.shape[-1], dtype=self.matrix.dtype, device=self.matrix.device)
        symmetric = self.symmetric and is_real(shift, scale)
        return Dense(shift * eye + scale * self.matrix, symmetric, stays_definite(self, shift, scale))

    def diagonal(self, like: Tensor) -> Tensor:
        return torch.diagonal(self.matrix, dim1=-2, dim2=-1)

    def dense(self, like: Tensor) -> Tensor:
        return self.matrix
