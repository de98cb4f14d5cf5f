"""Networks of conductances on a grid: the operators that multigrid makes coarser.

Points on a box of a grid are joined to their neighbours along each axis by conductances ``t``, and to the ground by
``g``. What flows out of point ``i`` at the potentials ``u`` is

    (K u)_i = g_i u_i + sum_j t_ij (u_i - u_j),

which is a finite-volume discretisation of ``shift u - div(a grad u)``: conductances are coefficients over squared
spacings, and the ground is the shift and whatever lies beyond the sides. ``K`` is symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kutta.solvers.algebra.multigrid.slices import accumulate_, difference, weight_of


@dataclass(frozen=True)
class Chain:
    """The conductances along one axis.

    Attributes:
        axis: which, counted from the end.
        links: what lies before the first point, between points, and after the last one: one more than there are points
            along this axis; elsewhere it broadcasts with states. The first and the last one lead to the ground, or,
            where the axis wraps around, are one and the same that joins the last point to the first.
        periodic: whether it wraps around.
        cells: whether points are middles of cells, which merge in pairs; else every second point is a coarse one.
        sizes: of the cells, ``(n,)``.
        grounded: whether there is the ground one step before the first point, and after the last one, in place of
            nothing; of points that are no cells.
    """

    axis: int
    links: Tensor
    periodic: bool
    cells: bool
    sizes: Tensor
    grounded: tuple[bool, bool] = (True, True)

    @property
    def count(self) -> int:
        """The number of points."""
        return self.links.shape[self.axis] - 1

    def at_points(self) -> Tensor:
        """The conductances that meet at each point."""
        return self.links.narrow(self.axis, 0, self.count) + self.links.narrow(self.axis, 1, self.count)


@dataclass(frozen=True)
class Network:
    """A network, as data.

    Attributes:
        chains: one for each axis.
        ground: of the points themselves; it broadcasts with states.
        uniform: whether all conductances are known on the host and vary along few axes, as for a coefficient that is a
            number; they are double precision there.
        singular: whether nothing is joined to the ground, so that constants are in the null space.
    """

    chains: tuple[Chain, ...]
    ground: Tensor
    uniform: bool
    singular: bool

    @property
    def shape(self) -> torch.Size:
        """Of one state."""
        return torch.Size(chain.count for chain in self.chains)

    @property
    def batch(self) -> torch.Size:
        """Leading axes, where networks differ from sample to sample."""
        shapes = [one.shape[: one.dim() - len(self.chains)] for one in (self.ground, *(c.links for c in self.chains))]
        return torch.broadcast_shapes(*shapes)

    def stencil(self, like: Tensor) -> Stencil:
        """The operator, for states such as `like`."""
        return Stencil(self, like)


class Stencil:
    """A network at work: ``u -> K u``.

    Attributes:
        network: its conductances.
        diagonal: of ``K``, ``(*batch, *shape)``.
        between: for each axis the conductances between points, numbers where they are all the same.
        around: for each axis the one that joins its ends, where it wraps around.
    """

    def __init__(self, network: Network, like: Tensor):
        self.network = network
        total = network.ground
        for chain in network.chains:
            total = total + chain.at_points()
        self.diagonal = total.to(like).expand(*network.batch, *network.shape).contiguous()
        self.between, self.around = [], []
        for chain in network.chains:
            between, around = chain.links.narrow(chain.axis, 1, chain.count - 1), chain.links.narrow(chain.axis, 0, 1)
            self.between.append(weight_of(between, network.uniform, like))
            self.around.append(weight_of(around, network.uniform, like) if chain.periodic else None)

    @cached_property
    def inverse_diagonal(self) -> Tensor:
        """``1 / diagonal``."""
        return self.diagonal.reciprocal()

    def apply(self, u: Tensor) -> Tensor:
        """``K u``, by differentiable operations."""
        image = self.diagonal * u
        self._add_neighbours_(image, u, -1.0)
        return image

    def residual(self, f: Tensor, u: Tensor, out: Tensor) -> Tensor:
        """``f - K u``, in `out` where that can be."""
        out = difference(f, self.diagonal, u, out)
        self._add_neighbours_(out, u, 1.0)
        return out

    def _add_neighbours_(self, out: Tensor, u: Tensor, sign: float) -> None:
        for chain, between, around in zip(self.network.chains, self.between, self.around, strict=True):
            axis, rest = chain.axis, chain.count - 1
            if rest:
                accumulate_(out.narrow(axis, 1, rest), between, u.narrow(axis, 0, rest), sign)
                accumulate_(out.narrow(axis, 0, rest), between, u.narrow(axis, 1, rest), sign)
            if around is not None:
                accumulate_(out.narrow(axis, 0, 1), around, u.narrow(axis, rest, 1), sign)
                accumulate_(out.narrow(axis, rest, 1), around, u.narrow(axis, 0, 1), sign)
