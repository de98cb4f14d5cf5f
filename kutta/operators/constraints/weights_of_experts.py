"""How the weights of experts are found: each for itself, in agreement at faces, or for the field that they make up."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.operators.constraints.continuity import Coupled, faces_of
from kutta.operators.constraints.experts_of_processes import ExpertsOfProcesses
from kutta.operators.constraints.sampled_points import Points
from kutta.operators.constraints.space_time import SpaceTime, at_points
from kutta.operators.constraints.weights import Residual, Rows, Weights


@dataclass(frozen=True)
class Sought:
    """What weights are sought for, of ``n`` samples and ``K`` experts with ``N`` basis functions.

    Attributes:
        residual: of the equation.
        basis: functions, ``(N, Q + 1, n, *shape)``.
        shares: of experts, ``(n or 1, K, Q + 1, *shape)``.
        points: where the equation is asked to hold.
        start: of the search, ``(n, K, N)``.
    """

    residual: Residual
    basis: Tensor
    shares: Tensor
    points: Points
    start: Tensor


class Found(NamedTuple):
    """What came of it.

    Attributes:
        weights: ``(n, K, N)``.
        results: how the search ended, codes of `kutta.Result`, ``(n, K)``.
        iterations: of it, ``(n, K)``.
    """

    weights: Tensor
    results: Tensor
    iterations: Tensor


class Finding:
    """A way to find them."""

    def seen(self, shares: Tensor) -> Tensor:
        """The shares with which points are drawn and weighed for each problem of least squares: those of experts."""
        return shares

    def __call__(self, search: Weights, sought: Sought) -> Found:
        """The weights of all experts."""
        raise NotImplementedError


class Apart(Finding):
    """Each expert for itself: ``n K`` problems with ``N`` weights."""

    def __call__(self, search: Weights, sought: Sought) -> Found:
        return self.of(search, sought, list(range(sought.start.shape[1])))

    def of(self, search: Weights, sought: Sought, experts: list[int]) -> Found:
        """Those of some experts."""
        rows = rows_at(sought.points.of(experts), sought.residual.space_time, sought.basis)
        found = search(sought.residual, rows, sought.start[:, experts].flatten(0, 1))
        return Found(*(one.unflatten(0, (len(sought.start), len(experts))) for one in found))


class InProcesses(Apart):
    """The same by several processes, of which each has some experts.

    Args:
        processes: these.
    """

    def __init__(self, processes: ExpertsOfProcesses):
        self.processes = processes

    def __call__(self, search: Weights, sought: Sought) -> Found:
        count = sought.start.shape[1]
        own = self.of(search, sought, self.processes.own(count))
        return Found(*(self.processes.gathered(one, count) for one in own))


class Agreeing(Finding):
    """All experts of a sample at once, in one problem with rows for jumps at faces.

    Args:
        continuity: the weight of these.
    """

    def __init__(self, continuity: float):
        self.continuity = continuity

    def __call__(self, search: Weights, sought: Sought) -> Found:
        space_time = sought.residual.space_time
        coupled = Coupled(sought.residual, faces_of(sought.shares, space_time.whole_grid), self.continuity)
        rows = coupled.rows(rows_at(sought.points, space_time, sought.basis), sought.basis)
        return _for_all(search(coupled, rows, sought.start.flatten(1)), sought)


class Joint(Finding):
    """All experts of a sample at once, with the basis ``g_k b_j``."""

    def seen(self, shares: Tensor) -> Tensor:
        """Ones: the equation is to hold for the field that all make up."""
        return torch.ones_like(shares[:, :1])

    def __call__(self, search: Weights, sought: Sought) -> Found:
        residual = replace(sought.residual, ridge=sought.residual.ridge / math.sqrt(sought.shares.shape[1]))
        blended = (sought.shares.movedim(0, 2).unsqueeze(1) * sought.basis).flatten(0, 1)
        rows = rows_at(sought.points, residual.space_time, blended)
        return _for_all(search(residual, rows, sought.start.flatten(1)), sought)


def _for_all(found: tuple[Tensor, Tensor, Tensor], sought: Sought) -> Found:
    """What came of one problem for all experts, as that of each."""
    w, results, iterations = found
    every = sought.start.shape[:2]
    return Found(w.reshape(sought.start.shape), results[:, None].expand(every), iterations[:, None].expand(every))


def rows_at(points: Points, space_time: SpaceTime, basis: Tensor) -> Rows:
    """Images and data at the points of each expert, for all samples.

    Args:
        points: of each expert.
        space_time: the equation.
        basis: functions, ``(N, Q + 1, n, *shape)``.
    """
    dim = space_time.grid.dim
    guess = at_points(space_time.images(space_time.constant), points.index, dim)
    changes = at_points(space_time.images_of_changes(basis), points.index, dim).movedim(1, -2)
    data = at_points(space_time.data(), points.index, dim)
    weight = points.weight.expand(basis.shape[2], -1, -1)
    guess, changes, data = (one.movedim(0, 2).flatten(0, 1) for one in (guess, changes, data))
    return Rows(guess, changes, data, weight.flatten(0, 1))
