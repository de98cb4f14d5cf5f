"""Staggered differences: velocities on the faces of cells, pressure in their middles.

Component ``i`` of a velocity stands half a spacing to the left of the points of the grid along axis ``i``, where
differences of the pressure are. So a velocity has the shape ``(..., d, *grid.shape)``. Where an axis ends at walls, its
first face is on the left wall, and the last one, on the right wall, is left out; nothing flows through either.

With the divergence ``D`` of cells and the gradient ``G`` of faces, ``D G`` is the usual second difference of the
pressure, with slope zero at walls, which cosines and Fourier's waves diagonalise. So

    P = I - G (D G)^-1 D

takes all divergence from a field, up to rounding, and whatever is a gradient. Momentum is carried through the faces of
its own cells by means of two neighbours, ``D (u_j u_i)``, which neither makes nor loses energy.

Source: Harlow and Welch, Numerical calculation of time-dependent viscous incompressible flow, Phys. Fluids 8, 1965.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Condition, Periodic, without_data
from kutta.pde.grids.given import check_kind, check_leading
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.grids.values import converted, real_dtype, total
from kutta.pde.schemes.inverse_laplacian import InverseLaplacian
from kutta.pde.schemes.scheme import Discretisation, Scheme
from kutta.pde.waves.kinds import EVEN, PERIODIC


@dataclass(frozen=True)
class Staggered(Scheme):
    """Differences of order 2 of velocities that nothing compresses: what `kutta.pde.NavierStokes` uses.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((16, 16), boundary=kt.pde.Dirichlet())
        >>> ops = kt.pde.Staggered().on(grid)
        >>> flow = ops.leave(torch.randn(2, 16, 16, dtype=torch.float64))
        >>> bool(ops.divergence(flow).abs().max() < 1e-12)
        True
    """

    def check(self, grid: Grid) -> None:
        for axis, side, wall in conditions(grid):
            _check_wall(grid, axis, side, wall)

    def on(self, grid: Grid, degree: int = 1) -> StaggeredDifferences:
        self.check(grid)
        kinds = tuple(PERIODIC if isinstance(left, Periodic) else EVEN for left, _ in grid.boundary)
        return StaggeredDifferences(grid, InverseLaplacian(grid, kinds))

    def sampled(self, function: Callable[[Tensor], Any], grid: Grid) -> Any:
        return _on_faces(function, grid, torch.zeros((), dtype=torch.float64), "u0")


@dataclass(frozen=True, eq=False)
class StaggeredDifferences(Discretisation):
    """The operations on velocities on faces; what leaves is without divergence, and zero at walls.

    Attributes:
        grid: whose points are the middles of the cells.
        inverse: of ``D G``.
        t: the time of the boundary values.
    """

    grid: Grid
    inverse: InverseLaplacian
    t: Any = 0.0
    walls: dict[Any, Tensor] = field(default_factory=dict)

    def at(self, t: Any) -> Self:
        return replace(self, t=t)

    def homogeneous(self) -> Self:
        return replace(self, grid=replace(self.grid, boundary=without_data(self.grid.boundary)))

    def leave(self, field: Tensor) -> Tensor:
        """``P u``."""
        field = self.open_faces(field) * field
        return field - self.slopes(self.pressure(field))

    def pressure(self, force: Tensor) -> Tensor:
        """``(D G)^-1 D F``, of mean zero: what keeps a flow from following a force ``F``; ``(..., *grid.shape)``."""
        return self.inverse(self.divergence(self.open_faces(force) * force))

    def divergence(self, u: Tensor) -> Tensor:
        """``D u`` in the cells."""
        return total(
            torch.diff(self._through(part, axis), dim=axis - self.grid.dim) / self.grid.spacing[axis]
            for axis, part in enumerate(self.split(u))
        )

    def slopes(self, p: Tensor) -> Tensor:
        """``G p`` on the faces; zero at walls."""
        return self.join([self._change_at_faces(p, axis) for axis in range(self.grid.dim)])

    def laplacian(self, u: Tensor) -> Tensor:
        """The sum of second differences of each component; at a wall, of the velocity that it has there."""
        return self.join([self._laplacian(part, one) for one, part in enumerate(self.split(u))])

    def transport(self, u: Tensor) -> Tensor:
        """``div(u u_i)`` for each component."""
        parts = self.split(u)
        return self.join([self._transport(parts, one) for one in range(self.grid.dim)])

    def at_points(self, u: Tensor) -> Tensor:
        """The means of neighbouring faces."""
        parts = enumerate(self.split(u))
        return self.join([_mean(self._through(part, axis), axis - self.grid.dim) for axis, part in parts])

    def vector(self, values: Any, u: Tensor, name: str) -> Tensor:
        """A vector ``(d,)``, values at the faces ``(..., d, *grid.shape)``, or a function ``(x, t)``, for each face."""
        if callable(values):
            return _on_faces(lambda x: values(x, self.t), self.grid, u, name)
        values = converted(values, u.dtype, u.device)
        if tuple(values.shape) == (self.grid.dim,):
            return values.reshape(-1, *[1] * self.grid.dim)
        if tuple(values.shape[-self.grid.dim - 1 :]) != (self.grid.dim, *self.grid.shape):
            raise ValueError(f"{name} must have {self.grid.dim} components at the faces; got {tuple(values.shape)}")
        return values

    def open_faces(self, like: Tensor) -> Tensor:
        """0 at the faces on walls, 1 elsewhere; ``(d, *grid.shape)``."""
        key = like.dtype, like.device
        if key not in self.walls:
            mask = torch.ones(self.grid.dim, *self.grid.shape, dtype=like.dtype, device=like.device)
            for axis in {axis for axis, _, _ in conditions(self.grid)}:
                mask[axis].narrow(axis, 0, 1).zero_()
            self.walls[key] = mask
        return self.walls[key]

    def _laplacian(self, part: Tensor, one: int) -> Tensor:
        return total(
            torch.diff(self._padded(part, one, axis), n=2, dim=axis - self.grid.dim) / self.grid.spacing[axis] ** 2
            for axis in range(self.grid.dim)
        )

    def _transport(self, parts: tuple[Tensor, ...], one: int) -> Tensor:
        mean = _mean(self._through(parts[one], one), one - self.grid.dim)
        found = self._change_at_faces(mean * mean, one)
        for axis in range(self.grid.dim):
            if axis != one:
                carrying = _mean(self._before(self._through(parts[axis], axis), one), one - self.grid.dim)
                carried = _mean(self._padded(parts[one], one, axis), axis - self.grid.dim)
                found = found + torch.diff(carrying * carried, dim=axis - self.grid.dim) / self.grid.spacing[axis]
        return found

    def _through(self, part: Tensor, axis: int) -> Tensor:
        """What flows through all faces of an axis, with the last one, by the component along it."""
        first = part.narrow(axis - self.grid.dim, 0, 1)
        return torch.cat([part, first if self._wraps(axis) else torch.zeros_like(first)], axis - self.grid.dim)

    def _before(self, p: Tensor, axis: int) -> Tensor:
        """Values at points with one before the first, so that differences are at faces; they vanish at walls."""
        dim = axis - self.grid.dim
        return torch.cat([p.narrow(dim, -1 if self._wraps(axis) else 0, 1), p], dim)

    def _change_at_faces(self, p: Tensor, axis: int) -> Tensor:
        return torch.diff(self._before(p, axis), dim=axis - self.grid.dim) / self.grid.spacing[axis]

    def _padded(self, part: Tensor, one: int, axis: int) -> Tensor:
        """A component with a neighbour beyond each side of an axis."""
        dim = axis - self.grid.dim
        if self._wraps(axis):
            return torch.cat([part.narrow(dim, -1, 1), part, part.narrow(dim, 0, 1)], dim)
        if one == axis:
            return torch.nn.functional.pad(part, [0, 0] * (-dim - 1) + [1, 1])
        return torch.cat([self._ghost(part, one, axis, 0), part, self._ghost(part, one, axis, 1)], dim)

    def _ghost(self, part: Tensor, one: int, axis: int, side: int) -> Tensor:
        """Beyond a wall, so that half way ``a u + b du/dn = g``."""
        wall, h = self.grid.boundary[axis][side], self.grid.spacing[axis]
        ahead, behind = wall.a / 2 + wall.b / h, wall.a / 2 - wall.b / h  # type: ignore[attr-defined]
        nearest = part.narrow(axis - self.grid.dim, -side, 1)
        found = nearest * (-behind / ahead)
        g = self._wall_value(wall, part, one, axis, side)  # type: ignore[arg-type]
        return found if g is None else found + g / ahead

    def _wall_value(self, wall: Condition, part: Tensor, one: int, axis: int, side: int) -> Tensor | None:
        """``g`` of a component, as a tensor of one cell along the axis; ``None`` for zero."""
        if isinstance(wall.g, int | float):
            return None
        dtype = real_dtype(part.dtype)
        x = self.grid.face(axis, side, dtype, part.device)
        x = torch.stack([row - 0.5 * self.grid.spacing[one] if place == one else row for place, row in enumerate(x)])
        value = torch.as_tensor(wall.value(x, self.t))
        check_kind(value, part, axis, side)
        value = value.to(part)
        if value.dim() == 1 and len(value) == self.grid.dim:
            return value[one]
        _check_vector(value, self.grid, axis, side)
        value = value.select(-self.grid.dim, one).unsqueeze(axis - self.grid.dim)
        check_leading(value, part, self.grid, axis, side)
        return value

    def _wraps(self, axis: int) -> bool:
        return isinstance(self.grid.boundary[axis][0], Periodic)


def _mean(u: Tensor, dim: int) -> Tensor:
    """Of neighbours."""
    count = u.shape[dim] - 1
    return 0.5 * (u.narrow(dim, 0, count) + u.narrow(dim, 1, count))


def _on_faces(function: Callable[[Tensor], Any], grid: Grid, like: Tensor, name: str) -> Tensor:
    """Each component of a function of the places, where it stands."""
    points, parts = grid.points(like.dtype, like.device), []
    for one in range(grid.dim):
        places = points.clone()
        places[one] -= 0.5 * grid.spacing[one]
        value = converted(function(places), like.dtype, like.device)
        if value.dim() <= grid.dim or value.shape[-grid.dim - 1] != grid.dim:
            raise ValueError(
                f"{name}(x) must return the {grid.dim} components of a vector, (..., {grid.dim}, *shape), such as "
                f"torch.stack([x[1], 0 * x[0]]); got shape {tuple(value.shape)}"
            )
        parts.append(value.select(-grid.dim - 1, one).expand(*value.shape[: -grid.dim - 1], *grid.shape))
    return torch.stack(parts, -grid.dim - 1)


def _check_wall(grid: Grid, axis: int, side: int, wall: Condition) -> None:
    where = f"boundary[{axis}][{side}]"
    if grid.centring[axis] != "cell":  # type: ignore[index]
        raise ValueError(f"axis {axis} ends at walls and needs centring 'cell'; got {grid.centring[axis]!r}")  # type: ignore[index]
    if isinstance(wall.g, int | float) and wall.g != 0:
        raise ValueError(
            f"{where} must say the velocity of the wall as a vector, such as Dirichlet(torch.tensor([1.0, 0.0])); got "
            f"the number {wall.g:g}"
        )
    if abs(wall.a / 2 + wall.b / grid.spacing[axis]) < 1e-12:
        raise ValueError(f"{where} determines no velocity at this spacing: refine the grid")
    if isinstance(wall.g, Tensor):
        if tuple(wall.g.shape) != (grid.dim,):
            _check_vector(wall.g, grid, axis, side)
        across = wall.g[axis] if wall.g.dim() == 1 else wall.g.select(-grid.dim, axis)
        if bool((across.detach() != 0).any()):
            raise ValueError(f"{where}: nothing flows through walls; component {axis} of g must be zero")


def _check_vector(value: Tensor, grid: Grid, axis: int, side: int) -> None:
    wanted = (grid.dim, *grid.shape[:axis], *grid.shape[axis + 1 :])
    if tuple(value.shape[-grid.dim :]) != wanted:
        raise ValueError(
            f"g at side {side} of axis {axis} must be a vector ({grid.dim},), or have the shape (..., "
            f"{', '.join(map(str, wanted))}), a vector at each place of the face; got {tuple(value.shape)}"
        )
