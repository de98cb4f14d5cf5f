"""Central finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor

from kutta.pde.boundary import without_data
from kutta.pde.differences import ACCURACIES, central_weights, derivative, differentiated, laplacian
from kutta.pde.grid import Grid
from kutta.pde.padding import pad
from kutta.pde.schemes.scheme import Discretisation, Law, Scheme


@dataclass(frozen=True)
class FiniteDifference(Scheme):
    """Central differences, for smooth solutions, any boundary condition and any centring.

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
        if self.accuracy not in ACCURACIES:
            raise ValueError(f"accuracy must be 2, 4 or 6; got {self.accuracy!r}")

    def on(self, grid: Grid, degree: int = 1) -> CentralDifferences:
        return CentralDifferences(grid, self.accuracy)


@dataclass(frozen=True, eq=False)
class CentralDifferences(Discretisation):
    """The operations of central differences on a grid."""

    grid: Grid
    accuracy: int = 2
    t: Any = 0.0

    def at(self, t: Any) -> Self:
        return replace(self, t=t)

    def homogeneous(self) -> Self:
        return replace(self, grid=replace(self.grid, boundary=without_data(self.grid.boundary)))

    def derivative(self, u: Tensor, axis: int, order: int = 1) -> Tensor:
        return derivative(u, self.grid, axis, order, self.accuracy, self.t)

    def laplacian(self, u: Tensor) -> Tensor:
        return laplacian(u, self.grid, self.accuracy, self.t)

    def derivative_of(self, function: Callable[[Tensor], Tensor], u: Tensor, axis: int, order: int = 1) -> Tensor:
        weights = central_weights(order, self.accuracy)
        padded = pad(u, self.grid, len(weights) // 2, axis=axis, accuracy=self.accuracy, t=self.t)
        return differentiated(function(padded), weights, self.grid, axis, order)

    def laplacian_of(self, function: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
        if self.grid.periodic:
            return self.laplacian(function(u))
        total = self.derivative_of(function, u, 0, 2)
        for axis in range(1, self.grid.dim):
            total = total + self.derivative_of(function, u, axis, 2)
        return total

    def convection(self, law: Law, u: Tensor) -> Tensor:
        weights = central_weights(1, self.accuracy)
        total = None
        for axis in range(self.grid.dim):
            padded = pad(u, self.grid, len(weights) // 2, axis=axis, accuracy=self.accuracy, t=self.t)
            change = differentiated(law.flux(padded, axis), weights, self.grid, axis, 1)
            total = change if total is None else total + change
        return total  # type: ignore[return-value]
