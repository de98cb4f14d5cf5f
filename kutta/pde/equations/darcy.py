"""Darcy's law for flow through a porous medium, ``-div(a grad u) = f``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kutta.pde.elliptic.operator import Elliptic
from kutta.pde.grids.grid import Grid
from kutta.pde.steady import Steady, field_of, like_of
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True, eq=False)
class Darcy(Steady):
    """``-div(a grad u) = f``: the pressure of a fluid in a medium of permeability ``a``; of second order.

    What flows through a face between two points is ``a`` there times the slope. With harmonic means it is exact for
    layers whose interfaces are faces of cells. Boundaries where nothing but slopes are given are as for `Poisson`.

    Attributes:
        coefficient: ``a``, positive: a number, a tensor ``(..., *grid.shape)``, or a function of the coordinates.
        faces: the mean of two neighbours that holds between them, ``"harmonic"`` or ``"arithmetic"``.

    Example:
        Two layers, the second of which hardly lets anything through:

        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(10, boundary=(kt.pde.Dirichlet(0.0), kt.pde.Dirichlet(1.01)))
        >>> x = grid.points()[0]
        >>> a = torch.where(x < 0.5, torch.ones_like(x), 0.01)
        >>> u = kt.solve(kt.pde.Darcy(a).problem(grid), rtol=1e-12).y1
        >>> flow = -2 * a * a.roll(-1) / (a + a.roll(-1)) * (u.roll(-1) - u) / 0.1
        >>> bool((flow[:-1] + 0.02).abs().max() < 1e-9)
        True
    """

    coefficient: Any
    faces: str = "harmonic"

    def system(self, grid: Grid, f: Tensor) -> tuple[LinearOperator, Tensor]:
        operator = Elliptic(grid, field_of("coefficient", self.coefficient, grid, f), faces=self.faces)
        return operator, operator.right_hand_side(f)

    def like(self) -> Tensor:
        return like_of(self.coefficient)
