"""The equation of Korteweg and de Vries, ``u_t + (3 u^2 + u_xx)_x = 0``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class KortewegDeVries(Evolution):
    """``du/dt + (a u^2 / 2 + b u_xx)_x = 0``: waves in shallow water, which pass through each other.

    With the usual ``a = 6`` and ``b = 1`` a single wave of speed ``c`` is
    ``c/2 sech(sqrt(c) (x - c t - x0) / 2)^2``.

    The axis is periodic: on an interval a third derivative takes three conditions in all, and walls have one each.

    Attributes:
        steepening: ``a``.
        dispersion: ``b``: a number, or a tensor at the points of the grid. The mean of `u` stays with both.

    Example:
        >>> import torch, kutta as kt
        >>> def soliton(x):
        ...     return 1.0 / torch.cosh((x[0] - 20.0) / 2**0.5) ** 2
        >>> problem = kt.pde.KortewegDeVries().problem(kt.pde.Grid(256, 60.0), soliton, (0.0, 2.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
        >>> bool((sol.y1 - soliton(sol.space.grid.points() - 4.0)).abs().max() < 1e-4)
        True
    """

    steepening: Any = 6.0
    dispersion: Any = 1.0
    degree: ClassVar[int] = 2
    numbers: ClassVar[tuple[str, ...]] = ("steepening",)
    fields: ClassVar[tuple[str, ...]] = ("dispersion",)
    dimensions: ClassVar[tuple[int, ...]] = (1,)

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        if not grid.periodic:
            raise ValueError(
                "KortewegDeVries needs a periodic axis, since a third derivative takes three conditions on an "
                f"interval, and walls have one each; got {grid.boundary[0]!r}"
            )

    def linear(self, ops: Discretisation, u: Field) -> Field:
        if not is_number(self.dispersion):
            return -ops.derivative(self.dispersion * ops.derivative(u, 0, 2), 0)
        return -self.dispersion * ops.derivative(u, 0, 3)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return -ops.convection(self, u)

    def flux(self, u: Field, axis: int) -> Field:
        """``a u^2 / 2``."""
        return 0.5 * self.steepening * (u * u)

    def speed(self, u: Tensor, axis: int) -> Tensor:
        """``|a u|``."""
        return (self.steepening * u).abs()
