"""Diffusion and reaction between cold walls, ``s_t = D s_xx + k s^2 + u``, as an operator from ``u`` to ``s``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.operators.data.random_fields import SampledFunctions
from kutta.pde.coefficients import forcing
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.boundary import Dirichlet
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.scheme import Discretisation, Field
from kutta.solve import solve
from kutta.solvers.stabilised.rock import ROCK4


@dataclass(frozen=True, eq=False)
class DiffusionReaction(Evolution):
    """``ds/dt = D laplace(s) + k s^power + u(x, t)``.

    Attributes:
        diffusivity: ``D``.
        rate: ``k``.
        power: of the reaction.
        source: ``u``: a number, a tensor at the points, or a function of ``(x, t)``.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(33, centring="node", boundary=kt.pde.Dirichlet())
        >>> warmed = kt.operators.data.DiffusionReaction(source=1.0)
        >>> problem = warmed.problem(grid, torch.zeros(33, dtype=torch.float64), (0.0, 1.0))
        >>> bool((kt.solve(problem).y1.max() - 1.0).abs() < 0.01)
        True
    """

    diffusivity: float = 0.01
    rate: float = 0.01
    power: int = 2
    source: Any = 0.0
    degree: ClassVar[int] = 3
    fields: ClassVar[tuple[str, ...]] = ("source",)
    functions: ClassVar[tuple[str, ...]] = ("source",)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        return ops.diffusion(u, self.diffusivity)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        source, reaction = forcing(self.source, ops, t, u), self.rate * u**self.power
        return reaction if source is None else reaction + source


def diffusion_reaction(
    u: SampledFunctions, points: int = 100, times: int = 100, diffusivity: float = 0.01, rate: float = 0.01
) -> Tensor:
    """``s(x, t)`` of sources ``u(x)``, with zero at the beginning and at both ends, by `kutta.solve`.

    Args:
        u: the sources.
        points: nodes in space, both ends counted.
        times: nodes in time from 0 to 1, both counted.
        diffusivity: ``D``.
        rate: ``k``.

    Returns:
        ``(n, points, times)``.
    """
    grid = Grid((points,), u.right - u.left, "node", Dirichlet(), u.left)
    sources = u(grid.axis_points(0))
    equation = DiffusionReaction(diffusivity, rate, source=sources)
    problem = equation.problem(grid, torch.zeros_like(sources), (0.0, 1.0))
    kept = torch.linspace(0.0, 1.0, times, dtype=torch.float64)
    return solve(problem, ROCK4(), save_at=kept, rtol=1e-7, atol=1e-9).ys.movedim(0, -1)
