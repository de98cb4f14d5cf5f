"""Finite volumes: what leaves one cell enters the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import Tensor

from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import pad
from kutta.pde.grids.values import check_real, total
from kutta.pde.schemes.finite_difference import CentralDifferences
from kutta.pde.schemes.numerical_fluxes import LaxFriedrichs, NumericalFlux, Rusanov
from kutta.pde.schemes.reconstructions import MUSCL, WENO5, Reconstruction
from kutta.pde.schemes.scheme import Law, Scheme, directions


@dataclass(frozen=True)
class FiniteVolume(Scheme):
    """Fluxes through the faces of cells, for conservation laws whose solutions have shocks and fronts.

    ``div F`` is the difference of the fluxes through the faces of a cell, so that what an equation conserves is kept to
    rounding, and shocks have the right speed. ``v . grad u`` is taken from where the wind comes. All other derivatives
    are central differences of order 2.

    Between walls, the ghosts of `kutta.pde.pad` are of order 2, except for `kutta.pde.Wall`, which mirrors. So there
    the largest error of `WENO5` is of order 2, in a layer of a few cells beside an inflow.

    Limited slopes are of order 2 wherever the solution has no extremum, and of order 1 in the cells around one: there
    the mean error is of order 2, and the largest one not.

    Attributes:
        reconstruction: from cells to faces: `MUSCL` (order 2), `WENO5` (order 5) or `PiecewiseConstant` (order 1).
        flux: through faces: `Rusanov` or `LaxFriedrichs`; by default the latter for `WENO5`, which has its order with
            it in several dimensions too, and `Rusanov` for the others.

    Example:
        A shock moves with the mean of the values at its sides:

        >>> import torch, kutta as kt
        >>> walls = kt.pde.Dirichlet(1.0), kt.pde.Dirichlet(0.0)
        >>> grid = kt.pde.Grid(100, 2.0, boundary=walls)
        >>> problem = kt.pde.Burgers(0.0).problem(grid, lambda x: (x[0] < 0.5).double(), (0.0, 2.0))
        >>> sol = kt.solve(problem, kt.SSPRK33(), controller=problem.cfl())
        >>> round(float(sol.y1.sum() * grid.spacing[0]), 6)  # it went from 0.5 to 1.5
        1.5
    """

    reconstruction: Reconstruction = field(default_factory=MUSCL)
    flux: NumericalFlux | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.reconstruction, Reconstruction):
            raise TypeError(f"reconstruction must be such as kutta.pde.MUSCL(); got {self.reconstruction!r}")
        if self.flux is None:
            chosen = LaxFriedrichs() if isinstance(self.reconstruction, WENO5) else Rusanov()
            object.__setattr__(self, "flux", chosen)
        if not isinstance(self.flux, NumericalFlux):
            raise TypeError(f"flux must be such as kutta.pde.Rusanov(); got {self.flux!r}")

    def check(self, grid: Grid) -> None:
        for axis, kind in enumerate(grid.centring or ()):
            if kind == "node":
                raise ValueError(
                    f"FiniteVolume needs cells; axis {axis} has centring 'node': use centring 'cell', or "
                    "kutta.pde.FiniteDifference()"
                )
            if grid.shape[axis] < self.reconstruction.width:
                raise ValueError(
                    f"{type(self.reconstruction).__name__} needs {self.reconstruction.width} cells at least; "
                    f"axis {axis} has {grid.shape[axis]}"
                )

    def on(self, grid: Grid, degree: int = 1) -> Cells:
        self.check(grid)
        return Cells(grid, reconstruction=self.reconstruction, flux=self.flux)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Cells(CentralDifferences):
    """The operations of finite volumes on a grid."""

    reconstruction: Reconstruction = field(default_factory=MUSCL)
    flux: NumericalFlux = field(default_factory=Rusanov)

    def homogeneous(self) -> LinearCells:  # type: ignore[override]
        return LinearCells(self.prepared.without_data, prepared=self.prepared)  # type: ignore[union-attr]

    def convection(self, law: Law, u: Tensor) -> Tensor:
        _check_real(u)
        return super().convection(law, u)

    def _change_of(self, law: Law, u: Tensor, axis: int) -> Tensor:
        """What leaves a cell through its two faces on an axis."""
        dims = tuple(range(-self.grid.dim, 0))
        padded = pad(u, self.grid, self.reconstruction.width, axis=axis, t=self.t, directions=directions(law))
        flux = self.flux.through_faces(law, padded, axis, self.reconstruction, dims[axis], dims)
        return flux.diff(dim=dims[axis]) / self.grid.spacing[axis]

    def advection(self, u: Tensor, velocity: Sequence[Any]) -> Tensor:
        _check_real(u)
        for one in velocity:
            check_real(one, u.dtype)
        return total(self._upwind(u, axis, velocity[axis]) for axis in range(self.grid.dim))

    def _upwind(self, u: Tensor, axis: int, speed: Any) -> Tensor:
        """``v du/dx``: with the slope from the left where ``v > 0``, and from the right where ``v < 0``."""
        dim, h = axis - self.grid.dim, self.grid.spacing[axis]
        padded = pad(u, self.grid, self.reconstruction.width, axis=axis, t=self.t)
        scale = self.reconstruction.scale(dim, padded)
        if isinstance(speed, Tensor):
            from_left = self.reconstruction.from_left(padded, dim, scale).diff(dim=dim)
            from_right = self.reconstruction.from_right(padded, dim, scale).diff(dim=dim)
            return (speed.clamp(min=0.0) * from_left + speed.clamp(max=0.0) * from_right) / h
        side = self.reconstruction.from_left if speed > 0 else self.reconstruction.from_right
        return speed / h * side(padded, dim, scale).diff(dim=dim)


class LinearCells(CentralDifferences):
    """What finite volumes have for the linear part of an equation: central differences of order 2, and no winds."""

    def convection(self, law: Law, u: Tensor) -> NoReturn:
        _refuse_linear("convection")

    def advection(self, u: Tensor, velocity: Sequence[Any]) -> NoReturn:
        _refuse_linear("advection")


def _refuse_linear(what: str) -> NoReturn:
    raise TypeError(
        f"{what} of FiniteVolume has limiters and is not linear, so that methods which treat the linear part apart "
        "cannot have it there: use a method for the whole such as kutta.SSPRK33(), or kutta.pde.FiniteDifference()"
    )


def _check_real(u: Tensor) -> None:
    if u.is_complex():
        raise TypeError(f"FiniteVolume is for real fields; got {u.dtype}: use kutta.pde.FiniteDifference()")
