"""How long a sequence of fields stays near another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


def correlation(u: Float[Tensor, "n t c *s"], target: Float[Tensor, "n t c *s"]) -> Float[Tensor, "n t"]:
    """Pearson's correlation of each field with the one it should be."""
    mine, theirs = (one.flatten(2) - one.flatten(2).mean(-1, keepdim=True) for one in (u, target))
    products = (mine * theirs).sum(-1)
    return products / (torch.linalg.vector_norm(mine, dim=-1) * torch.linalg.vector_norm(theirs, dim=-1))


def correlation_time(
    u: Float[Tensor, "n t c *s"],
    target: Float[Tensor, "n t c *s"],
    times: Float[Tensor, " t"],
    least: float = 0.8,
) -> Float[Tensor, " n"]:
    """The first time at which the correlation is below `least`; infinite where it never is."""
    below = ~(correlation(u, target) >= least)  # of a field that is NaN, too
    found = torch.where(below, times, torch.inf)
    return found.amin(1)
