"""The linear operator of a graph whose edges have weights."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class EdgeSums(LinearOperator):
    """``(A z)_i = sum over edges from j to i of w_ij z_j``, one for each head.

    Unlike a sparse matrix it needs no order of edges, and its transpose is the same with edges turned around.

    Attributes:
        edges: ``(2, E)``, from ``j`` to ``i``.
        weights: ``w``, ``(H, E)``.
    """

    axes = 1

    def __init__(self, edges: Tensor, weights: Tensor):
        self.edges, self.weights = edges, weights
        self.batch = weights.shape[:1]

    def apply(self, x: Tensor) -> Tensor:
        sources, targets = self.edges
        return torch.zeros_like(x).index_add(-1, targets, self.weights * x.index_select(-1, sources))

    def transposed(self) -> LinearOperator:
        return EdgeSums(self.edges.flip(0), self.weights)
