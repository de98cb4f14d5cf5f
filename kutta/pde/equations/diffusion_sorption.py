"""Diffusion of a dissolved substance that the ground holds back, ``R(u) u_t = (D u_x)_x``.

By Freundlich's isotherm ground of density ``rho`` and porosity ``phi`` takes up ``k u^n`` of it, so that

    R(u) = 1 + c u^(n - 1),    c = (1 - phi) / phi rho k n,

holds it back. With ``n < 1`` that is without bound where there is nothing yet. With ``p = (u_+ + delta)^(1 - n)`` the
part that moves is ``1 / R = p / (p + c)``, which is bounded and has a slope. Here ``u_+`` is `u`, or 0 for values below
zero, and from ``-delta`` to ``delta`` the parabola that joins both, ``(u + delta)^2 / (4 delta)``.

Source: Takamoto et al., PDEBench: An extensive benchmark for scientific machine learning, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class DiffusionSorption(Evolution):
    """``du/dt = (D u_x)_x / R(u)`` with ``R(u) = 1 + (1 - phi) / phi rho k n u^(n - 1)``.

    The defaults are those of PDEBench, whose boundary is ``u = 1`` at the left side and ``u + D du/dx = 0`` at the
    right one: ``(Dirichlet(1.0), Robin(1.0, D))``, on cells.

    Attributes:
        diffusivity: ``D``, 5e-4.
        porosity: ``phi``, 0.29.
        density: ``rho``, of the grains, 2880.
        partition: ``k`` of Freundlich, 3.5e-4.
        exponent: ``n`` of Freundlich, 0.874.
        cutoff: ``delta``, which is added to `u` in ``R``: 1e-6, as there; more than 0.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Robin(1.0, 5e-4)))
        >>> problem = kt.pde.DiffusionSorption().problem(grid, torch.full((64,), 0.1), (0.0, 100.0))
        >>> u = kt.solve(problem, kt.RKC2(), rtol=1e-4).y1
        >>> bool(0.8 < u[0] < 1.0), bool((u.diff()[:40] < 0).all())
        (True, True)
    """

    diffusivity: Any = 5e-4
    porosity: Any = 0.29
    density: Any = 2880.0
    partition: Any = 3.5e-4
    exponent: Any = 0.874
    cutoff: Any = 1e-6
    dimensions: ClassVar[tuple[int, ...]] = (1,)
    degree: ClassVar[int] = 3
    fields: ClassVar[tuple[str, ...]] = ("diffusivity", "porosity", "density", "partition", "exponent", "cutoff")
    diffusive: ClassVar[tuple[str, ...]] = ("diffusivity",)
    ordered: ClassVar[bool] = True

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        positive = torch.as_tensor(self.cutoff).detach() > 0.0
        if not torch.compiler.is_compiling() and read((~positive).any()):
            raise ValueError(f"cutoff must be more than 0; got {self.cutoff!r}: take a small one such as 1e-6")

    def scheme(self, grid: Grid) -> Scheme:
        return FiniteDifference()

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return self.moving(u) * ops.diffusion(u, self.diffusivity)

    def moving(self, u: Field) -> Field:
        """``1 / R(u)``, the part of the substance that is dissolved."""
        c = (1.0 - self.porosity) / self.porosity * self.density * self.partition * self.exponent
        power = (self._positive(u) + self.cutoff) ** (1.0 - self.exponent)
        return power / (power + c)

    def _positive(self, u: Field) -> Field:
        """``u_+``, which has a continuous slope: searches for roots and minima stop at kinks."""
        above = torch.clamp(u - self.cutoff, min=0.0)
        below = torch.clamp(u + self.cutoff, min=0.0) - above
        return below * below / (4.0 * self.cutoff) + above
