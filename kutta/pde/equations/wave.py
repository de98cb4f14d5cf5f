"""The wave equation, ``u_tt = c^2 laplace(u)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.boundary import has_data
from kutta.pde.grids.given import is_data
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class Wave(Evolution):
    """``du/dt = v``, ``dv/dt = c^2 laplace(u)``: a membrane, sound or light, and how fast it moves.

    It keeps the energy ``int (v^2 / c^2 + |grad u|^2) / 2``. Where `kutta.pde.PseudoSpectral` applies and ``c`` is a
    number, `kutta.ETDRK4` solves it exactly in steps of any size.

    The state has two components. The boundary conditions are those of ``u``; `kutta.pde.Dirichlet` ones of nodes must
    be zero, since there the velocity ``v`` is that of the boundary.

    Attributes:
        speed: ``c``: a number, or a tensor at the points of the grid.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64, boundary=kt.pde.Dirichlet())
        >>> def string(x):
        ...     return torch.stack([torch.sin(torch.pi * x[0]), torch.zeros_like(x[0])])
        >>> problem = kt.pde.Wave(2.0).problem(grid, string, (0.0, 1.0), kt.pde.PseudoSpectral())
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1.0))
        >>> bool(torch.allclose(sol.y1[0], problem.u0[0]))  # one period later
        True
    """

    speed: Any = 1.0
    components: ClassVar[tuple[str, ...]] = ("u", "v")
    degree: ClassVar[int] = 2
    fields: ClassVar[tuple[str, ...]] = ("speed",)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        displacement, velocity = ops.split(u)
        return ops.join([velocity, ops.laplacian(displacement) * self.speed**2])

    def speeds(self, grid: Grid, t: Any, u: Tensor) -> list[Any]:
        return [self.speed] * grid.dim

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        for axis, side, one in conditions(grid):
            if is_data(grid, axis, side) and has_data(one):
                raise ValueError(f"Wave takes Dirichlet(0) on nodes only; got {one!r} on axis {axis}: use cells")
