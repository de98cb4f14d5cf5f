"""The heat equation, ``u_t = a laplace(u) + s``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from kutta.pde.coefficients import forcing
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.pseudo_spectral import WaveSpace
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class Heat(Evolution):
    """``du/dt = div(a grad u) + s(x, t)``: diffusion of heat, or of anything else.

    Attributes:
        diffusivity: ``a``: a number, or a tensor of positive ones at the points of the grid. What flows between two
            points is then, for differences of order 2, as `kutta.pde.Darcy` has it, and nothing is lost. Higher orders
            need periodic axes, and keep the mean of `u` up to their error only.
            Differences are the default for it, on periodic axes too: `PseudoSpectral` has the products of all waves,
            for coefficients as smooth as the solution.
        source: ``s``: a number, a tensor at the points, or a function of ``(x, t)``.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32, boundary=kt.pde.Dirichlet())
        >>> problem = kt.pde.Heat(1.0).problem(grid, lambda x: torch.sin(torch.pi * x[0]), (0.0, 0.1))
        >>> round(float(kt.solve(problem, kt.ROCK4()).y1.max()), 3)  # exp(-pi^2 / 10) = 0.373
        0.373
    """

    diffusivity: Any = 1.0
    source: float | Any | Callable[..., Any] = 0.0
    fields: ClassVar[tuple[str, ...]] = ("diffusivity", "source")
    functions: ClassVar[tuple[str, ...]] = ("source",)
    diffusive: ClassVar[tuple[str, ...]] = ("diffusivity",)

    def linear(self, ops: Discretisation, u: Field) -> Field | None:
        return None if self._mixes_waves(ops) else ops.diffusion(u, self.diffusivity)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field | None:
        source = forcing(self.source, ops, t, u)
        if not self._mixes_waves(ops):
            return source
        spread = ops.diffusion(u, ops.constant(self.diffusivity, u))
        return spread if source is None else spread + source

    def scheme(self, grid: Grid) -> Scheme:
        """Waves where all is periodic and nothing varies, else differences of order 2."""
        return super().scheme(grid) if is_number(self.diffusivity) else FiniteDifference()

    def _mixes_waves(self, ops: Discretisation) -> bool:
        """Whether diffusion is not diagonal in waves, and no part for the methods that need one that is."""
        return isinstance(ops, WaveSpace) and not is_number(self.diffusivity)
