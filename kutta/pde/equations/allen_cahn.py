"""The equation of Allen and Cahn, ``u_t = eps^2 laplace(u) + u - u^3``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class AllenCahn(Evolution):
    """``du/dt = m (eps^2 laplace(u) + u - u^3)``: two phases, -1 and 1, and fronts that shorten.

    It descends the energy ``int (u^2 - 1)^2 / 4 + eps^2 |grad u|^2 / 2`` as steeply as can be. A flat front at rest is
    ``tanh(x / (sqrt(2) eps))``; a curved one moves towards its centre with the speed ``m eps^2`` times its curvature.

    Attributes:
        width: ``eps``, of fronts: a number, or a tensor at the points of the grid, for which differences are the
            default.
        mobility: ``m``.

    Source: Allen and Cahn, A microscopic theory for antiphase boundary motion and its application to antiphase domain
    coarsening, Acta Metallurgica 27, 1979.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64, 2.0, boundary=kt.pde.Neumann(), origin=-1.0)
        >>> problem = kt.pde.AllenCahn(0.1).problem(grid, lambda x: torch.tanh(3 * x[0]), (0.0, 20.0))
        >>> front = torch.tanh(grid.points()[0] / (2**0.5 * 0.1))
        >>> bool((kt.solve(problem).y1 - front).abs().max() < 3e-3)
        True
    """

    width: Any = 0.05
    mobility: Any = 1.0
    degree: ClassVar[int] = 3
    fields: ClassVar[tuple[str, ...]] = ("width", "mobility")
    diffusive: ClassVar[tuple[str, ...]] = ("mobility",)

    def scheme(self, grid: Grid) -> Scheme:
        """Waves where all is periodic and the width is a number, else differences of order 2."""
        return super().scheme(grid) if is_number(self.width) else FiniteDifference()

    def linear(self, ops: Discretisation, u: Field) -> Field:
        return self.mobility * (ops.diffusion(u, self.width**2) + u)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return -self.mobility * u**3
