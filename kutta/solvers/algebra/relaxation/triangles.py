"""Solves with the lower and the upper triangle of a matrix, and with their transposed ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import is_mapped
from kutta.solvers.algebra.method import state_axes
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.sparse import Sparse

Solve = Callable[[Tensor], Tensor]
# A solve and the one with the transposed matrix.
Both = tuple[Solve, Solve]


def is_written_out(operator: LinearOperator) -> bool:
    """Whether an operator must be written out as a matrix: all but dense ones, and one sparse one for all samples."""
    shared = isinstance(operator, Sparse) and not operator.batch and not is_mapped(operator.values)
    return not (isinstance(operator, Dense) or shared)


def triangles(operator: LinearOperator, b: Tensor, diagonal: Tensor) -> tuple[Both, Both]:
    """Solves with the strict lower triangle and a diagonal in place of the matrix's, and with the upper one."""
    if isinstance(operator, Sparse) and not is_written_out(operator):
        return _sparse(operator, diagonal, lower=True), _sparse(operator, diagonal, lower=False)
    matrix = operator.dense(b).detach()
    main = torch.diag_embed(diagonal.flatten(diagonal.dim() - len(operator.state_shape(b))))
    axes = state_axes(operator, b)
    return _dense(matrix.tril(-1) + main, axes, lower=True), _dense(matrix.triu(1) + main, axes, lower=False)


def _dense(triangle: Tensor, axes: int, lower: bool) -> Both:
    n = triangle.shape[-1]

    def solve(matrix: Tensor, upper: bool, r: Tensor) -> Tensor:
        if matrix.dim() == 2:
            return torch.linalg.solve_triangular(matrix, r.reshape(-1, n).mT, upper=upper).mT.reshape(r.shape)
        flat = r.flatten(r.dim() - axes).unsqueeze(-1)
        return torch.linalg.solve_triangular(matrix, flat, upper=upper).reshape(r.shape)

    return (lambda r: solve(triangle, not lower, r)), (lambda r: solve(triangle.mT, lower, r))


def _sparse(operator: Sparse, diagonal: Tensor, lower: bool) -> Both:
    kept = operator.columns < operator.rows if lower else operator.columns > operator.rows
    places = torch.arange(operator.n, device=kept.device)
    triangle = operator.sorted_from(
        torch.cat([operator.rows[kept], places]),
        torch.cat([operator.columns[kept], places]),
        torch.cat([operator.values.detach()[kept], diagonal]),
    )
    turned = triangle.sorted_from(triangle.columns, triangle.rows, triangle.values)

    def solve(matrix: Sparse, upper: bool, r: Tensor) -> Tensor:
        return _SparseSolve.apply(r, matrix.values, matrix, upper)  # type: ignore[return-value]

    return (lambda r: solve(triangle, not lower, r)), (lambda r: solve(turned, lower, r))


class _SparseSolve(torch.autograd.Function):
    """A solve with a sparse triangle, without derivatives; what PyTorch's own gives under ``vmap`` is wrong.

    Arguments: the right-hand sides; the entries of the triangle, and where they are; whether it is an upper one.
    """

    @staticmethod
    def forward(r: Tensor, values: Tensor, matrix: Sparse, upper: bool) -> Tensor:
        csr, columns = matrix.csr_of(values), r.reshape(-1, matrix.n).mT.contiguous()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated")
            found = torch.triangular_solve(columns, csr, upper=upper)[0]
        return found.mT.reshape(r.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Nothing is kept, since sweeps are not differentiated."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], r: Tensor, *others: Any) -> tuple[Tensor, int]:
        return _SparseSolve.apply(r.movedim(in_dims[0], 0), *others), 0  # type: ignore[return-value]
