"""Random fields that are sums of waves, and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.pde.grids.grid import Grid
from kutta.pde.waves.kinds import ODD, PERIODIC, kind_of


@dataclass(frozen=True)
class GaussianField:
    """``u(x) = sum_k s (|k|^2 + tau^2)^(-alpha/2) xi_k phi_k(x)`` with independent normal ``xi_k``.

    The covariance is ``s^2 (tau^2 - laplace)^(-alpha)``, Matern's family: waves longer than ``1 / tau`` are as strong
    as one another, and those that are shorter the weaker the larger `alpha` is. The waves ``phi_k``, orthonormal on the
    box, are those of the sides: sines and cosines of whole periods along periodic axes, sines between two sides where
    the value is given, and cosines between others.

    Attributes:
        alpha: how fast short waves fall off; above half the number of axes, or values at points have no variance.
        tau: over ``2 pi`` the wave number, per unit of length, from which they do.
        scale: ``s``.
        modes: how many waves along each axis; by default as many as there are points. With a number of one's own, the
            same random numbers make the same field on all grids.
        constant: whether the constant wave is among them; without, periodic and even fields have mean zero.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 32), boundary=kt.pde.Neumann())
        >>> field = kt.operators.data.GaussianField(alpha=2.0, tau=3.0)
        >>> u = field.draw(grid, 5, torch.Generator().manual_seed(0))
        >>> u.shape, bool(u.mean((1, 2)).abs().max() < 1e-12)
        (torch.Size([5, 32, 32]), True)
    """

    alpha: float = 2.0
    tau: float = 3.0
    scale: float = 1.0
    modes: int | None = None
    constant: bool = False

    def __post_init__(self) -> None:
        for name in ("alpha", "tau", "scale"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number; got {value!r}")

    def draw(self, grid: Grid, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Fields at the points of a grid, ``(count, *shape)`` of float64."""
        axes = [_waves(grid, axis, self.modes or grid.shape[axis]) for axis in range(grid.dim)]
        strength = self._strength([numbers for numbers, _ in axes])
        field = strength * torch.randn(count, *strength.shape, dtype=torch.float64, generator=generator)
        for axis, (_, values) in enumerate(axes):
            field = torch.tensordot(field, values, dims=([1], [0]))  # type: ignore[arg-type]  # which puts the points of this axis at the end
            assert field.shape[-1] == grid.shape[axis]
        return field

    def _strength(self, axes: Sequence[Tensor]) -> Tensor:
        """``s (|k|^2 + tau^2)^(-alpha/2)`` for all combinations of waves."""
        squares = torch.zeros([len(numbers) for numbers in axes], dtype=torch.float64)
        for axis, numbers in enumerate(axes):
            squares = squares + numbers.square().reshape(-1, *[1] * (len(axes) - axis - 1))
        strength = self.scale * (squares + self.tau**2) ** (-0.5 * self.alpha)
        return strength if self.constant else torch.where(squares == 0.0, 0.0, strength)


def two_phase(field: Tensor, low: float = 3.0, high: float = 12.0) -> Tensor:
    """`high` where a field is not negative and `low` where it is: two materials, as in the benchmarks of Darcy flow."""
    return torch.where(field >= 0.0, high, low).to(field.dtype)


def _waves(grid: Grid, axis: int, count: int) -> tuple[Tensor, Tensor]:
    """The wave numbers of an axis, and the waves at its points, ``(count, N)``."""
    length, start = grid.length[axis], grid.origin[axis]  # type: ignore[index]
    x = grid.axis_points(axis) - start
    kind, number = kind_of(grid.boundary[axis]), torch.arange(count, dtype=torch.float64)
    if kind == PERIODIC:
        k = 2.0 * math.pi / length * ((number + 1.0) / 2.0).floor()
        phase = torch.outer(k, x) - 0.5 * math.pi * (number % 2 == 0)[:, None]  # cosines and sines by turns
        waves = torch.where(number[:, None] == 0, torch.ones_like(phase), math.sqrt(2.0) * phase.cos())
    elif kind == ODD:
        k = math.pi / length * (number + 1.0)
        waves = math.sqrt(2.0) * torch.outer(k, x).sin()
    else:
        k = math.pi / length * number
        waves = torch.where(number[:, None] == 0, 1.0, math.sqrt(2.0)) * torch.outer(k, x).cos()
    return k, waves / math.sqrt(length)
