"""Helmholtz' equation, ``-laplace(u) - k^2 u = f``: waves of one frequency.

Source of the preconditioner: Erlangga, Vuik and Oosterlee, On a class of preconditioners for solving the Helmholtz
equation, Appl. Numer. Math. 50, 2004.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.pde.elliptic.absorbing import Stretched, has_layers, widths_of
from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.grids.given import unknowns
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_field
from kutta.pde.schemes.inverse_laplacian import second_differences
from kutta.pde.steady import Steady, field_of, like_of
from kutta.pde.waves.basis import Basis
from kutta.pde.waves.kinds import EVEN, kind_of
from kutta.pde.waves.transforms import diagonalised
from kutta.solvers.algebra.direct.factorised import LU
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator

# The largest matrix that is factorised.
LARGEST_DENSE = 1500
# The part of k^2 by which the preconditioner damps waves.
DAMPING = 0.5


@dataclass(frozen=True, eq=False)
class Helmholtz(Steady):
    """``-laplace(u) - k^2 u = f``: waves of one frequency, of second order, ten points and more a wave length.

    With a number `wavenumber` and no layer, solutions cost two transforms, where the boundary has one. Other small
    systems are factorised, large ones solved by `GMRES`. At a resonance there is no solution.

    With layers the solution is complex, and what goes out is ``exp(i k x)``. Within a layer it means nothing.

    Attributes:
        wavenumber: ``k``: a number, a tensor ``(*grid.shape)``, or a function of the coordinates.
        absorbing: the width of the layers, inside the grid, next to its sides that are not periodic: a number; or one
            for each axis, where an entry may be a pair, for its left and right side. By default there is none. About a
            wave length is a good one. The outer end of a layer has the boundary condition of the side.

    Example:
        A wave that is made at the left side and leaves on the right:

        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(400, 2.0, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Dirichlet()))
        >>> u = kt.solve(kt.pde.Helmholtz(10.0, absorbing=((0.0, 1.0),)).problem(grid)).y1
        >>> x = grid.points()[0]
        >>> bool((u - torch.exp(10j * x))[x < 1].abs().max() < 0.01)
        True
    """

    wavenumber: Any
    absorbing: float | Sequence[Any] = 0.0

    def system(self, grid: Grid, f: Tensor) -> tuple[LinearOperator, Tensor]:
        k, widths = self._wavenumber(grid, f), widths_of(self.absorbing, grid)
        if not has_layers(widths):
            operator = Elliptic(grid, shift=-k * k)
            return operator, operator.right_hand_side(f)
        stretched = Stretched(grid, k, widths)
        return stretched, stretched.right_hand_side(f.to(f.dtype.to_complex()))

    def like(self) -> Tensor:
        return like_of(self.wavenumber)

    def method(self, grid: Grid) -> LinearMethod | None:
        k, layers = self._wavenumber(grid), has_layers(widths_of(self.absorbing, grid))
        if not layers and not isinstance(k, Tensor) and diagonalised(grid, 1.0, -k * k) is not None:
            return None
        if math.prod(grid.shape) <= LARGEST_DENSE:
            return LU()
        return GMRES(damped_inverse(grid, _mean(k * k), layers), restart=100)

    def _wavenumber(self, grid: Grid, like: Tensor | None = None) -> Any:
        k = field_of("wavenumber", self.wavenumber, grid, like)
        if isinstance(k, complex) or (isinstance(k, Tensor) and k.is_complex()):
            kind = k.dtype if isinstance(k, Tensor) else repr(k)
            raise TypeError(f"wavenumber must be real; got {kind}: for waves that leave use absorbing=")
        if isinstance(k, Tensor) and k.dim():
            check_field("wavenumber", k, grid)
        elif isinstance(k, bool) or not isinstance(k, int | float | Tensor) or not math.isfinite(_mean(k)):
            raise ValueError(f"wavenumber must be a finite number, a tensor or a function; got {k!r}")
        return k


def damped_inverse(grid: Grid, square: float, layers: bool) -> Inverse:
    """An approximate inverse by transforms: of the equation without layers, in which waves are damped.

    Args:
        grid: with its boundary conditions, which are those of the nearest transform here.
        square: ``k^2``, of which the mean serves.
        layers: whether fields are complex, so that damping is a complex part of ``k^2``; else it has the other sign.
    """
    basis = Basis(grid, tuple(kind_of(pair) or EVEN for pair in grid.boundary), not layers)
    shift = square * (1.0 + 1j * DAMPING) if layers else -square
    reciprocal = 1.0 / (-second_differences(basis) - shift)
    unknown = unknowns(grid)

    def inverse(x: Tensor) -> Tensor:
        dtype = x.dtype if layers else x.dtype.to_real()
        found = basis.backward(reciprocal.to(x.device, dtype) * basis.forward(x))
        return torch.where(unknown.to(x.device) == 0.0, x, found)

    return inverse


def _mean(value: Any) -> float:
    return float(torch.as_tensor(value).detach().mean())
