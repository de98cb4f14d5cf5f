"""Experts that are solved by several processes, of which each has some.

All processes are given the same problems and have the same network. Each solves for the weights of its own experts;
these travel, and nothing else, and all predict the same.

In reverse, the derivatives of all processes' losses by an expert's weights are added up where it was solved. Parameters
so get the part of a process's own experts, and ``P`` times that: the mean over the ``P`` processes, which data-parallel
training takes, is the derivative of the loss.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as distributed
from torch import Tensor


class ExpertsOfProcesses:
    """Which process has which experts.

    Args:
        group: of processes: one of PyTorch's, a device mesh of one axis, or ``True`` for all there are.

    Attributes:
        rank: of this process.
        size: how many there are.
    """

    def __init__(self, group: Any):
        if not distributed.is_available() or not distributed.is_initialized():
            raise ValueError("processes need torch.distributed.init_process_group(...) first, as under torchrun")
        group = group.get_group() if hasattr(group, "get_group") else group
        self.group = None if group is True else group
        self.rank, self.size = distributed.get_rank(self.group), distributed.get_world_size(self.group)

    def own(self, experts: int) -> list[int]:
        """Those of this process.

        Raises:
            ValueError: for fewer experts than processes.
        """
        return self._shares(experts)[self.rank]

    def gathered(self, own: Tensor, experts: int) -> Tensor:
        """What all processes have of their experts, ``(n, K, ...)``, of this one's ``(n, K_own, ...)``."""
        most = max(map(len, self._shares(experts)))
        padded = torch.cat([own, own.new_zeros(own.shape[0], most - own.shape[1], *own.shape[2:])], 1)
        if torch.is_grad_enabled() and padded.is_floating_point() and not padded.requires_grad:
            padded.requires_grad_()  # all processes take part in the backward pass, also one that has solved nothing
        every = _Gathered.apply(padded, self.group, self.size)
        kept = [every[rank, :, : len(share)] for rank, share in enumerate(self._shares(experts))]
        return torch.cat(kept, 1)

    def _shares(self, experts: int) -> list[list[int]]:
        if experts < self.size:
            raise ValueError(f"routing must have an expert for each of {self.size} processes; got {experts}")
        return [part.tolist() for part in torch.arange(experts).tensor_split(self.size)]


class _Gathered(torch.autograd.Function):
    """``(P, ...)`` of a tensor of each process."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, group: Any, size: int) -> Tensor:  # type: ignore[override]
        ctx.group, ctx.size = group, size
        found = [torch.empty_like(own) for _ in range(size)]
        distributed.all_gather(found, own.contiguous(), group=group)
        return torch.stack(found)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        gradient = gradient.clone()
        distributed.all_reduce(gradient, group=ctx.group)
        return gradient[distributed.get_rank(ctx.group)], None, None
