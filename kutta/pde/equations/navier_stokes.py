"""The equations of Navier and Stokes, ``u_t + u . grad u = -grad p + nu laplace(u) + f`` with ``div u = 0``.

The pressure is whatever keeps ``div u = 0``. So, with the projection ``P`` on fields without divergence,

    u_t = P(-div(u u) + nu laplace(u) + f),

an ordinary differential equation, to which every method applies with its order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.finite import check_finite
from kutta.pde.grids.grid import Grid
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme
from kutta.pde.schemes.staggered import Staggered, StaggeredDifferences


@dataclass(frozen=True, eq=False)
class NavierStokes(Evolution):
    """``du/dt = P(-div(u u) + nu laplace(u) + f)``: plane flow between walls, by `kutta.pde.Staggered` differences.

    A state is ``(..., 2, *grid.shape)``. Its components stand on the faces of the cells, half a spacing to the left of
    the points of the grid along their own axis; `at_points` has them at the points. An initial state that is a function
    of the coordinates is called with the places of each. What of it has a divergence, or flows through a wall, is taken
    off.

    Sides are periodic, or walls through which nothing flows, with the motion along them:

        Dirichlet()          no slip
        Dirichlet(g)         a wall that moves: ``g`` is its velocity, a vector
        Neumann()            free slip; with ``g`` a given shear, ``du/dn = g``
        Robin(a, b, g)       slip, ``a u + b du/dn = g``

    There ``g`` is a tensor ``(2,)``, a tensor ``(..., 2, *face)`` at the faces, or a function of ``(x, t)`` that
    returns either. Its component across the wall must be zero; that of what a function returns is not looked at.

    Attributes:
        viscosity: ``nu``, a number or a 0-dimensional tensor.
        forcing: the force ``f`` per mass: a vector ``(2,)``, a tensor ``(..., 2, *grid.shape)`` at the faces, or a
            function of ``(x, t)`` that returns ``(2, *shape)`` at the places ``x``; by default none.

    Example:
        A lid that moves drags the fluid of a closed box along:

        >>> import torch, kutta as kt
        >>> lid = kt.pde.Dirichlet(torch.tensor([1.0, 0.0]))
        >>> grid = kt.pde.Grid((16, 16), boundary=(kt.pde.Dirichlet(), (kt.pde.Dirichlet(), lid)))
        >>> equation = kt.pde.NavierStokes(0.1)
        >>> sol = kt.solve(equation.problem(grid, torch.zeros(2, 16, 16), (0.0, 1.0)), kt.RKC2(), rtol=1e-3)
        >>> equation.at_points(sol.y1, grid)[0, 8, [2, 14]] > 0  # it comes back below
        tensor([False,  True])
    """

    viscosity: Any
    forcing: Tensor | Sequence[float] | Callable[..., Any] | None = None
    components: ClassVar[tuple[str, ...]] = ("u", "v")
    dimensions: ClassVar[tuple[int, ...]] = (2,)
    degree: ClassVar[int] = 2
    numbers: ClassVar[tuple[str, ...]] = ("viscosity",)
    diffusive: ClassVar[tuple[str, ...]] = ("viscosity",)

    def scheme(self, grid: Grid) -> Scheme:
        return Staggered()

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        if not isinstance(scheme, Staggered):
            raise ValueError(
                f"{type(self).__name__} is for scheme=kutta.pde.Staggered(); got {scheme!r}: for periodic flows there "
                "is kutta.pde.NavierStokesVorticity"
            )
        super().check(grid, scheme, u0)
        ops = scheme.on(grid)
        if self.forcing is not None and not callable(self.forcing):
            check_finite("forcing", ops.vector(self.forcing, torch.zeros((), dtype=torch.float64), "forcing"))

    def admissible(self, u0: Tensor, grid: Grid) -> Tensor:
        return Staggered().on(grid).leave(u0)

    def linear(self, ops: Discretisation, u: Field) -> Field:
        return self.viscosity * ops.laplacian(u)

    def nonlinear(self, ops: StaggeredDifferences, t: Any, u: Field) -> Field:  # type: ignore[override]
        transport = ops.transport(u)
        return -transport if self.forcing is None else ops.vector(self.forcing, u, "forcing") - transport

    def pressure(self, u: Tensor, grid: Grid, t: Any = 0.0) -> Tensor:
        """The pressure per density at the points, of mean zero.

        Args:
            u: a velocity, ``(..., 2, *grid.shape)``.
            grid: its grid.
            t: the time of the forcing and the boundary values.
        """
        ops = Staggered().on(grid).at(t)
        return ops.pressure(self.linear(ops, u) + self.nonlinear(ops, t, u))

    def at_points(self, u: Tensor, grid: Grid) -> Tensor:
        """A velocity at the points of the grid, the means of the faces at both sides; of the shape of `u`."""
        return Staggered().on(grid).at_points(u)


class NavierStokes3D(NavierStokes):
    """`NavierStokes` in space, with three components."""

    components: ClassVar[tuple[str, ...]] = ("u", "v", "w")
    dimensions: ClassVar[tuple[int, ...]] = (3,)
