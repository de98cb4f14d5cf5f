"""Central finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any, Self

import torch
from torch import Tensor

from kutta.pde.elliptic.fluxes import diffusion
from kutta.pde.grids.boundary import without_data
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.grids.padding import check_accuracy, check_axis, ghosts_at, pad
from kutta.pde.grids.values import is_number, total
from kutta.pde.schemes.differences import differentiated, float_weights
from kutta.pde.schemes.inverse_laplacian import inverse_laplacian
from kutta.pde.schemes.scheme import Discretisation, Law, Scheme, directions
from kutta.solvers.algebra.operators.linear_operator import Inverse

HIGHEST_DERIVATIVE = 4


@dataclass(frozen=True)
class FiniteDifference(Scheme):
    """Central differences, for smooth solutions, any boundary condition and any centring.

    Solutions have the order of accuracy between walls, too, and diffusion has no eigenvalue that grows there. First
    derivatives without diffusion have some between walls for accuracy 6, and on nodes for 4.

    Attributes:
        accuracy: order of accuracy in the spacing: 2, 4 or 6.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(64, boundary=kt.pde.Dirichlet())
        >>> problem = kt.pde.Heat(0.1).problem(
        ...     grid, lambda x: torch.sin(torch.pi * x[0]), (0.0, 1.0), kt.pde.FiniteDifference(4))
        >>> sol = kt.solve(problem, kt.ROCK4(), rtol=1e-8)
        >>> exact = torch.exp(torch.tensor(-0.1 * torch.pi**2)) * torch.sin(torch.pi * grid.points()[0])
        >>> bool((sol.y1 - exact).abs().max() < 1e-6)
        True
    """

    accuracy: int = 2

    def __post_init__(self) -> None:
        check_accuracy(self.accuracy)

    def on(self, grid: Grid, degree: int = 1) -> CentralDifferences:
        return CentralDifferences(grid, self.accuracy)


@dataclass(frozen=True, eq=False)
class CentralDifferences(Discretisation):
    """The operations of central differences on a grid.

    Attributes:
        grid: where the fields live.
        accuracy: order of accuracy.
        t: the time of the boundary values.
        prepared: what does not change with time; by default it is computed.
    """

    grid: Grid
    accuracy: int = 2
    t: Any = 0.0
    prepared: Prepared | None = None

    def __post_init__(self) -> None:
        if self.prepared is None:
            object.__setattr__(self, "prepared", Prepared(self.grid, self.accuracy))

    def at(self, t: Any) -> Self:
        return replace(self, t=t)

    def homogeneous(self) -> Self:
        return replace(self, grid=self.prepared.without_data)  # type: ignore[union-attr]

    def derivative(self, u: Tensor, axis: int, order: int = 1) -> Tensor:
        check_axis(axis, self.grid)
        weights = self._weights(order)
        return differentiated(self._padded(u, axis, len(weights) // 2), weights, self.grid, axis, order)

    def laplacian(self, u: Tensor) -> Tensor:
        return total(self.derivative(u, axis, 2) for axis in range(self.grid.dim))

    def inverse_laplacian(self, f: Tensor) -> Tensor:
        inverse = self.prepared.inverse_laplacian  # type: ignore[union-attr]
        return inverse(f - self.laplacian(torch.zeros_like(f)) if self.has_data else f)

    def diffusion(self, u: Tensor, coefficient: Any) -> Tensor:
        if is_number(coefficient):
            return coefficient * self.laplacian(u)
        if self.accuracy == 2:
            return diffusion(u, coefficient, self.grid, self.t)
        if self.grid.periodic:
            return self._by_product_rule(u, coefficient)
        raise ValueError(
            f"diffusion with a coefficient that varies, between walls, has accuracy 2; got {self.accuracy}: use "
            "kutta.pde.FiniteDifference(2)"
        )

    def _by_product_rule(self, u: Tensor, a: Tensor) -> Tensor:
        """``a laplacian(u) + grad a . grad u``; the first differences of a first difference do not see a zigzag."""
        slopes = total(self.derivative(a, axis) * self.derivative(u, axis) for axis in range(self.grid.dim))
        return a * self.laplacian(u) + slopes

    def derivative_of(self, function: Callable[[Tensor], Tensor], u: Tensor, axis: int, order: int = 1) -> Tensor:
        weights = self._weights(order)
        return differentiated(function(self._padded(u, axis, len(weights) // 2)), weights, self.grid, axis, order)

    def laplacian_of(self, function: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
        if self.grid.periodic:
            return self.laplacian(function(u))
        return total(self.derivative_of(function, u, axis, 2) for axis in range(self.grid.dim))

    def convection(self, law: Law, u: Tensor) -> Tensor:
        return total(self._change_of(law, u, axis) for axis in range(self.grid.dim))

    def _change_of(self, law: Law, u: Tensor, axis: int) -> Tensor:
        """``dF(u)/dx`` along an axis; it is the unknown that is continued beyond the sides."""
        weights = self._weights(1)
        flux = law.flux(self._padded(u, axis, len(weights) // 2, directions(law)), axis)
        return differentiated(flux, weights, self.grid, axis, 1)

    def stencil(self, axis: int, order: int) -> list[tuple[int, float]]:
        """Which neighbours a derivative takes, by how many points they are further on, and their weights."""
        weights, scale = self._weights(order), self.grid.spacing[axis] ** -order
        placed = enumerate(weights, -(len(weights) // 2))
        return [(offset, scale * weight) for offset, weight in placed if weight != 0.0]

    def neighbour(self, u: Tensor, axis: int, offset: int) -> Tensor:
        """The values so many points further on; beyond sides by their conditions."""
        width = abs(offset)
        return self._padded(u, axis, width).narrow(axis - self.grid.dim, width + offset, self.grid.shape[axis])

    def _weights(self, order: int) -> tuple[float, ...]:
        if order not in self.prepared.weights:  # type: ignore[union-attr]
            raise ValueError(f"order must be a whole number from 1 to {HIGHEST_DERIVATIVE}; got {order!r}")
        return self.prepared.weights[order]  # type: ignore[union-attr]

    def _padded(self, u: Tensor, axis: int, width: int, directions: Sequence[int | None] = ()) -> Tensor:
        return pad(u, self.grid, width, axis=axis, accuracy=self.accuracy, t=self.t, directions=directions)


class Prepared:
    """What central differences on a grid compute once: so that a right-hand side is nothing but operations on tensors.

    Attributes:
        weights: by the order of the derivative.
        without_data: the grid with homogeneous boundary conditions.
    """

    def __init__(self, grid: Grid, accuracy: int):
        self.grid, self.accuracy = grid, accuracy
        self.weights = {order: float_weights(order, accuracy) for order in range(1, HIGHEST_DERIVATIVE + 1)}
        self.without_data = replace(grid, boundary=without_data(grid.boundary))
        widths = {len(row) // 2 for row in self.weights.values()}
        for (axis, side, _), width in product(conditions(grid), widths):
            ghosts_at(grid, axis, side, width, accuracy)
            ghosts_at(self.without_data, axis, side, width, accuracy)

    @cached_property
    def inverse_laplacian(self) -> Inverse:
        """That of `CentralDifferences.laplacian`, without data."""
        return inverse_laplacian(self.grid, self.accuracy)
