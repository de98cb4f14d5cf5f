"""The equation of Kuramoto and Sivashinsky, ``u_t + u u_x + u_xx + (b u_xx)_xx = 0``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.values import total
from kutta.pde.schemes.scheme import Discretisation, Field


@dataclass(frozen=True, eq=False)
class KuramotoSivashinsky(Evolution):
    """``du/dt + |grad u|^2 / 2 + laplace(u) + laplace(b laplace(u)) = 0`` and, in one dimension, its derivative.

    Long waves grow, short ones decay, and convection hands energy from one to the other: chaos in one dimension. There
    `u` stands for the slope of the flame front, ``du/dt + (u^2 / 2)_x + u_xx + (b u_xx)_xx = 0``, whose mean stays; in
    more dimensions for its height, whose mean falls.

    Attributes:
        hyperviscosity: ``b``, 1 by default: a number, or a tensor at the points of the grid.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(128, 64.0)
        >>> problem = kt.pde.KuramotoSivashinsky().problem(grid, lambda x: torch.cos(torch.pi * x[0] / 16), (0.0, 50.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1))
        >>> bool(1.0 < sol.y1.abs().max() < 4.0)
        True
    """

    hyperviscosity: Any = 1.0
    degree: ClassVar[int] = 2
    fields: ClassVar[tuple[str, ...]] = ("hyperviscosity",)
    diffusive: ClassVar[tuple[str, ...]] = ("hyperviscosity",)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        curvature = ops.laplacian(u)
        return -curvature - ops.homogeneous().laplacian(self.hyperviscosity * curvature)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        if ops.grid.dim == 1:
            return -ops.convection(self, u)
        return -0.5 * total(slope * slope for slope in ops.gradient(u))

    def flux(self, u: Field, axis: int) -> Field:
        """``u^2 / 2``."""
        return 0.5 * (u * u)

    def speed(self, u: Tensor, axis: int) -> Tensor:
        """``|u|``."""
        return u.abs()
