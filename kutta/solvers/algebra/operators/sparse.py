"""A sparse matrix."""

from __future__ import annotations

import warnings
from functools import cached_property

import torch
from torch import Tensor

from kutta.autodiff import in_forward_mode, under_transform
from kutta.solvers.algebra.operators.linear_operator import (
    LinearOperator,
    Scalar,
    check_size,
    is_real,
    stays_definite,
)


class Sparse(LinearOperator):
    """A sparse matrix, or many with the same pattern.

    Attributes:
        matrix: a sparse tensor ``(n, n)``, of the layout ``torch.sparse_csr`` or ``torch.sparse_coo``.
        values: entries in place of those of the matrix, ``(..., nnz)``, row by row as in ``matrix.values()`` of the CSR
            layout: with leading axes one matrix a sample. Gradients of every kind reach them; those of the matrix
            itself get first derivatives in reverse mode, which is all that PyTorch's sparse tensors have.
        symmetric: whether it equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        >>> import torch, kutta as kt
        >>> places = torch.tensor([[0, 0, 1], [0, 1, 1]])
        >>> matrix = torch.sparse_coo_tensor(places, torch.tensor([2.0, 1.0, 3.0]), (2, 2), check_invariants=True)
        >>> kt.algebra.Sparse(matrix).apply(torch.ones(2))
        tensor([3., 3.])
    """

    axes = 1

    def __init__(self, matrix: Tensor, values: Tensor | None = None, symmetric: bool = False, definite: bool = False):
        if matrix.layout not in (torch.sparse_csr, torch.sparse_coo):
            raise TypeError(f"matrix must be a sparse CSR or COO tensor; got the layout {matrix.layout}")
        if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"matrix must be square, of shape (n, n); got {tuple(matrix.shape)}")
        rows, columns, own = _entries(matrix)
        self._keep(matrix.shape[0], rows, columns, own if values is None else values, symmetric, definite)

    def _keep(
        self, n: int, rows: Tensor, columns: Tensor, values: Tensor, symmetric: bool = False, definite: bool = False
    ) -> Sparse:
        """Take entries that are sorted by rows."""
        if values.shape[-1:] != columns.shape:
            raise ValueError(f"values must have shape (..., {len(columns)}); got {tuple(values.shape)}")
        if not (values.is_floating_point() or values.is_complex()):
            raise TypeError(f"matrix must have a floating-point or complex dtype; got {values.dtype}")
        self.n, self.rows, self.columns, self.values = n, rows, columns, values
        self.symmetric, self.definite, self.batch = symmetric or definite, definite, values.shape[:-1]
        return self

    def sorted_from(self, rows: Tensor, columns: Tensor, values: Tensor) -> Sparse:
        """A matrix of the same size with other entries, in any order."""
        order = torch.argsort(rows * self.n + columns)
        return Sparse.__new__(Sparse)._keep(self.n, rows[order], columns[order], values[..., order])

    def apply(self, x: Tensor) -> Tensor:
        # PyTorch's own product takes a third of the time of these sums, and cannot be differentiated twice or compiled.
        recorded = torch.is_grad_enabled() or in_forward_mode() or under_transform()
        if self.values.dim() == 1 and not (recorded or torch.compiler.is_compiling()):
            return self.csr @ x if x.dim() == 1 else (self.csr @ x.reshape(-1, self.n).mT).mT.reshape(x.shape)
        return self._gathered(self.values * x[..., self.columns])

    @cached_property
    def csr(self) -> Tensor:
        """The matrix as a CSR tensor that shares memory with the values, where there is one for all samples."""
        return self.csr_of(self.values.detach())

    @cached_property
    def starts(self) -> Tensor:
        """Where each row begins, and where the last ends."""
        starts = torch.zeros(self.n + 1, dtype=torch.int64, device=self.rows.device)
        starts[1:] = torch.bincount(self.rows, minlength=self.n).cumsum(0)
        return starts

    def csr_of(self, values: Tensor) -> Tensor:
        """A CSR tensor with these entries, ``(nnz,)``, at the places of those of the matrix."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(self.starts, self.columns, values, (self.n, self.n), check_invariants=False)

    def _gathered(self, entries: Tensor) -> Tensor:
        """The sums over the rows."""
        return entries.new_zeros((*entries.shape[:-1], self.n)).index_add(-1, self.rows, entries)

    def check(self, x: Tensor) -> None:
        check_size("a sparse matrix", self.n, self.values.dtype, x)

    def transposed(self) -> LinearOperator:
        turned = self.sorted_from(self.columns, self.rows, self.values)
        turned.symmetric, turned.definite = self.symmetric, self.definite
        return turned

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        on_it = self.rows == self.columns
        without = on_it.new_ones(self.n).index_fill(0, self.rows[on_it], False).nonzero()[:, 0]
        entries = scale * self.values + shift * on_it.to(self.values.dtype)
        new = shift * entries.new_ones((*self.batch, len(without)))
        moved = self.sorted_from(
            torch.cat([self.rows, without]), torch.cat([self.columns, without]), torch.cat([entries, new], -1)
        )
        moved.symmetric = self.symmetric and is_real(shift, scale)
        moved.definite = stays_definite(self, shift, scale)
        return moved

    def diagonal(self, like: Tensor) -> Tensor:
        return self._gathered(self.values * (self.rows == self.columns))

    def dense(self, like: Tensor) -> Tensor:
        flat = self.values.new_zeros((*self.batch, self.n * self.n))
        return flat.index_add(-1, self.rows * self.n + self.columns, self.values).unflatten(-1, (self.n, self.n))


def _entries(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values, row by row; copies, since views of sparse tensors are not to be compiled."""
    if matrix.layout == torch.sparse_coo:
        matrix = matrix.coalesce()
        rows, columns = matrix.indices()
        return rows.clone(), columns.clone(), matrix.values().clone()
    counts = matrix.crow_indices().diff()
    rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    return rows, matrix.col_indices().clone(), matrix.values().clone()
