"""Helmholtz' equation, ``-laplace(u) - k^2 u = f``: waves of one frequency.

In an absorbing layer the coordinate is stretched into the complex plane, ``dx -> s dx`` with ``s = 1 + i sigma``, where
a wave that goes out, ``exp(i k x)``, decays as ``exp(-k int sigma dx)``, and nothing is reflected where the layer
begins:

    -sum_axes (1/s) d/dx ((1/s) du/dx) - k^2 u = f.

With ``sigma = sigma_0 (d / width)^2`` at the depth ``d``, what comes back from its end is ``exp(-2 k sigma_0 width /
3)`` of the wave, from which ``sigma_0`` is chosen.

Source: Berenger, A perfectly matched layer for the absorption of electromagnetic waves, J. Comput. Phys. 114, 1994, as
coordinate stretching by Chew and Weedon, 1994. Preconditioner: Erlangga, Vuik and Oosterlee, On a class of
preconditioners for solving the Helmholtz equation, Appl. Numer. Math. 50, 2004.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kutta.pde.boundary import Boundary, Dirichlet, Periodic, without_data
from kutta.pde.elliptic import Elliptic
from kutta.pde.grid import Grid
from kutta.pde.inverse import second_differences
from kutta.pde.padding import check_field, pad
from kutta.pde.schemes.waves import EVEN, ODD, PERIODIC, Basis
from kutta.pde.steady import Steady, field_of, like_of
from kutta.pde.transforms import diagonalised
from kutta.solvers.algebra.direct.factorised import LU
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator

# Of a wave, what may come back from the end of a layer in theory; differences add to it.
REFLECTION = 1e-5
# The largest matrix that is factorised.
LARGEST_DENSE = 1500
# The part of k^2 by which the preconditioner damps waves.
DAMPING = 0.5


@dataclass(frozen=True, eq=False)
class Helmholtz(Steady):
    """``-laplace(u) - k^2 u = f``: waves of one frequency, of second order, ten points and more a wave length.

    With a number `wavenumber` and no layer, solutions cost two transforms, where the boundary has one. Other small
    systems are factorised, large ones solved by `GMRES`. At a resonance there is no solution.

    With layers the solution is complex, and what goes out is ``exp(i k x)``. Within a layer it means nothing.

    Attributes:
        wavenumber: ``k``: a number, a tensor ``(*grid.shape)``, or a function of the coordinates.
        absorbing: the width of the layers, inside the grid, next to its sides that are not periodic: a number; or one
            for each axis, where an entry may be a pair, for its left and right side. By default there is none. About a
            wave length is a good one. The outer end of a layer has the boundary condition of the side.

    Example:
        A wave that is made at the left side and leaves on the right:

        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(400, 2.0, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Dirichlet()))
        >>> u = kt.solve(kt.pde.Helmholtz(10.0, absorbing=((0.0, 1.0),)).problem(grid)).y1
        >>> x = grid.points()[0]
        >>> bool((u - torch.exp(10j * x))[x < 1].abs().max() < 0.01)
        True
    """

    wavenumber: Any
    absorbing: float | Sequence[Any] = 0.0

    def system(self, grid: Grid, f: Tensor) -> tuple[LinearOperator, Tensor]:
        k = self._wavenumber(grid)
        if not _has_layers(_widths(self.absorbing, grid)):
            operator = Elliptic(grid, shift=-k * k)
            return operator, operator.right_hand_side(f)
        stretched = Stretched(grid, k, _widths(self.absorbing, grid))
        return stretched, stretched.right_hand_side(f.to(f.dtype.to_complex()))

    def like(self) -> Tensor:
        return like_of(self.wavenumber)

    def method(self, grid: Grid) -> LinearMethod | None:
        k, layers = self._wavenumber(grid), _has_layers(_widths(self.absorbing, grid))
        if not layers and not isinstance(k, Tensor) and diagonalised(grid, 1.0, -k * k) is not None:
            return None
        if math.prod(grid.shape) <= LARGEST_DENSE:
            return LU()
        return GMRES(damped_inverse(grid, _mean(k * k), layers), restart=100)

    def _wavenumber(self, grid: Grid) -> Any:
        k = field_of("wavenumber", self.wavenumber, grid)
        if isinstance(k, Tensor) and k.dim():
            check_field("wavenumber", k, grid)
        elif isinstance(k, bool) or not isinstance(k, int | float | Tensor) or not math.isfinite(float(k)):
            raise ValueError(f"wavenumber must be a finite number, a tensor or a function; got {k!r}")
        return k


class Stretched(LinearOperator):
    """``-sum (1/s) d/dx ((1/s) du/dx) - k^2 u`` with homogeneous boundary conditions, for complex fields.

    At nodes on `Dirichlet` sides, which are no unknowns, it is the identity.

    Attributes:
        grid: with its boundary conditions.
        k: the wave number, a number or a tensor.
        widths: of the layers, for each axis a pair.
    """

    def __init__(self, grid: Grid, k: Any, widths: tuple[tuple[float, float], ...]):
        self.grid, self.k, self.axes = grid, k, grid.dim
        self.homogeneous = replace(grid, boundary=without_data(grid.boundary))
        self.points = [_stretching(grid, axis, k, pair, 0.0) for axis, pair in enumerate(widths)]
        self.faces = [_stretching(grid, axis, k, pair, -0.5) for axis, pair in enumerate(widths)]
        self.unknown = pad(torch.ones(grid.shape, dtype=torch.float64), self.homogeneous, 0)

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


def damped_inverse(grid: Grid, square: float, layers: bool) -> Inverse:
    """An approximate inverse by transforms: of the equation without layers, in which waves are damped.

    Args:
        grid: with its boundary conditions, which are those of the nearest transform here.
        square: ``k^2``, of which the mean serves.
        layers: whether fields are complex, so that damping is a complex part of ``k^2``; else it has the other sign.
    """
    basis = Basis(grid, tuple(_kind(pair) for pair in grid.boundary), not layers)
    shift = square * (1.0 + 1j * DAMPING) if layers else -square
    reciprocal = 1.0 / (-second_differences(basis) - shift)
    unknown = pad(torch.ones(grid.shape, dtype=torch.float64), replace(grid, boundary=without_data(grid.boundary)), 0)

    def inverse(x: Tensor) -> Tensor:
        dtype = x.dtype if layers else x.dtype.to_real()
        found = basis.backward(reciprocal.to(x.device, dtype) * basis.forward(x))
        return torch.where(unknown.to(x.device) == 0.0, x, found)

    return inverse


def _kind(sides: tuple[Boundary, Boundary]) -> str:
    if isinstance(sides[0], Periodic):
        return PERIODIC
    return ODD if all(isinstance(one, Dirichlet) for one in sides) else EVEN


def _mean(square: Any) -> float:
    return float(torch.as_tensor(square).detach().mean())


def _has_layers(widths: tuple[tuple[float, float], ...]) -> bool:
    return any(width > 0.0 for pair in widths for width in pair)


def _widths(absorbing: Any, grid: Grid) -> tuple[tuple[float, float], ...]:
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
