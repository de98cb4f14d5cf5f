"""The inverse of second differences, in the transforms in which they are diagonal.

Of a wave with number ``k``, second differences with the weights ``w_j`` at the spacing ``h`` make

    sum_j w_j cos(j k h) / h^2

times the wave, on periodic axes, and between walls where waves continue beyond them as the ghosts do: with order 2.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import real_dtype, total
from kutta.pde.schemes.differences import float_weights
from kutta.pde.waves.basis import Basis
from kutta.pde.waves.kinds import PERIODIC
from kutta.solvers.algebra.operators.linear_operator import Inverse


class InverseLaplacian:
    """``f -> u`` with second differences ``u_xx + u_yy + ... = f``, of mean zero where only slopes are determined.

    Attributes:
        grid: its points.
        kinds: along each axis: periodic, even or odd.
        accuracy: of the differences: 2, or on periodic axes 4 or 6.
    """

    def __init__(self, grid: Grid, kinds: tuple[str, ...], accuracy: int = 2):
        self.grid, self.kinds, self.accuracy = grid, kinds, accuracy
        self._ready: dict[Any, tuple[Basis, Tensor]] = {}

    def __call__(self, f: Tensor) -> Tensor:
        basis, reciprocal = self._for(f)
        return basis.backward(reciprocal * basis.forward(f))

    def _for(self, f: Tensor) -> tuple[Basis, Tensor]:
        key = f.dtype, f.device
        if key not in self._ready:
            basis = Basis(self.grid, self.kinds, not f.is_complex())
            symbol = second_differences(basis, self.accuracy)
            reciprocal = torch.where(symbol == 0.0, 0.0, 1.0 / symbol)
            self._ready[key] = basis, reciprocal.to(f.device, real_dtype(f.dtype))
        return self._ready[key]


def second_differences(basis: Basis, accuracy: int = 2) -> Tensor:
    """What the sum of second differences along all axes multiplies each wave with."""
    return total(_second_difference(basis, axis, accuracy) for axis in range(basis.grid.dim))


def _second_difference(basis: Basis, axis: int, accuracy: int) -> Tensor:
    weights, h = float_weights(2, accuracy), basis.grid.spacing[axis]
    middle, angles = len(weights) // 2, h * basis.wavenumbers(axis)
    # From the outside in, as differences from the constant, of which exactly nothing is left.
    sines = (-4.0 * weights[middle + j] * torch.sin(0.5 * j * angles) ** 2 for j in range(middle, 0, -1))
    return sum(sines, torch.zeros_like(angles)) / h**2


def inverse_laplacian(grid: Grid, accuracy: int) -> Inverse:
    """That of `kutta.pde.laplacian` with homogeneous boundary conditions.

    Raises:
        ValueError: for what is not diagonal in a transform.
    """
    if grid.periodic:
        return InverseLaplacian(grid, (PERIODIC,) * grid.dim, accuracy)
    if accuracy != 2:
        raise ValueError(
            f"inverse_laplacian between walls has accuracy 2; got {accuracy}: use kutta.pde.FiniteDifference(2)"
        )
    inverse = Elliptic(grid).inverse()
    if inverse is None:
        raise ValueError("inverse_laplacian has no Robin() sides; use kutta.pde.Poisson for such an equation")
    return lambda f: inverse(-f)
