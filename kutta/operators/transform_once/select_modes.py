"""Which waves along each axis are worth keeping."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.operators.layers import orthonormal
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_field


@dataclass(frozen=True)
class Selection:
    """Waves that are kept, and what that costs.

    Attributes:
        modes: their numbers along each axis; an argument of `T1` and `T1U`.
        kept: the part of the sum of squares of the fields that they hold.
    """

    modes: tuple[tuple[int, ...], ...]
    kept: float

    @property
    def floor(self) -> float:
        """``sqrt(1 - kept)``, which no model with these waves falls below in relative error over all fields."""
        return math.sqrt(max(1.0 - self.kept, 0.0))


def select_modes(targets: Tensor, grid: Grid, eps: float = 1e-4) -> Selection:
    """Few waves along each axis whose products hold ``1 - eps`` of the sum of squares of fields.

    Of all waves, that is left out next, along whichever axis, which loses least for each coefficient that it saves. So
    on a line there is no smaller choice, and nowhere one that is this with a wave less.

    Args:
        targets: fields that a model shall predict, ``(n, channels, *shape)``.
        grid: that they live on.
        eps: the part of the sum of squares that may be lost.

    Returns:
        the waves, what they hold, and the error below which no model with them falls.

    Raises:
        TypeError, ValueError: for what are no fields on the grid, fields that are all zero, or an `eps` that is no
            part.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 48), boundary=kt.pde.Neumann())
        >>> x, y = grid.points()
        >>> waves = torch.cos(3 * torch.pi * x) * (1 + torch.cos(5 * torch.pi * y))
        >>> found = kt.operators.select_modes(waves[None, None], grid)
        >>> found.modes
        ((3,), (0, 5))
    """
    check_field("targets", targets, grid)
    if not 0.0 <= eps < 1.0:
        raise ValueError(f"eps must lie in [0, 1); got {eps!r}")
    energies = orthonormal.forward(targets.detach().double(), grid, grid.shape).square()
    energies = energies.reshape(-1, *grid.shape).sum(0)
    whole = float(energies.sum())
    if not whole > 0.0:
        raise ValueError("targets must not all be zero, or there is nothing to choose waves by")
    modes = [list(range(count)) for count in grid.shape]
    left = eps * whole
    while (worst := _cheapest(energies, left)) is not None:
        axis, place, cost = worst
        del modes[axis][place]
        energies = torch.cat([energies.narrow(axis, 0, place), _behind(energies, axis, place)], axis)
        left -= cost
    return Selection(tuple(map(tuple, modes)), float(energies.sum()) / whole)


def _cheapest(energies: Tensor, most: float) -> tuple[int, int, float] | None:
    """The axis and the place that lose least for each coefficient, no more than so much, and what they lose."""
    found = []
    for axis, count in enumerate(energies.shape):
        others = [one for one in range(energies.dim()) if one != axis]
        losses = energies.sum(others) if others else energies
        cost, place = (float(losses.min()), int(losses.argmin()))
        if count > 1 and cost <= most:
            found.append((cost * count / energies.numel(), -count, axis, place, cost))
    return min(found)[2:] if found else None


def _behind(energies: Tensor, axis: int, place: int) -> Tensor:
    return energies.narrow(axis, place + 1, energies.shape[axis] - place - 1)
