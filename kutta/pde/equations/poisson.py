"""Poisson's equation, ``-laplace(u) = f``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.grids.grid import Grid
from kutta.pde.steady import Steady
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Poisson(Steady):
    """``-laplace(u) = f``: potentials of charges, temperatures of heat sources; of second order.

    Where the boundary has a transform, solutions are exact up to rounding and cost two of them; with `Robin` sides
    there is multigrid. With `Periodic` and `Neumann` sides only, `u` is determined up to a constant, of which the mean
    zero is taken, and there is a solution only if what the source makes flows out through the sides; a source that is
    off by more than 1 % is refused, what is less is subtracted.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 32), boundary=kt.pde.Dirichlet(1.0))
        >>> sol = kt.solve(kt.pde.Poisson().problem(grid, lambda x: 2 * x[0] * (1 - x[0]) + 2 * x[1] * (1 - x[1])))
        >>> x, y = grid.points()
        >>> bool((sol.y1 - 1 - x * (1 - x) * y * (1 - y)).abs().max() < 1e-3)
        True
    """

    def system(self, grid: Grid, f: Tensor) -> tuple[LinearOperator, Tensor]:
        operator = Elliptic(grid)
        return operator, operator.right_hand_side(f)
