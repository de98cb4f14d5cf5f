"""The advection equation, ``u_t + v . grad u = 0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kutta.pde.coefficients import check_coefficient, check_shape
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.boundary import Wall
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.finite_difference import FiniteDifference
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme


@dataclass(frozen=True, eq=False)
class Advection(Evolution):
    """``du/dt + v . grad u = 0``: what is carried along, unchanged, by a given wind.

    With a velocity that is constant in space and time, `kutta.ETDRK4` moves the waves of a periodic field exactly. For
    fields with jumps there is `kutta.pde.FiniteVolume`, which is the scheme of cells between walls when none is named.
    Between walls central differences of order 2, and on cells of order 4, do not grow; higher ones do, whose ghosts
    hand on what no diffusion takes away, and are refused.

    Attributes:
        velocity: ``v``: a number in one dimension; or one for each axis, where tensors at the points of the grid may
            stand for numbers; or a function of ``(x, t)`` that returns one for each axis.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 32))
        >>> def wave(x):
        ...     return torch.sin(2 * torch.pi * (x[0] + x[1]))
        >>> problem = kt.pde.Advection((1.0, 0.5)).problem(grid, wave, (0.0, 2.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(2.0))
        >>> bool(torch.allclose(sol.y1, wave(grid.points())))
        True
    """

    velocity: Any | Sequence[Any] | Callable[..., Any] = 1.0
    degree: ClassVar[int] = 2

    def linear(self, ops: Discretisation, u: Field) -> Field | None:
        if callable(self.velocity):
            return None
        winds = _along_axes(ops.grid, self.velocity)
        return -ops.advection(u, [one if is_number(one) else ops.constant(one, u) for one in winds])

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field | None:
        velocity = self.velocity
        if not callable(velocity):
            return None

        def checked(x: Tensor, t: Any) -> list[Any]:
            winds = _along_axes(ops.grid, velocity(x, t))
            for axis, wind in enumerate(winds):
                check_shape(f"velocity(x, t)[{axis}]", wind, ops.grid)
            return winds

        return -ops.advection(u, [ops.data(wind, u) for wind in ops.evaluated(checked, t, u)])

    def speeds(self, grid: Grid, t: Any, u: Tensor) -> list[Any]:
        velocity = (
            self.velocity(grid.points(u.dtype.to_real(), u.device), t) if callable(self.velocity) else self.velocity
        )
        return _along_axes(grid, velocity)

    def scheme(self, grid: Grid) -> Scheme:
        """Waves where all is periodic, finite volumes on cells, and differences on nodes."""
        return super().scheme(grid) if grid.periodic or "node" in tuple(grid.centring or ()) else FiniteVolume()

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        _check_closures(grid, scheme)
        if callable(self.velocity):
            return
        for axis, wind in enumerate(_along_axes(grid, self.velocity)):
            check_coefficient(f"velocity[{axis}]", wind, grid, u0.shape[: -grid.dim])


def _along_axes(grid: Grid, velocity: Any) -> list[Any]:
    """A velocity as one entry for each axis."""
    if not isinstance(velocity, int | float | Tensor | Sequence):
        raise TypeError(f"velocity must be a number, one for each axis, or a function of (x, t); got {velocity!r}")
    found: list[Any] = [velocity] if is_number(velocity) else list(velocity)  # type: ignore[arg-type]
    if len(found) != grid.dim:
        raise ValueError(f"velocity must have an entry for each of the {grid.dim} axes; got {len(found)}")
    return found


def _check_closures(grid: Grid, scheme: Scheme) -> None:
    """Refuse central differences with eigenvalues of positive real part."""
    if not isinstance(scheme, FiniteDifference):
        return
    for axis, side, one in conditions(grid):
        kind = grid.centring[axis]  # type: ignore[index]
        highest = 4 if kind == "cell" else 2
        if scheme.accuracy > highest and not isinstance(one, Wall):
            raise ValueError(
                f"FiniteDifference({scheme.accuracy}) of Advection grows from {type(one).__name__} at side {side} of "
                f"axis {axis}, of centring {kind!r}, on: use FiniteDifference({highest}), or FiniteVolume() on cells"
            )
