"""A sparse matrix."""

from __future__ import annotations

import warnings
from functools import cached_property

import torch
from torch import Tensor

from kutta.autodiff import in_forward_mode, under_transform
from kutta.solvers.algebra.operators.linear_operator import LinearOperator, check_size


class Sparse(LinearOperator):
    """A sparse matrix in compressed rows, or many with the same pattern.

    Attributes:
        matrix: a sparse tensor ``(n, n)``, of the layout ``torch.sparse_csr`` or ``torch.sparse_coo``.
        values: entries in place of those of the matrix, ``(..., nnz)``, in the order of ``matrix.values()`` of the
            CSR layout: with leading axes one matrix a sample. Gradients reach them, and those of the matrix.
        symmetric: whether it equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        >>> import torch, kutta as kt
        >>> places = torch.tensor([[0, 0, 1], [0, 1, 1]])
        >>> matrix = torch.sparse_coo_tensor(places, torch.tensor([2.0, 1.0, 3.0]), (2, 2))
        >>> kt.algebra.Sparse(matrix).apply(torch.ones(2))
        tensor([3., 3.])
    """

    axes = 1

    def __init__(self, matrix: Tensor, values: Tensor | None = None, symmetric: bool = False, definite: bool = False):
        if matrix.layout not in (torch.sparse_csr, torch.sparse_coo):
            raise TypeError(f"matrix must be a sparse CSR or COO tensor; got the layout {matrix.layout}")
        if matrix.dim() != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"matrix must be square, of shape (n, n); got {tuple(matrix.shape)}")
        csr = matrix if matrix.layout == torch.sparse_csr else compressed(matrix)
        starts, self.columns = csr.crow_indices(), csr.col_indices()
        self.n = matrix.shape[0]
        self.rows = torch.repeat_interleave(torch.arange(self.n, device=starts.device), starts.diff())
        self.starts, self.values = starts, csr.values() if values is None else values
        if self.values.shape[-1:] != self.columns.shape:
            raise ValueError(f"values must have shape (..., {len(self.columns)}); got {tuple(self.values.shape)}")
        if not (self.values.is_floating_point() or self.values.is_complex()):
            raise TypeError(f"matrix must have a floating-point or complex dtype; got {self.values.dtype}")
        self.symmetric, self.definite, self.batch = symmetric or definite, definite, self.values.shape[:-1]

    def apply(self, x: Tensor) -> Tensor:
        # One product of PyTorch's takes a third of the time of these sums, but is not to be differentiated twice.
        if self.values.dim() == 1 and not (torch.is_grad_enabled() or in_forward_mode() or under_transform()):
            product = self.csr @ x.reshape(-1, self.n).mT
            return product.mT.reshape(x.shape)
        products = self.values * x[..., self.columns]
        return (
            torch.zeros_like(products[..., :1]).expand(*products.shape[:-1], self.n).index_add(-1, self.rows, products)
        )

    @cached_property
    def csr(self) -> Tensor:
        """The matrix as a CSR tensor that shares memory with the values, where there is one for all samples."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(self.starts, self.columns, self.values.detach(), (self.n, self.n))

    def check(self, x: Tensor) -> None:
        check_size("a sparse matrix", self.n, self.values.dtype, x)

    def transposed(self) -> LinearOperator:
        if self.symmetric and not self.values.is_complex():
            return self
        order = torch.argsort(self.columns, stable=True)
        return Sparse(
            pattern(self.columns[order], self.rows[order], self.n, self.values.dtype),
            self.values[..., order],
            self.symmetric,
            self.definite,
        )

    def diagonal(self, like: Tensor) -> Tensor:
        on_it = self.values * (self.rows == self.columns)
        return torch.zeros_like(on_it[..., :1]).expand(*self.batch, self.n).index_add(-1, self.rows, on_it)

    def dense(self, like: Tensor) -> Tensor:
        flat = torch.zeros_like(self.values[..., :1]).expand(*self.batch, self.n * self.n)
        return flat.index_add(-1, self.rows * self.n + self.columns, self.values).unflatten(-1, (self.n, self.n))


def compressed(matrix: Tensor) -> Tensor:
    """A sparse COO matrix in compressed rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return matrix.coalesce().to_sparse_csr()


def pattern(rows: Tensor, columns: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """A CSR tensor of ones at the places given, sorted by their rows."""
    starts = torch.zeros(n + 1, dtype=torch.int64, device=rows.device)
    starts[1:] = torch.bincount(rows, minlength=n).cumsum(0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        ones = torch.ones(len(columns), dtype=dtype, device=rows.device)
        return torch.sparse_csr_tensor(starts, columns, ones, (n, n))
