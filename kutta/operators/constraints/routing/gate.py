"""Experts whose shares a network learns."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kutta.operators.constraints.finite_samples import applied
from kutta.operators.operator import check_counts
from kutta.pde.grids.grid import Grid

# What each expert has of each point at least: weights of the residual are roots of shares, which have slopes there.
_LEAST = 1e-6


class Gate(nn.Module):
    """The share of each expert is what a network says, ``g_k = softmax_k c_k(t, x)``.

    Experts see all points, each with the weight that its share has there. To keep all of them in use, add
    `Prediction.imbalance` to the loss; `kutta.operators.train_on_equation` does so with ``balance``.

    Args:
        network: maps ``(n, inputs, *shape)`` on a grid of time and space to a field ``c_k`` for each expert,
            ``(n, K, *shape)``.
        experts: ``K``.

    Example:
        >>> import torch, kutta as kt
        >>> gate = kt.operators.Gate(kt.operators.FNO(1, 3, modes=(4, 4), width=4, layers=1), experts=3)
        >>> shares = gate.shares(torch.randn(2, 1, 8, 16), kt.pde.Grid((8, 16)))
        >>> shares.shape, bool(torch.allclose(shares.sum(1), torch.ones(2, 8, 16)))
        (torch.Size([2, 3, 8, 16]), True)
    """

    def __init__(self, network: nn.Module, experts: int):
        super().__init__()
        check_counts(experts=experts)
        self.network, self.experts = network, experts

    def shares(self, a: Tensor, grid: Grid) -> Tensor:
        """The share of each expert in the prediction, ``(n, K, *shape)``; NaN where the network says no numbers."""
        found = applied(self.network, a.to(next(self.network.parameters(), a)), grid)
        if found.shape[1] != self.experts:
            raise ValueError(f"network must return a field for each of {self.experts} experts; got {found.shape[1]}")
        return (torch.softmax(found, 1) + _LEAST) / (1.0 + self.experts * _LEAST)
