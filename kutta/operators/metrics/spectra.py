"""Errors by wave number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float

# Where waves are short and where they are long, in periods along the axis, as PDEBench has it.
MIDDLE, HIGH = 4, 12


def fourier_errors(
    u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid
) -> dict[str, Float[Tensor, " n"]]:
    """The root mean square error of long, middle and short waves, whose squares add up to that of all.

    A wave belongs to the whole number next to ``|k|``, below 4, from 4 to 11, or from 12 on, of periods along the axes.
    """
    power = _power(u - target, grid).mean(1)
    bins = (power[:, :MIDDLE], power[:, MIDDLE:HIGH], power[:, HIGH:])
    return {name: part.sum(1).sqrt() for name, part in zip(("low", "middle", "high"), bins, strict=True)}


def energy_spectrum(u: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, "n k"]:
    """``E(k) = 1/2 sum |c|^2`` of all waves next to the whole number ``k`` of periods, summed over channels."""
    return 0.5 * _power(u, grid).sum(1)


def spectrum_distance(u: Float[Tensor, "n c *s"], target: Float[Tensor, "n c *s"], grid: Grid) -> Float[Tensor, " n"]:
    """The root mean square of ``log10 E(k) - log10 E*(k)`` over the wave numbers that the grid holds along all axes.

    Phases do not count: a field that is shifted has distance zero. Numbers with less than ``1e-12`` of the target's
    energy are left out.
    """
    held = min(grid.shape) // 2 + 1
    mine, theirs = (energy_spectrum(one, grid)[:, :held] for one in (u, target))
    counted = theirs > 1e-12 * theirs.sum(1, keepdim=True)
    tiny = torch.finfo(u.dtype).tiny
    ratio = torch.where(counted, mine.clamp(min=tiny).log10() - theirs.clamp(min=tiny).log10(), 0.0)
    return (ratio.square().sum(1) / counted.sum(1)).sqrt()


def _power(u: Tensor, grid: Grid) -> Tensor:
    """``sum |c|^2`` for each whole number next to ``|k|``, ``(n, c, numbers)``; the sum over all is the mean square."""
    axes = tuple(range(-grid.dim, 0))
    squares = torch.fft.fftn(u, dim=axes, norm="forward").abs().square().flatten(2)
    length = torch.zeros(grid.shape, device=u.device, dtype=torch.float64)
    for axis, count in enumerate(grid.shape):
        k = torch.fft.fftfreq(count, 1.0 / count, dtype=torch.float64, device=u.device)
        length = length + k.square().reshape(-1, *[1] * (grid.dim - axis - 1))
    number = length.sqrt().round().long().flatten()
    found = torch.zeros(*u.shape[:2], int(number.max()) + 1, dtype=squares.dtype, device=u.device)
    return found.index_add(2, number, squares)
