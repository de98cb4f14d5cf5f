"""The heat equation, ``u_t = a laplace(u) + s``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kutta.pde.equations.evolution import Evolution
from kutta.pde.schemes.scheme import Discretisation, Field


@dataclass(frozen=True, eq=False)
class Heat(Evolution):
    """``du/dt = div(a grad u) + s(x, t)``: diffusion of heat, or of anything else.

    Attributes:
        diffusivity: ``a``: a number, or a tensor at the points of the grid.
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

    def linear(self, ops: Discretisation, u: Field) -> Field:
        return ops.diffusion(u, self.diffusivity)

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field | None:
        return forcing(self.source, ops, t, u)


def forcing(source: Any, ops: Discretisation, t: Any, u: Field) -> Field | None:
    """A source as a field; ``None`` where there is none."""
    if callable(source):
        return ops.data(source(ops.points(u), t), u)
    return None if isinstance(source, int | float) and source == 0 else ops.data(source, u)
