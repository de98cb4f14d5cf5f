"""Factorisations of dense matrices: LU and Cholesky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.autodiff import under_transform
from kutta.solution import Result
from kutta.solvers.algebra.direct.direct import Direct, DirectMethod
from kutta.solvers.algebra.method import LARGEST_WRITTEN_OUT
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class DenseMethod(DirectMethod):
    """A method for dense matrices, which also writes out small operators of other kinds."""

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        super().check(operator, b)
        n = operator.state_shape(b).numel()
        if not isinstance(operator, Dense) and n > LARGEST_WRITTEN_OUT:
            raise ValueError(
                f"{type(self).__name__} factorises dense matrices, and writes out operators of up to "
                f"{LARGEST_WRITTEN_OUT} unknowns as such; got a {type(operator).__name__} operator of {n}: use an "
                "iterative method such as kutta.CG() or kutta.GMRES(), or kutta.CyclicReduction() for a banded one"
            )


@dataclass(frozen=True)
class LU(DenseMethod):
    """Gaussian elimination with row exchanges, ``P A = L U``, of one dense matrix or one for each sample.

    The factors serve the backward pass too. Operators of other kinds are written out as dense matrices, up to 4,096
    unknowns.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(A, torch.tensor([2.0, 3.0], dtype=torch.float64)), kt.LU()).y1
        tensor([2., 1.], dtype=torch.float64)
    """

    source = "Golub and Van Loan, Matrix Computations, section 3.4"

    def factorised(self, operator: LinearOperator, b: Tensor) -> Direct:
        factors, pivots, info = torch.linalg.lu_factor_ex(operator.regular().dense(b).detach())
        failure = torch.where(info == 0, int(Result.SUCCESS), int(Result.SINGULAR))
        # PyTorch 2.13 solves wrongly by factors with column strides where torch.func.vmap maps both them and the right
        # sides, as under vmap(jacrev(...)).
        factors = factors.contiguous() if under_transform() else factors

        def eliminate(right: Tensor) -> Tensor:
            return torch.linalg.lu_solve(factors, pivots, right)

        return Direct(operator, lambda right: by_columns(eliminate, operator, right), failure)


@dataclass(frozen=True)
class Cholesky(DenseMethod):
    """``A = L L^H`` of a definite dense matrix, or one for each sample: half the work of `LU`.

    The matrix must be symmetric (complex: Hermitian), of which only the lower triangle is looked at, and positive or
    negative definite; for another one the result is ``INDEFINITE``. Operators of other kinds are written out as dense
    matrices, up to 4,096 unknowns.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[4.0, 2.0], [2.0, 3.0]], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(A, torch.tensor([8.0, 8.0], dtype=torch.float64)), kt.Cholesky()).y1
        tensor([1.0000, 2.0000], dtype=torch.float64)
    """

    source = "Golub and Van Loan, Matrix Computations, section 4.2"

    def factorised(self, operator: LinearOperator, b: Tensor) -> Direct:
        matrix = operator.regular().dense(b).detach()
        sign = matrix[..., :1, :1].real.sign().to(matrix.dtype)
        factor, info = torch.linalg.cholesky_ex(sign * matrix)
        failure = torch.where(info == 0, int(Result.SUCCESS), int(Result.INDEFINITE))

        def eliminate(right: Tensor) -> Tensor:
            return torch.cholesky_solve(right, factor) * sign

        return Direct(operator, lambda right: by_columns(eliminate, operator, right), failure)


def by_columns(elimination: Callable[[Tensor], Tensor], operator: LinearOperator, b: Tensor) -> Tensor:
    """One matrix has the states of the batch as its columns; of many, each has its own."""
    b = operator.compatible(b)
    shape = operator.state_shape(b)
    flat = b.reshape(*b.shape[: b.dim() - len(shape)], shape.numel())
    if operator.batch:
        found = elimination(flat.unsqueeze(-1)).squeeze(-1)
    else:
        found = elimination(flat.reshape(-1, shape.numel()).mT).mT
    return found.reshape(b.shape)
