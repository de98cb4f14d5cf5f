"""What a residual makes of the solution, if changes spread by diffusion.

    D_t z - kappa laplace(z) = r / T,    z(t_0) = 0,    nothing given at the sides

The residual of a field is large where it is rough, and small where it is wrong but smooth: what makes residuals least
is smeared out. ``z`` is about what the field is off by, all of it: rough and smooth parts have the weight that they
have in the field. In the waves ``v`` of second differences between the sides, with numbers ``lambda``, this is a small
system in time for each wave,

    (D_t - kappa lambda) z^ = r^ / T
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.time_differences import backward_differences
from kutta.operators.operator import check_counts, checked_at_least_zero
from kutta.pde.grids.boundary import Condition, Periodic
from kutta.pde.grids.given import is_data
from kutta.pde.grids.grid import Grid

# Of what is given, in units of 1 / h^2: below all numbers of waves, so that these are the last to be left out.
_SHORTEST = -8.0


@dataclass(frozen=True)
class EstimatedError:
    """Measures residuals by the error that they stand for, with changes that spread by diffusion.

    Attributes:
        diffusivity: ``kappa``, about that of the equation; its order of magnitude will do.
        waves: how many of the longest along each axis count; by default all. Short ones, which diffusion takes away at
            once, hardly do, and cost as much as long ones.

    Example:
        >>> import torch, kutta as kt
        >>> backbone = kt.operators.FNO(1, 8, modes=(8, 8), width=8, layers=2)
        >>> measure = kt.operators.EstimatedError(0.05)
        >>> model = kt.operators.ConstrainedBasis(backbone, steps=16, measure=measure)
        >>> grid = kt.pde.Grid(32)
        >>> problem = kt.pde.Burgers(0.05).problem(grid, lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.5))
        >>> bool(model(problem).error.abs().max() < 2.0)
        True
    """

    diffusivity: float
    waves: int | None = None

    def __post_init__(self) -> None:
        if self.waves is not None:
            check_counts(waves=self.waves)
        checked_at_least_zero("diffusivity", self.diffusivity)

    def on(self, space_time: SpaceTime) -> Propagator:
        """Ready for a grid of time and space."""
        return Propagator(space_time, float(self.diffusivity), self.waves)


class Propagator:
    """``r -> z``, linear, for fields ``(..., Q, *shape)``.

    Attributes:
        forward: from points to the waves of second differences, along each axis, ``(N, waves)``.
        backward: and back, ``(waves, N)``.
        green: what becomes of each wave, ``(waves, Q, Q)``.
    """

    def __init__(self, space_time: SpaceTime, diffusivity: float, count: int | None = None):
        grid, device = space_time.grid, space_time.times.device
        pairs = [_waves(grid, axis, count) for axis in range(grid.dim)]
        numbers = torch.zeros((), dtype=torch.float64)
        for one, _, _ in pairs:
            numbers = numbers.unsqueeze(-1) + one
        self.unknown = space_time.unknown
        self.forward = [forward.to(device) for _, forward, _ in pairs]
        self.backward = [backward.to(device) for _, _, backward in pairs]
        unit = torch.eye(space_time.steps + 1, dtype=torch.float64, device=device)[1:]
        padded = torch.nn.functional.pad(unit[:, 1:], (1, 0)).mT
        rates = backward_differences(padded, -2, space_time.h)
        eye = torch.eye(space_time.steps, dtype=torch.float64, device=device)
        system = rates - diffusivity * numbers.reshape(-1, 1, 1).to(device) * eye
        self.green = torch.linalg.solve_triangular(system, eye.expand_as(system), upper=False) / space_time.duration

    def __call__(self, r: Tensor) -> Tensor:
        r = torch.where(self.unknown, r, 0.0)
        for vectors in reversed(self.forward):
            r = _last_to_first(r, vectors)
        waves = r.shape
        r = (r.reshape(*self.green.shape[:1], -1, waves[-1]) @ self.green.mT).reshape(waves)
        for vectors in self.backward:
            r = _first_to_last(r, vectors)
        return r


def _last_to_first(u: Tensor, matrix: Tensor) -> Tensor:
    """A product with a matrix ``(N, M)`` along the last axis, which becomes the first: nothing needs to be copied."""
    return (matrix.mT @ u.reshape(-1, u.shape[-1]).mT).reshape(-1, *u.shape[:-1])


def _first_to_last(u: Tensor, matrix: Tensor) -> Tensor:
    """A product with a matrix ``(N, M)`` along the first axis, which becomes the last."""
    return (u.reshape(u.shape[0], -1).mT @ matrix).reshape(*u.shape[1:], -1)


def _waves(grid: Grid, axis: int, count: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """The numbers of the longest waves along an axis, which are the highest; the products that lead there and back."""
    matrix, weights = _second_differences(grid, axis), _weights(grid, axis).sqrt()
    numbers, vectors = torch.linalg.eigh(weights[:, None] * matrix / weights)
    kept = len(numbers) if count is None else min(count, len(numbers))
    vectors = vectors[:, -kept:]
    return numbers[-kept:], weights[:, None] * vectors, vectors.mT / weights


def _weights(grid: Grid, axis: int) -> Tensor:
    """Lengths of points, in which second differences are symmetric: half of one for nodes at sides."""
    weights = torch.ones(grid.shape[axis], dtype=torch.float64)
    for side, condition in enumerate(grid.boundary[axis]):
        if grid.centring[axis] == "node" and not isinstance(condition, Periodic):  # type: ignore[index]
            weights[-side] = 0.5
    return weights


def _second_differences(grid: Grid, axis: int) -> Tensor:
    """Along an axis, with nothing given at its sides, ``(N, N)``."""
    count, h = grid.shape[axis], grid.spacing[axis]
    ones = torch.ones(count - 1, dtype=torch.float64)
    matrix = torch.diag(ones, 1) + torch.diag(ones, -1) - 2.0 * torch.eye(count, dtype=torch.float64)
    for side, condition in enumerate(grid.boundary[axis]):
        inner = 1 - 3 * side  # the point beside the last one, from this side
        if isinstance(condition, Periodic):
            matrix[-side, side - 1] += 1.0
        elif is_data(grid, axis, side):
            matrix[-side, :] = matrix[:, -side] = 0.0
            matrix[-side, -side] = _SHORTEST
        elif grid.centring[axis] == "node":  # type: ignore[index]
            matrix[-side, inner] += 1.0
            matrix[-side, -side] -= 2.0 * h * condition.a / condition.b  # type: ignore[attr-defined]
        else:
            matrix[-side, -side] += _ghost(condition, h)  # type: ignore[arg-type]
    return matrix / h**2


def _ghost(condition: Condition, h: float) -> float:
    """What ``a u + b du/dn = 0`` makes of the value beyond a side, in units of the one before it."""
    return (condition.b / h - 0.5 * condition.a) / (condition.b / h + 0.5 * condition.a)
