"""Solves with the lower and the upper triangle of a matrix, and with their transposed ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.sparse import Sparse, pattern

# Up to so many unknowns an operator that is neither dense nor sparse is written out as a dense matrix.
LARGEST_WRITTEN_OUT = 4096

Solve = Callable[[Tensor], Tensor]
# A solve and the one with the transposed matrix.
Both = tuple[Solve, Solve]


def is_written_out(operator: LinearOperator) -> bool:
    """Whether an operator must be written out as a dense matrix: all but one sparse matrix for all samples."""
    return not (isinstance(operator, Sparse) and not operator.batch)


def triangles(operator: LinearOperator, b: Tensor, diagonal: Tensor) -> tuple[Both, Both]:
    """Solves with the strict lower triangle and a diagonal in place of the matrix's, and with the upper one."""
    if isinstance(operator, Sparse) and not is_written_out(operator):
        return _sparse(operator, diagonal, lower=True), _sparse(operator, diagonal, lower=False)
    matrix = operator.dense(b).detach()
    main = torch.diag_embed(diagonal.flatten(diagonal.dim() - len(operator.state_shape(b))))
    return _dense(matrix.tril(-1) + main, lower=True), _dense(matrix.triu(1) + main, lower=False)


def _dense(triangle: Tensor, lower: bool) -> Both:
    def solve(matrix: Tensor, upper: bool, r: Tensor) -> Tensor:
        flat = r.reshape(*r.shape[: max(r.dim() - 1, 0)], -1)
        if matrix.dim() == 2:
            return torch.linalg.solve_triangular(matrix, flat.reshape(-1, matrix.shape[-1]).mT, upper=upper).mT.reshape(
                r.shape
            )
        return torch.linalg.solve_triangular(matrix, flat.unsqueeze(-1), upper=upper).squeeze(-1)

    return (lambda r: solve(triangle, not lower, r)), (lambda r: solve(triangle.mT, lower, r))


def _sparse(operator: Sparse, diagonal: Tensor, lower: bool) -> Both:
    kept = operator.columns < operator.rows if lower else operator.columns > operator.rows
    places = torch.arange(operator.n, device=kept.device)
    rows = torch.cat([operator.rows[kept], places])
    columns = torch.cat([operator.columns[kept], places])
    values = torch.cat([operator.values.detach()[kept], diagonal])

    def solver(rows: Tensor, columns: Tensor, upper: bool) -> Solve:
        order = torch.argsort(rows * operator.n + columns)
        skeleton = pattern(rows[order], columns[order], operator.n, values.dtype)
        matrix = Sparse(skeleton, values[order]).csr

        def solve(r: Tensor) -> Tensor:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="torch.triangular_solve is deprecated")
                found = torch.triangular_solve(r.reshape(-1, operator.n).mT.contiguous(), matrix, upper=upper)[0]
            return found.mT.reshape(r.shape)

        return solve

    return solver(rows, columns, not lower), solver(columns, rows, lower)
