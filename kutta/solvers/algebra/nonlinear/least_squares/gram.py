"""``J^T J``, and systems with it: of one dense matrix, or of blocks along a chain."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.iteration import chosen


class Gram:
    """Symmetric matrices of a batch that no method looks into."""

    def diagonal(self) -> Tensor:
        """``(B, n)``."""
        raise NotImplementedError

    def apply(self, d: Tensor) -> Tensor:
        """The product with ``(B, n)``."""
        raise NotImplementedError

    def solve(self, unit: Tensor, damping: Tensor, right: Tensor) -> Tensor:
        """``(U G U + damping)^-1 right`` with ``U = diag(unit)``, by Cholesky; NaN where that is not definite.

        Args:
            unit: ``(B, n)``.
            damping: ``(B,)``.
            right: ``(B, n)``.
        """
        raise NotImplementedError

    def chosen(self, where: Tensor, other: Gram) -> Gram:
        """This one for some problems of a batch, another one of its kind for the others."""
        raise NotImplementedError


class DenseGram(Gram):
    """All entries.

    Attributes:
        matrix: ``(B, n, n)``.
    """

    def __init__(self, matrix: Tensor):
        self.matrix = matrix

    def diagonal(self) -> Tensor:
        return self.matrix.diagonal(dim1=-2, dim2=-1)

    def apply(self, d: Tensor) -> Tensor:
        return (self.matrix @ d.unsqueeze(-1)).squeeze(-1)

    def solve(self, unit: Tensor, damping: Tensor, right: Tensor) -> Tensor:
        matrix = self.matrix * unit[:, :, None] * unit[:, None, :]
        factor, info = torch.linalg.cholesky_ex(matrix + damping[:, None, None] * _eye(matrix))
        found = torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
        return torch.where((info == 0)[:, None], found, torch.nan)

    def chosen(self, where: Tensor, other: Gram) -> Gram:
        return DenseGram(chosen(where, self.matrix, other.matrix))  # type: ignore[attr-defined]


class ChainGram(Gram):
    """Block tridiagonal: of unknowns in ``K`` blocks, of which only neighbours meet.

    A system takes ``K`` factorisations of blocks, one after the other, and not that of a matrix ``K`` times as large:

        L_k L_k^T = D_k - C_{k-1} C_{k-1}^T,    C_k = E_k L_k^-T

    Attributes:
        own: ``D``, ``(B, K, N, N)``.
        below: ``E``, the block of ``k + 1`` and ``k``, ``(B, K - 1, N, N)``.
    """

    def __init__(self, own: Tensor, below: Tensor):
        self.own, self.below = own, below

    def diagonal(self) -> Tensor:
        return self.own.diagonal(dim1=-2, dim2=-1).flatten(1)

    def apply(self, d: Tensor) -> Tensor:
        blocks = d.unflatten(1, self.own.shape[1:3]).unsqueeze(-1)
        found = self.own @ blocks
        after = torch.cat([torch.zeros_like(blocks[:, :1]), self.below @ blocks[:, :-1]], 1)
        before = torch.cat([self.below.mT @ blocks[:, 1:], torch.zeros_like(blocks[:, :1])], 1)
        return (found + after + before).flatten(1)

    def solve(self, unit: Tensor, damping: Tensor, right: Tensor) -> Tensor:
        units = unit.unflatten(1, self.own.shape[1:3])
        own = self.own * units[..., None] * units[..., None, :] + damping[:, None, None, None] * _eye(self.own)
        below = self.below * units[:, 1:, :, None] * units[:, :-1, None, :]
        factors, links, definite = _factorised(own, below)
        found = _substituted(factors, links, right.unflatten(1, self.own.shape[1:3]).unsqueeze(-1).unbind(1))
        return torch.where(definite[:, None], found.flatten(1), torch.nan)

    def chosen(self, where: Tensor, other: Gram) -> Gram:
        pairs = (self.own, other.own), (self.below, other.below)  # type: ignore[attr-defined]
        return ChainGram(*(chosen(where, new, old) for new, old in pairs))


def _factorised(own: Tensor, below: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """``L`` and ``C`` of each block, and which problems are definite."""
    factors, links = [], []
    definite = torch.ones(len(own), dtype=torch.bool, device=own.device)
    for k, block in enumerate(own.unbind(1)):
        factor, info = torch.linalg.cholesky_ex(block - links[-1] @ links[-1].mT if links else block)
        definite = definite & (info == 0)
        factors.append(factor)
        if k < below.shape[1]:
            links.append(torch.linalg.solve_triangular(factor, below[:, k].mT, upper=False).mT)
    return factors, links, definite


def _substituted(factors: list[Tensor], links: list[Tensor], right: tuple[Tensor, ...]) -> Tensor:
    """Forward along the chain, and back, ``(B, K, N, 1)``."""
    found: list[Tensor] = []
    for k, (factor, b) in enumerate(zip(factors, right, strict=True)):
        b = b - links[k - 1] @ found[-1] if k else b
        found.append(torch.linalg.solve_triangular(factor, b, upper=False))
    for k in reversed(range(len(factors))):
        b = found[k] - links[k].mT @ found[k + 1] if k < len(links) else found[k]
        found[k] = torch.linalg.solve_triangular(factors[k].mT, b, upper=True)
    return torch.stack(found, 1)


def _eye(matrix: Tensor) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
