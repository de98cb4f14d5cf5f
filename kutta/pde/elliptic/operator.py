"""The elliptic operator ``u -> shift u - div(a grad u)`` on a grid, of second order."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, read, under_transform
from kutta.pde.elliptic import conductances
from kutta.pde.grids.given import face_value
from kutta.pde.grids.grid import Grid, conditions
from kutta.pde.grids.padding import check_field
from kutta.pde.waves.transforms import diagonalised
from kutta.solvers.algebra.method import LARGEST_RESIDUAL
from kutta.solvers.algebra.multigrid.network import Network, Stencil
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator, Scalar, is_real, is_zero
from kutta.solvers.algebra.operators.network_operator import NetworkOperator


class Elliptic(NetworkOperator):
    """``u -> shift u - div(a grad u)`` with homogeneous boundary conditions, for fields ``(..., *grid.shape)``.

    Cells and periodic points are finite volumes, nodes central differences, both of second order; boundary conditions
    are those of the grid with ``g = 0``. What their ``g`` adds belongs to the right-hand side, which
    `right_hand_side` makes:

        A u = f + source,    kutta.solve(kutta.LinearProblem(A, A.right_hand_side(f)))

    At nodes on `Dirichlet` sides, which are no unknowns, the operator is ``shift u``, and other nodes do not see them;
    without a shift solutions are zero there, whatever the right-hand side is. ``kutta.pde.pad(u, grid, 0)`` puts the
    boundary's values in their places. The matrix of the operator, `dense`, then has rows of zeros, and that of
    `regular`, which `kutta.LU` and `kutta.Cholesky` factorise, has none.

    With `Periodic` and `Neumann` sides only and no shift, constants are in the null space. Solutions then have mean
    zero, and solve for the right-hand side without its mean. One whose mean is more than 1 % of it is refused. Means
    are by volume: of nodes on sides half as much.

    It is symmetric, but for nodes on `Neumann` and `Robin` sides; there it is with the volumes as weights. Solves with
    a number as the coefficient divide in a transform (FFT, DCT, DST), unless there are `Robin` sides; all others are
    for `kutta.Multigrid`. Derivatives reach a coefficient, a shift and boundary values that are tensors.

    Attributes:
        grid: with its boundary conditions.
        coefficient: ``a``, a positive number, or a tensor ``(*batch, *grid.shape)`` of positive ones at the points.
        shift: a number, or a tensor that broadcasts with the grid, ``(*batch, *grid.shape)``.
        faces: the mean of the coefficients of two neighbours that holds between them, ``"harmonic"``, which is exact
            for layers, or ``"arithmetic"``.

    Raises:
        TypeError, ValueError: for what does not fit together.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Dirichlet(3.0)))
        >>> operator = kt.pde.Elliptic(grid, torch.full((32,), 2.0))
        >>> b = operator.right_hand_side(torch.zeros(32))
        >>> u = kt.solve(kt.LinearProblem(operator, b), rtol=1e-6).y1
        >>> bool((u - (1.0 + 2.0 * grid.points(torch.float32)[0])).abs().max() < 1e-5)
        True
    """

    # Of the part with the coefficient: 1 or -1 where it is definite or semidefinite, 0 where that is not known.
    _sign: float

    def __init__(self, grid: Grid, coefficient: Any = 1.0, shift: Any = 0.0, faces: str = "harmonic"):
        if not isinstance(grid, Grid):
            raise TypeError(f"grid must be a kutta.pde.Grid; got {type(grid).__name__}")
        if faces not in conductances.MEANS:
            raise ValueError(f"faces must be one of {', '.join(map(repr, conductances.MEANS))}; got {faces!r}")
        conductances.check_sides(grid)
        self.grid, self.axes, self.faces = grid, grid.dim, faces
        self.margins, self.weights = conductances.margins(grid), conductances.weights(grid)
        self.symmetric = self.weights is None
        smallest, least = _least("coefficient", coefficient, grid), _least("shift", shift, grid)
        if not smallest > 0.0:
            raise ValueError(f"coefficient must be positive everywhere; its smallest value is {smallest:g}")
        self._sign = 1.0 if all(wall.a * wall.b >= 0.0 for _, _, wall in conditions(grid)) else 0.0
        self._take(coefficient, shift)
        self.definite = self.symmetric and self._sign > 0.0 and least >= 0.0

    def _take(self, coefficient: Any, shift: Any) -> None:
        self.coefficient, self.shift = coefficient, shift
        self.batch = torch.broadcast_shapes(*(_batch(one, self.axes) for one in (coefficient, shift)))
        self.singular = is_zero(shift) and all(wall.a == 0.0 for _, _, wall in conditions(self.grid))
        self._kept: dict[Any, Any] = {}

    def apply(self, x: Tensor) -> Tensor:
        image = self.unweighted(self._stencil(x).apply(self.unknowns(x)))
        return self.among(image, 0.0 if is_zero(self.shift) else self.shift * x)

    def check(self, x: Tensor) -> None:
        check_field("a state", x, self.grid)
        for name in ("coefficient", "shift"):
            value = getattr(self, name)
            if isinstance(value, Tensor) and (value.dtype, value.device) != (x.dtype.to_real(), x.device):
                raise TypeError(
                    f"{name} is {value.dtype} on {value.device}, and the state {x.dtype} on {x.device}: convert one"
                )

    def check_right(self, b: Tensor) -> None:
        if not self.singular:
            return
        inside = self.unknowns(b)
        mean, size = read(torch.stack([self.mean(inside).abs().amax(), inside.abs().amax()]).detach())
        if mean > LARGEST_RESIDUAL * size:
            raise ValueError(
                "b must have mean zero, since with Periodic and Neumann sides alone and without a shift no other has a "
                f"solution; its mean is {mean:.3g}: subtract it, or see what flows in through the sides"
            )

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        if not is_real(shift, scale):
            return super().shifted(shift, scale)
        moved = copy.copy(self)
        moved._take(scale * self.coefficient, shift + scale * self.shift)
        if isinstance(scale, Tensor) or isinstance(moved.shift, Tensor):
            moved._sign = 0.0
        moved._sign *= math.copysign(1.0, scale) if moved._sign and scale else 0.0
        moved.definite = self.symmetric and bool(moved._sign) and bool(moved.shift * moved._sign >= 0.0)
        return moved

    def diagonal(self, like: Tensor) -> Tensor:
        diagonal = self.unweighted(self._stencil(like).diagonal)
        return self.among(diagonal, self.shift * torch.ones_like(like) if not is_zero(self.shift) else 0.0)

    def inverse(self) -> Inverse | None:
        if isinstance(self.coefficient, Tensor) or isinstance(self.shift, Tensor):
            return None
        if "inverse" not in self._kept:
            self._kept["inverse"] = diagonalised(self.grid, self.coefficient, self.shift)
        inner = self._kept["inverse"]
        return None if inner is None else lambda x: self.scattered(inner(self.unknowns(x)), x)

    def source(self, like: Tensor, t: Any = 0.0) -> Tensor:
        """What the values ``g`` of the boundary conditions add to a right-hand side.

        Args:
            like: a field of the dtype, device and shape that is wanted.
            t: the time, for values that depend on it.

        Returns:
            a field that is zero but next to the sides; with the leading axes of `like`, of the coefficient and of the
            values.
        """
        self.check(like)
        total, a = torch.zeros_like(like), self._field(self.coefficient, like)
        for axis, side, _ in conditions(self.grid):
            g = face_value(like, self.grid, axis, side, t)
            if isinstance(g, Tensor) or g != 0.0:
                inflow = g * conductances.inflow(self.grid, axis, side, a, self.faces)
                total = total + self._beside(inflow, axis, side)
        return self.among(self.unknowns(total), 0.0)

    def right_hand_side(self, f: Tensor, t: Any = 0.0) -> Tensor:
        """``f + source``: the ``b`` of ``A u = b``, which is zero at points that are no unknowns.

        Args:
            f: ``(..., *grid.shape)``.
            t: the time, for boundary values that depend on it.
        """
        return self.among(self.unknowns(f), 0.0) + self.source(f, t)

    def network(self) -> Network:
        tensors = [one for one in (self.coefficient, self.shift) if isinstance(one, Tensor)]
        if under_transform() or carries_gradient(tensors) or any(one.is_inference() for one in tensors):
            return self._network(self.coefficient, self.shift)
        # What is in a tensor may be changed between two solves, as an optimiser does.
        versions = tuple(one._version for one in tensors)
        if self._kept.get("versions") != versions:
            detached = (one.detach() if isinstance(one, Tensor) else one for one in (self.coefficient, self.shift))
            self._kept = {"versions": versions, "network": self._network(*detached)}
        return self._kept["network"]

    def _stencil(self, like: Tensor) -> Stencil:
        network = self.network()
        if network is not self._kept.get("network"):
            return network.stencil(like)
        key = like.dtype, like.device
        if key not in self._kept:
            self._kept[key] = network.stencil(like)
        return self._kept[key]

    def _network(self, coefficient: Any, shift: Any) -> Network:
        tensors = [one for one in (coefficient, shift) if isinstance(one, Tensor)]
        like = tensors[0] if tensors else torch.ones((), dtype=torch.float64)
        a, ground = self._field(coefficient, like), self._field(shift, like)
        return conductances.network(self.grid, a, ground, self.faces, not tensors, self.singular)

    def _field(self, value: Any, like: Tensor) -> Tensor:
        """A number or a tensor as one that broadcasts with the grid."""
        if isinstance(value, Tensor) and value.dim() >= self.axes:
            return value
        return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape([1] * self.axes)

    def _beside(self, inflow: Tensor, axis: int, side: int) -> Tensor:
        """What flows in at a side as a field, at the unknowns next to it."""
        shape = list(inflow.shape[: inflow.dim() - self.axes]) + list(self.grid.shape)
        shape[axis - self.axes] = 1
        first = self.margins[axis][side]
        beyond = self.grid.shape[axis] - 1 - first
        around = [0, 0] * (self.axes - 1 - axis) + ([first, beyond] if side == 0 else [beyond, first])
        return torch.nn.functional.pad(inflow.expand(shape), around)


def _batch(value: Any, axes: int) -> torch.Size:
    return value.shape[: max(value.dim() - axes, 0)] if isinstance(value, Tensor) else torch.Size()


def _least(name: str, value: Any, grid: Grid) -> float:
    """The smallest entry, after refusing what is no finite number or field."""
    if isinstance(value, Tensor):
        if not value.is_floating_point():
            raise TypeError(f"{name} must have a real floating-point dtype; got {value.dtype}")
        if value.dim():
            check_field(name, value, grid)
        negated, largest = read(torch.stack([-value.detach().amin(), value.detach().amax()]))
        least = -negated
    else:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number or a tensor; got {type(value).__name__}")
        least = largest = float(value)
    if not (math.isfinite(least) and math.isfinite(largest)):
        raise ValueError(f"{name} must be finite everywhere; got a value that is not")
    return least
