"""The equations of shallow water, ``h_t + div(h v) = 0``, ``(h v)_t + div(h v v) + grad(g h^2 / 2) = 0``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.pde.equations.evolution import Evolution
from kutta.pde.grids.grid import AXES, Grid
from kutta.pde.schemes.finite_volume import FiniteVolume
from kutta.pde.schemes.scheme import Discretisation, Field, Scheme, components, joined


@dataclass(frozen=True, eq=False)
class ShallowWater(Evolution):
    """``dh/dt + div m = 0``, ``dm/dt + div(m m / h) + grad(g h^2 / 2) = 0``: the depth of water and its momentum.

    The state is ``(h, hu)`` in one dimension and ``(h, hu, hv)`` in two. Water and, where nothing bounds it, momentum
    are conserved; bores form, as in a breaking dam, and so `kutta.pde.FiniteVolume` is the scheme when none is named.
    Basins have `kutta.pde.Wall` sides. The ground is flat, and wet everywhere.

    Attributes:
        gravity: ``g``.
        dimension: of the grid, 1 or 2.

    Example:
        A dam breaks; behind the bore the water is 0.6 to 0.7 deep:

        >>> import torch, kutta as kt
        >>> def dam(x):
        ...     return torch.stack([torch.where(x[0] < 5, 1.0, 0.4), torch.zeros_like(x[0])])
        >>> problem = kt.pde.ShallowWater(9.81).problem(
        ...     kt.pde.Grid(100, 10.0, boundary=kt.pde.Wall()), dam, (0.0, 0.8))
        >>> sol = kt.solve(problem)
        >>> bool(0.6 < sol.y1[0, 60] < 0.7), round(float(sol.y1[0].sum()), 5)
        (True, 70.0)
    """

    gravity: Any = 9.81
    dimension: int = 1
    numbers: ClassVar[tuple[str, ...]] = ("gravity",)
    diffusive: ClassVar[tuple[str, ...]] = ("gravity",)
    ordered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.dimension not in (1, 2):
            raise ValueError(f"dimension must be 1 or 2; got {self.dimension!r}")

    @property
    def components(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("h", "hu", "hv")[: self.dimension + 1]

    @property
    def dimensions(self) -> tuple[int, ...]:  # type: ignore[override]
        return (self.dimension,)

    @property
    def directions(self) -> tuple[int | None, ...]:  # type: ignore[override]
        return (None, *range(self.dimension))

    def nonlinear(self, ops: Discretisation, t: Any, u: Field) -> Field:
        return -ops.convection(self, u)

    def flux(self, u: Field, axis: int) -> Field:
        """``m_a`` of water, ``m_a m / h + g h^2 / 2`` of momentum."""
        depth, *momenta = components(u, self.dimension)
        flow = momenta[axis]
        carried = [flow * momentum / depth for momentum in momenta]
        carried[axis] = carried[axis] + 0.5 * self.gravity * depth**2
        return joined([flow, *carried], self.dimension)

    def speed(self, u: Tensor, axis: int) -> Tensor:
        """``|v_a| + sqrt(g h)``."""
        depth, *momenta = u.split(1, -self.dimension - 1)
        return (momenta[axis] / depth).abs() + torch.sqrt(self.gravity * depth)

    def speeds(self, grid: Grid, t: Any, u: Tensor) -> list[Any]:
        return [self.speed(u, axis) for axis in range(grid.dim)]

    def scheme(self, grid: Grid) -> Scheme:
        """Finite volumes."""
        return FiniteVolume()

    def check(self, grid: Grid, scheme: Scheme, u0: Tensor) -> None:
        super().check(grid, scheme, u0)
        if read((u0.detach().select(-grid.dim - 1, 0) <= 0.0).any()):
            raise ValueError(
                f"the depth h, the first component of u0, must be positive everywhere; {_shallowest(grid, u0)}: begin "
                "with a layer of water there, since the equations hold where it is wet"
            )

    def advice(self, grid: Grid, u: Tensor) -> str:
        """Where the water is shallowest."""
        return (
            f"{_shallowest(grid, u)}: if the water is about to fall dry there, which the equations do not allow, "
            "begin with deeper water, or use kutta.pde.FiniteVolume(), which keeps thin layers longest, with short "
            "steps such as controller=problem.cfl(0.25)"
        )


def _shallowest(grid: Grid, u: Tensor) -> str:
    if under_transform():
        return "the depth is that of one of several states"
    depth = u.detach().select(-grid.dim - 1, 0)
    at = int(depth.argmin()) % math.prod(grid.shape)
    place = ", ".join(
        f"{name} = {float(x):.6g}" for name, x in zip(AXES, grid.points().flatten(1)[:, at], strict=False)
    )
    return f"the smallest depth is {float(depth.min()):.3g}, at {place}"
