"""How far fields are from what they should be, each sample by itself.

All take a prediction and a target ``(n, c, *shape)`` at the points of a grid and return a number for each sample,
``(n,)``. So figures of many samples are means of ratios, and not ratios of means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid, conditions

if TYPE_CHECKING:
    from jaxtyping import Float


def relative_l2(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``|u - u*| / |u*|`` over all points and channels."""
    return _norm(u - target) / _norm(target)


def rmse(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``sqrt(mean (u - u*)^2)``."""
    return _root_mean_square(u - target)


def nrmse(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``sqrt(mean (u - u*)^2 / mean u*^2)`` of each channel, and the mean over channels, as PDEBench has it."""
    return (_by_channel(u - target) / _by_channel(target)).mean(1)


def vrmse(
    u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid, eps: float = 1e-7
) -> Float[Tensor, " n"]:
    """``sqrt(mean (u - u*)^2 / (var u* + eps))`` of each channel, and the mean over channels, as The Well has it.

    A prediction that is the mean of the target has 1.
    """
    variance = target.flatten(2).var(-1, correction=0) + eps
    return ((u - target).flatten(2).square().mean(-1) / variance).sqrt().mean(1)


def max_error(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``max |u - u*|``."""
    return (u - target).flatten(1).abs().amax(1)


def conservation_error(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``|mean u - mean u*|`` over space, the root mean square over channels: what was lost or made of each."""
    return (u - target).flatten(2).mean(-1).square().mean(1).sqrt()


def boundary_error(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """``sqrt(mean (u - u*)^2)`` over the points next to sides that do not wrap around; zero where there are none."""
    at_sides = torch.zeros(grid.shape, dtype=torch.bool, device=u.device)
    for axis, side, _ in conditions(grid):
        at_sides.select(axis, side * (grid.shape[axis] - 1)).fill_(True)
    count = max(int(at_sides.sum()) * u.shape[1], 1)
    return (torch.where(at_sides, u - target, 0.0).flatten(1).square().sum(1) / count).sqrt()


def _norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1)


def _root_mean_square(u: Tensor) -> Tensor:
    return u.flatten(1).square().mean(1).sqrt()


def _by_channel(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(2), dim=-1)
