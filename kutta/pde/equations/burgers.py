"""Burgers' equation, ``u_t + (u^2 / 2)_x = nu u_xx``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class Burgers(Evolution):
    """``du/dt + div(u^2 / 2, ..., u^2 / 2) = nu laplace(u)``: waves that steepen, and what smooths them.

    Attributes:
        viscosity: ``nu``; with zero, shocks form, for which `kutta.pde.FiniteVolume` is made.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(128, 2 * torch.pi)
        >>> problem = kt.pde.Burgers(0.02).problem(grid, lambda x: torch.sin(x[0]), (0.0, 1.5))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
        >>> bool(abs(sol.y1.mean()) < 1e-14)
        True
    """

    viscosity: Any = 0.01
    degree: ClassVar[int] = 2
    fields: ClassVar[tuple[str, ...]] = ("viscosity",)
    diffusive: ClassVar[tuple[str, ...]] = ("viscosity",)

    def linear(self, ops: Discretisation, u: Field) -> Field | None:
        return None if self._is_inviscid else ops.diffusion(u, self.viscosity)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return -ops.convection(self, u)

    def flux(self, u: Field, axis: int) -> Field:
        """``u^2 / 2`` along every axis."""
        return 0.5 * (u * u)

    def speed(self, u: Tensor, axis: int) -> Tensor:
        """``|u|``."""
        return u.abs()

    def speeds(self, grid: Grid, t: Any, u: Tensor) -> list[Any]:
        """``|u| + 2 nu / dx``: diffusion takes ``dx^2 / (2 nu)`` to cross a cell."""
        return [self.speed(u, axis) + 2.0 * self.viscosity / h for axis, h in enumerate(grid.spacing)]

    def scheme(self, grid: Grid) -> Scheme:
        """Finite volumes for shocks; with viscosity waves where all is periodic, else differences."""
        return FiniteVolume() if self._is_inviscid else super().scheme(grid)

    @property
    def _is_inviscid(self) -> bool:
        return isinstance(self.viscosity, int | float) and self.viscosity == 0
