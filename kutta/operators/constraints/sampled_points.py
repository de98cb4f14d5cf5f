"""At which points the equation is asked to hold."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Where experts are asked the same points every time, these are drawn from this seed.
_SEED = 0


class Points(NamedTuple):
    """Points of each expert.

    Attributes:
        index: among all points of all times but the first, ``(K, m)``.
        weight: what the residual is multiplied with there, ``(n or 1, K, m)``: the root of the expert's share, over
            that of the number of its points; 0 where an expert has fewer points than others.
    """

    index: Tensor
    weight: Tensor

    def of(self, experts: list[int]) -> Points:
        """Those of some experts."""
        return Points(self.index[experts], self.weight[:, experts])


def drawn(shares: Tensor, unknown: Tensor, walls: Tensor, count: int | None, anew: bool) -> Points:
    """Points of each expert, where it has a share, and next to walls.

    What comes in through the walls is what an expert whose box is far from them would not know of otherwise: without,
    a field that never changes fulfils many an equation there.

    Args:
        shares: ``(n or 1, K, Q, *shape)``, at all times but the first.
        unknown: which points of a time have a residual, ``(*shape)``.
        walls: which are next to a side that does not wrap around, ``(*shape)``.
        count: of the points of an expert; all that it has if that is ``None`` or more.
        anew: whether points are drawn by PyTorch's random numbers, or always the same.

    """
    shares = torch.maximum(shares, walls.to(shares))
    has = ((shares != 0.0).any(0) & unknown).flatten(1)
    counts = has.sum(1)
    most = int(counts.max())
    m = most if count is None else min(count, most)
    index = _shuffled(has, m, anew)
    here = torch.gather(has, 1, index)
    share = shares.flatten(2)
    share = torch.gather(share, 2, index.expand(len(share), -1, -1))
    share = torch.where(here, share, 0.0)
    return Points(index, (share / here.sum(1, keepdim=True)).sqrt())


def everywhere(shares: Tensor) -> Points:
    """All points for each expert, with the weight that it has there; shares as of `drawn`."""
    flat = shares.flatten(2)
    index = torch.arange(flat.shape[2], device=flat.device).expand(flat.shape[1], -1)
    return Points(index, (flat / flat.sum(2, keepdim=True)).sqrt())


def check_none_is_empty(shares: Tensor, unknown: Tensor) -> None:
    """Refuse experts without points; arguments as of `drawn`."""
    counts = ((shares != 0.0) & unknown).flatten(2).sum(2)
    if not bool((counts > 0).all()):
        raise ValueError(
            f"each expert must have at least one point of the grid; expert {int(counts.amin(0).argmin())} of "
            f"{counts.shape[1]} has none: take fewer boxes, or a finer grid"
        )


def _shuffled(has: Tensor, m: int, anew: bool) -> Tensor:
    """The indices of `m` points of each row, those that it has before others."""
    count, device = has.shape[-1], has.device
    if anew:
        keys = torch.rand(count, device=device)
    else:  # the same ones on all devices
        keys = torch.rand(count, generator=torch.Generator().manual_seed(_SEED)).to(device)
    return torch.where(has, keys, -1.0).topk(m, 1).indices.sort(1).values
