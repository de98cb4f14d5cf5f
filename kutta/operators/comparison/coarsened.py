"""A solver that is given fewer points than the problem has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kutta.operators.comparison.other_fields import with_fields
from kutta.operators.scope import parts_of
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import pad
from kutta.solution import Solution
from kutta.solvers.answer import Answer


@dataclass(frozen=True)
class Coarsened(Answer):
    """A method on a grid of ``N / factor`` points along each axis, whose solution is read between them.

    What a surrogate saves is fair only against a solver that is as inexact as it is: on fewer points. Fields come to
    the coarse grid as means over its cells, or as values at its points where an axis is periodic; back they come by the
    waves of periodic axes, and linearly along others, with what the boundary says beyond the last points.

    Attributes:
        factor: by which points are fewer.
        method: that solves there; by default what `kutta.solve` takes.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.pde.Poisson().problem(kt.pde.Grid((32, 32), boundary=kt.pde.Dirichlet()), 1.0)
        >>> exact = kt.solve(problem).y1
        >>> errors = [(kt.solve(problem, kt.operators.Coarsened(f)).y1 - exact).norm() / exact.norm() for f in (2, 4)]
        >>> bool(0.0 < errors[0] < errors[1] < 0.1)
        True
    """

    factor: int
    method: Any = None

    def answer(self, problem: Any, given: dict[str, Any], solve: Callable[..., Solution]) -> Solution:
        _, grid = parts_of(problem)
        coarse = self._coarse(grid)
        fewer = with_fields(problem, coarse, lambda u: self._fewer(u, grid, coarse))
        solution = solve(fewer, self.method, **given)
        ys = torch.stack([between(y, coarse, grid) for y in solution.ys])
        y1 = between(solution.y1, coarse, grid)
        return replace(solution, ys=ys, y1=y1, interpolant=None, space=replace(solution.space, grid=grid))

    def _coarse(self, grid: Grid) -> Grid:
        for axis, (count, kind) in enumerate(zip(grid.shape, grid.centring, strict=True)):  # type: ignore[arg-type]
            if kind == "node" or count % self.factor:
                raise ValueError(
                    f"Coarsened({self.factor}) needs axes of cells or periodic ones whose points are a multiple of "
                    f"{self.factor}; axis {axis} has {count} of kind {kind!r}"
                )
        return replace(grid, shape=tuple(count // self.factor for count in grid.shape))

    def _fewer(self, u: Tensor, grid: Grid, coarse: Grid) -> Tensor:
        """A field on the coarse grid."""
        for axis, kind in enumerate(grid.centring):  # type: ignore[arg-type]
            dim = axis - grid.dim
            if u.shape[dim] == 1:
                continue
            groups = u.unflatten(dim, (coarse.shape[axis], self.factor))
            u = groups.select(dim, 0) if kind == "periodic" else groups.mean(dim)
        return u


def between(u: Tensor, coarse: Grid, grid: Grid) -> Tensor:
    """A field of a coarse grid at the points of a finer one on the same box."""
    for axis in range(grid.dim):
        dim = axis - grid.dim
        # Fine along the axes before this one.
        middle = replace(coarse, shape=(*grid.shape[:axis], *coarse.shape[axis:]))
        if grid.centring[axis] == "periodic":  # type: ignore[index]
            u = _by_waves(u, grid.shape[axis], dim)
        else:
            u = _linearly(pad(u, middle, 1, axis=axis), grid.shape[axis] // coarse.shape[axis], dim)
    return u


def _by_waves(u: Tensor, count: int, dim: int) -> Tensor:
    """With more waves, which are zero; the fastest of an even number of points is half itself, half its conjugate."""
    few, spectrum = u.shape[dim], torch.fft.rfft(u, dim=dim, norm="forward")
    if few % 2 == 0:
        last = spectrum.narrow(dim, few // 2, 1)
        spectrum = torch.cat([spectrum.narrow(dim, 0, few // 2), 0.5 * last], dim)
    return torch.fft.irfft(spectrum, count, dim=dim, norm="forward")


def _linearly(padded: Tensor, factor: int, dim: int) -> Tensor:
    """Between the middles of cells, of a field with a ghost at each side."""
    cells = padded.shape[dim] - 2
    places = (torch.arange(cells * factor, dtype=torch.float64) + 0.5) / factor + 0.5  # in cells from the first ghost
    left = places.floor().long()
    weight = (places - left).to(padded).reshape(-1, *[1] * (-dim - 1))
    left = left.to(padded.device)
    return torch.lerp(padded.index_select(dim, left), padded.index_select(dim, left + 1), weight)
