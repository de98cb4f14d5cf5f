"""Waves that leave a grid: absorbing layers at its sides.

In a layer the coordinate is stretched into the complex plane, ``dx -> s dx`` with ``s = 1 + i sigma``, where a wave
that goes out, ``exp(i k x)``, decays as ``exp(-k int sigma dx)``, and nothing is reflected where the layer begins:

    -sum_axes (1/s) d/dx ((1/s) du/dx) - k^2 u = f.

With ``sigma = sigma_0 (d / width)^2`` at the depth ``d``, what comes back from its end is ``exp(-2 k sigma_0 width /
3)`` of the wave, from which ``sigma_0`` is chosen.

Source: Berenger, A perfectly matched layer for the absorption of electromagnetic waves, J. Comput. Phys. 114, 1994, as
coordinate stretching by Chew and Weedon, 1994.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.boundary import Periodic, without_data
from kutta.pde.grids.given import unknowns
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_field, pad
from kutta.solvers.algebra.operators.linear_operator import LinearOperator

# Of a wave, what may come back from the end of a layer in theory; differences add to it.
REFLECTION = 1e-5
Widths = tuple[tuple[float, float], ...]


class Stretched(LinearOperator):
    """``-sum (1/s) d/dx ((1/s) du/dx) - k^2 u`` with homogeneous boundary conditions, for complex fields.

    At nodes on `Dirichlet` sides, which are no unknowns, it is the identity.

    Attributes:
        grid: with its boundary conditions.
        k: the wave number, a number or a tensor.
        widths: of the layers, for each axis a pair.
    """

    def __init__(self, grid: Grid, k: Any, widths: Widths):
        self.grid, self.k, self.axes = grid, k, grid.dim
        self.homogeneous = replace(grid, boundary=without_data(grid.boundary))
        self.points = [_stretching(grid, axis, k, pair, 0.0) for axis, pair in enumerate(widths)]
        self.faces = [_stretching(grid, axis, k, pair, -0.5) for axis, pair in enumerate(widths)]
        self.unknown = unknowns(grid)

    def apply(self, x: Tensor) -> Tensor:
        unknown = self.unknown.to(x)
        return unknown * self._image(x, self.homogeneous) + (1.0 - unknown) * x

    def check(self, x: Tensor) -> None:
        check_field("a state", x, self.grid)

    def right_hand_side(self, f: Tensor) -> Tensor:
        """`f` with what the values of the boundary conditions add to it."""
        return self.unknown.to(f) * (f - self._image(torch.zeros_like(f), self.grid))

    def _image(self, x: Tensor, grid: Grid) -> Tensor:
        total = -(self.k * self.k) * x
        for axis in range(grid.dim):
            dim, h = axis - grid.dim, grid.spacing[axis]
            slopes = torch.diff(pad(x, grid, 1, axis=axis), dim=dim) / (h * self.faces[axis].to(x))
            total = total - torch.diff(slopes, dim=dim) / (h * self.points[axis].to(x))
        return total


def _stretching(grid: Grid, axis: int, k: Any, widths: tuple[float, float], shift: float) -> Tensor:
    """``s`` at the points of an axis, or half a spacing before them with one more behind; along its axis."""
    places = grid.axis_points(axis)
    if shift:
        places = torch.cat([places, places[-1:] + grid.spacing[axis]]) + shift * grid.spacing[axis]
    left = places - grid.origin[axis]  # type: ignore[index]
    sigma = torch.zeros_like(places)
    for depth, width in ((widths[0] - left, widths[0]), (left - grid.length[axis] + widths[1], widths[1])):  # type: ignore[index]
        if width > 0.0:
            sigma = sigma + (depth.clamp_min(0.0) / width) ** 2 * 1.5 * math.log(1.0 / REFLECTION) / width
    mean = k.mean() if isinstance(k, Tensor) else k
    return (1.0 + 1j * sigma / mean).reshape(-1, *[1] * (grid.dim - axis - 1))


def has_layers(widths: Widths) -> bool:
    """Whether there are any."""
    return any(width > 0.0 for pair in widths for width in pair)


def widths_of(absorbing: Any, grid: Grid) -> Widths:
    """Of the layers at both sides of each axis."""
    wraps = [isinstance(left, Periodic) for left, _ in grid.boundary]
    given = [0.0 if wrap else absorbing for wrap in wraps] if isinstance(absorbing, int | float) else absorbing
    if not isinstance(given, Sequence) or len(given) != grid.dim:
        raise ValueError(f"absorbing must be a width, or one for each of the {grid.dim} axes; got {absorbing!r}")
    pairs = []
    for axis, entry in enumerate(given):
        pair = (entry, entry) if isinstance(entry, int | float) else tuple(entry)
        if len(pair) != 2 or not all(isinstance(one, int | float) and 0.0 <= one < math.inf for one in pair):
            raise ValueError(f"absorbing[{axis}] must be a width of at least 0, or a pair of such; got {entry!r}")
        if sum(pair) > 0.0 and wraps[axis]:
            raise ValueError(f"axis {axis} is periodic, and has no sides for absorbing layers; got {entry!r}")
        if sum(pair) >= grid.length[axis]:  # type: ignore[index]
            raise ValueError(f"absorbing[{axis}] leaves nothing of the length {grid.length[axis]:g}; got {entry!r}")  # type: ignore[index]
        pairs.append((float(pair[0]), float(pair[1])))
    return tuple(pairs)
