"""Experts that agree at the faces of their boxes: one problem of least squares for all of them.

To the residuals of all experts come, at each place of a face between the boxes of ``k`` and ``l``, with ``d = u_k -
u_l`` there,

    c d / sqrt(F)    and    c L dd/dn / sqrt(F)

with the number ``F`` of places, the length ``L`` of the axis and a difference of neighbours for ``dd/dn``. Only
neighbours meet in them: where boxes are a chain, along one axis that does not wrap around, the normal matrix is block
tridiagonal, and is factorised block by block. Elsewhere it is a dense one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.operators.constraints.space_time import at_points
from kutta.operators.constraints.weights import Residual, Rows
from kutta.pde.grids.boundary import Periodic
from kutta.pde.grids.grid import Grid
from kutta.problems import LeastSquaresProblem
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain


class Faces(NamedTuple):
    """Pairs of points beside each other, in the boxes of different experts, one pair of experts after the other.

    Attributes:
        experts: ``(F, 2)``.
        points: among all of all times, ``(F, 2)``.
        steepness: what a difference of the two points is multiplied with, ``L`` over the distance of points, ``(F,)``.
    """

    experts: Tensor
    points: Tensor
    steepness: Tensor


def faces_of(shares: Tensor, grid: Grid) -> Faces:
    """The faces between experts that have the largest shares.

    Args:
        shares: ``(1, K, *shape)``.
        grid: in time and space.
    """
    owner = shares[0].argmax(0)
    places = torch.arange(owner.numel(), device=owner.device).reshape(owner.shape)
    experts, points, steepness = [], [], []
    for axis, (left, _) in enumerate(grid.boundary):
        steps = grid.length[axis] / grid.spacing[axis]  # type: ignore[index]
        pairs = _pairs(owner, axis, isinstance(left, Periodic))
        other = pairs[0] != pairs[1]
        experts.append(torch.stack([one[other] for one in pairs], 1))
        points.append(torch.stack([one[other] for one in _pairs(places, axis, isinstance(left, Periodic))], 1))
        steepness.append(torch.full((len(points[-1]),), steps, dtype=torch.float64, device=owner.device))
    found = Faces(torch.cat(experts), torch.cat(points), torch.cat(steepness))
    order = (found.experts[:, 0] * len(shares[0]) + found.experts[:, 1]).argsort(stable=True)
    return Faces(*(one[order] for one in found))


def _pairs(u: Tensor, axis: int, wraps: bool) -> tuple[Tensor, Tensor]:
    """Values beside each other along an axis."""
    count = u.shape[axis]
    return (u, u.roll(-1, axis)) if wraps else (u.narrow(axis, 0, count - 1), u.narrow(axis, 1, count - 1))


@dataclass(frozen=True)
class CoupledRows(Rows):
    """Those of all experts of each of ``n`` samples, ``(n, K, ...)``.

    Attributes:
        faces: what the basis functions have there, value and slope one after the other, ``(n, 2 F, N)``.
    """

    faces: Tensor

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return (*super().parts, self.faces)


@dataclass(frozen=True)
class Coupled:
    """The residuals of all experts of a sample, with those of the faces.

    Attributes:
        residual: of one expert.
        faces: between them.
        weight: ``c``.
    """

    residual: Residual
    faces: Faces
    weight: float

    def rows(self, rows: Rows, fields: Tensor) -> CoupledRows:
        """Those of all experts, ``(n K, ...)``, with the basis, fields ``(N, Q + 1, n, *shape)`` at the faces."""
        before, after = at_points(fields, self.faces.points, self.residual.space_time.grid.dim).unbind(-1)
        both = torch.stack([0.5 * (before + after), self.faces.steepness * (after - before)], -1).flatten(-2)
        scale = self.weight / math.sqrt(max(len(self.faces.points), 1))
        guess, basis, data, weight = (one.unflatten(0, (both.shape[1], -1)) for one in rows.parts)
        return CoupledRows(guess, basis, data, weight, scale * both.permute(1, 2, 0))

    def problem(self, rows: CoupledRows, start: Tensor) -> LeastSquaresProblem:
        """For `kutta.solve`, beginning with the weights `start`, ``(n, K N)``."""
        return LeastSquaresProblem(self._all, start, rows.parts, True, self._jacobian, self._curvature)

    def _all(self, w: Tensor, *parts: Tensor) -> Tensor:
        *of_experts, faces = parts
        each = w.unflatten(1, (of_experts[0].shape[1], -1))
        own = self.residual.residual(each.flatten(0, 1), *(one.flatten(0, 1) for one in of_experts))
        jumps = each[:, self._sides[0]] - each[:, self._sides[1]]
        return torch.cat([own.reshape(len(w), -1), (faces * jumps).sum(2)], 1)

    def _jacobian(self, w: Tensor, *parts: Tensor) -> Tensor | BlockChain:
        *of_experts, faces = parts
        count = of_experts[0].shape[1]
        each = w.unflatten(1, (count, -1)).flatten(0, 1)
        own = self.residual.jacobian(each, *(one.flatten(0, 1) for one in of_experts)).unflatten(0, (-1, count))
        if self._is_chain(count):
            links = faces.unflatten(1, (count - 1, -1)).unsqueeze(3)
            return BlockChain(own, torch.cat([links, -links], 3))
        blocks = _blocks(own)
        places = torch.nn.functional.one_hot(torch.stack(self._sides), count).to(w)
        jumps = (places[0] - places[1])[:, :, None] * faces[:, :, None, :]
        return torch.cat([blocks, jumps.flatten(2)], 1)

    def _curvature(self, w: Tensor, *parts: Tensor) -> Tensor:
        """That of the experts: jumps are linear."""
        *of_experts, _ = parts
        count = of_experts[0].shape[1]
        each = w.unflatten(1, (count, -1)).flatten(0, 1)
        own = self.residual.curvature(each, *(one.flatten(0, 1) for one in of_experts))
        return _blocks(own.unflatten(0, (-1, count)))

    @property
    def _sides(self) -> tuple[Tensor, Tensor]:
        """The experts at both sides, for values and slopes."""
        twice = self.faces.experts.repeat_interleave(2, 0)
        return twice[:, 0], twice[:, 1]

    def _is_chain(self, count: int) -> bool:
        """Whether each expert meets the next one, at as many places as others do, and nobody else."""
        left, right = self.faces.experts.unbind(1)
        each = torch.arange(count - 1, device=left.device).repeat_interleave(len(left) // max(count - 1, 1))
        return count > 1 and torch.equal(left, each) and torch.equal(right, left + 1)


def _blocks(own: Tensor) -> Tensor:
    """Matrices ``(n, K, a, b)`` as blocks on the diagonals of ``(n, K a, K b)``."""
    return torch.diag_embed(own.permute(0, 2, 3, 1)).permute(0, 3, 1, 4, 2).flatten(1, 2).flatten(2)
