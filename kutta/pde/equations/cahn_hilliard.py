"""The equation of Cahn and Hilliard, ``u_t = div(m grad(u^3 - u - eps^2 laplace(u)))``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class CahnHilliard(Evolution):
    """``du/dt = div(m grad mu)`` with ``mu = u^3 - u - div(eps^2 grad u)``: a mixture that separates.

    The energy ``int (u^2 - 1)^2 / 4 + eps^2 |grad u|^2 / 2`` falls; where all is periodic, or no chemical potential
    ``mu`` flows through the walls, the mean of `u` stays. A flat front at rest is ``tanh(x / (sqrt(2) eps))``.

    At walls `u` fulfils the conditions of the grid, and ``mu`` those of the same kinds with zero data: with Neumann
    nothing flows through, and a slope of `u` other than zero is the preference of a wall for one of the two phases.

    Attributes:
        width: ``eps``, of fronts: a number, or a tensor at the points of the grid.
        mobility: ``m``, likewise. Differences are the default for tensors, and lose nothing; `PseudoSpectral` has the
            products of all waves, for coefficients as smooth as the solution.

    Source: Cahn and Hilliard, Free energy of a nonuniform system, J. Chem. Phys. 28, 1958.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 32), 2 * torch.pi)
        >>> noise = 0.1 * torch.randn(32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.pde.CahnHilliard(0.3).problem(grid, noise, (0.0, 5.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.05))
        >>> bool((sol.y1.mean() - noise.mean()).abs() < 1e-15), bool(sol.y1.abs().max() > 0.8)
        (True, True)
    """

    width: Any = 0.05
    mobility: Any = 1.0
    degree: ClassVar[int] = 3
    fields: ClassVar[tuple[str, ...]] = ("width", "mobility")
    diffusive: ClassVar[tuple[str, ...]] = ("mobility",)

    def scheme(self, grid: Grid) -> Scheme:
        """Waves where all is periodic and nothing varies, else differences of order 2."""
        varies = not (is_number(self.width) and is_number(self.mobility))
        return FiniteDifference() if varies else super().scheme(grid)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        potential = u + ops.diffusion(u, self.width**2)
        return -ops.homogeneous().diffusion(potential, self.mobility)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return ops.homogeneous().diffusion(u**3, self.mobility)
