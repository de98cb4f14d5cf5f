"""Flow through pores and the throats between them, as a network of resistances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import torch
from scipy.spatial import Delaunay
from torch import Tensor

from kutta.operators.graphs.graph import Graph
from kutta.problems import LinearProblem
from kutta.solve import solve
from kutta.solvers.algebra.operators.dense import Dense


@dataclass(frozen=True, eq=False)
class PoreNetwork:
    """Slow flow of a viscous liquid between two faces of a porous box.

    A throat of radius ``r`` and length ``l`` conducts ``g = pi r^4 / (8 mu l)``, as Hagen and Poiseuille have it. What
    flows into a pore flows out of it, ``sum_j g_ij (p_j - p_i) = 0``. Pressures are 1 at the pores of the left face and
    0 at those of the right one, in units of the difference.

    Attributes:
        positions: of the pores in m, ``(n, d)``.
        throats: the two pores of each, ``(2, m)``.
        conductances: ``g`` in m^3/(Pa s), ``(m,)``.
        inlet: whether a pore lies on the left face, ``(n,)``.
        outlet: likewise for the right one.

    Example:
        >>> import torch, kutta as kt
        >>> network = kt.operators.data.pore_network(80, torch.Generator().manual_seed(0))
        >>> p, inside = network.pressures(), ~(network.inlet | network.outlet)
        >>> bool((network.outflow(p)[inside].abs() < 1e-12 * network.conductances.max()).all())
        True
    """

    positions: Tensor
    throats: Tensor
    conductances: Tensor
    inlet: Tensor
    outlet: Tensor

    def outflow(self, p: Tensor) -> Tensor:
        """What flows out of each pore through its throats in all, ``(n,)``, at pressures of the same shape."""
        first, second = self.throats
        flow = self.conductances * (p[first] - p[second])
        return torch.zeros_like(p).index_add(0, first, flow).index_add(0, second, -flow)

    def pressures(self) -> Tensor:
        """The pressure of each pore, ``(n,)``, by `kutta.solve` with a factorised matrix."""
        inside = ~(self.inlet | self.outlet)
        p = self.inlet.to(self.conductances.dtype)
        matrix = self._matrix()[inside][:, inside]
        sol = solve(LinearProblem(Dense(matrix, definite=True), -self.outflow(p)[inside]))
        return p.masked_scatter(inside, sol.y1)

    def graph(self, dtype: torch.dtype = torch.float32) -> Graph:
        """What a network learns from: each throat in both directions.

        Node features are whether a pore is at the inlet, and at the outlet; the edge feature is ``log g``, without its
        mean over the network.
        """
        faces = torch.stack([self.inlet, self.outlet], 1).to(dtype)
        logs = self.conductances.log()
        logs = (logs - logs.mean()).to(dtype).repeat(2)[:, None]
        return Graph(torch.cat([self.throats, self.throats.flip(0)], 1), faces, logs)

    def _matrix(self) -> Tensor:
        """``K`` with ``K p`` the outflow."""
        first, second = self.throats
        n, g = len(self.positions), self.conductances
        matrix = g.new_zeros(n, n).index_put((first, second), -g).index_put((second, first), -g)
        return matrix - matrix.sum(1).diag()


def pore_network(
    count: int,
    generator: torch.Generator | None = None,
    dim: int = 2,
    length: float = 1e-3,
    radii: tuple[float, float] = (5e-6, 15e-6),
    viscosity: float = 1e-3,
) -> PoreNetwork:
    """Pores at random places of a box, with throats between neighbours in the sense of Delaunay.

    About ``count^(1 - 1/dim)`` pores lie on each of the two faces.

    Args:
        count: of pores, 8 or more.
        generator: where the numbers come from; by default PyTorch's global one.
        dim: of the box, 2 or 3.
        length: of each side in m.
        radii: of throats in m, the least and the largest; all between are equally likely.
        viscosity: of the liquid in Pa s.

    Raises:
        ValueError: for other numbers.
    """
    if count < 8 or dim not in (2, 3):
        raise ValueError(f"count must be at least 8, and dim 2 or 3; got {count!r} and {dim!r}")
    if not (length > 0.0 and viscosity > 0.0 and 0.0 < radii[0] <= radii[1]):
        raise ValueError(f"length, radii and viscosity must be positive; got {length!r}, {radii!r} and {viscosity!r}")
    places = torch.rand(count, dim, dtype=torch.float64, generator=generator)
    places = places[places[:, 0].argsort()]
    on_face = max(1, round(count ** (1.0 - 1.0 / dim) / 2.0))
    inlet, outlet = (torch.zeros(count, dtype=torch.bool) for _ in range(2))
    inlet[:on_face], outlet[-on_face:] = True, True
    places[inlet, 0], places[outlet, 0] = 0.0, 1.0
    throats = neighbours(places)
    lengths = length * (places[throats[0]] - places[throats[1]]).norm(dim=1)
    radius = radii[0] + (radii[1] - radii[0]) * torch.rand(len(lengths), dtype=torch.float64, generator=generator)
    conductances = math.pi * radius**4 / (8.0 * viscosity * lengths)
    return PoreNetwork(length * places, throats, conductances, inlet, outlet)


def neighbours(points: Tensor) -> Tensor:
    """The pairs of points ``(n, d)`` that an edge of Delaunay's triangulation joins, ``(2, m)``."""
    simplices = torch.from_numpy(Delaunay(points.numpy()).simplices).long()
    pairs = [simplices[:, list(pair)] for pair in combinations(range(simplices.shape[1]), 2)]
    return torch.cat(pairs).sort(1).values.unique(dim=0).mT.contiguous()


def pore_networks(
    count: int, generator: torch.Generator | None = None, sizes: tuple[int, int] = (50, 200), dim: int = 2
) -> tuple[Graph, Tensor]:
    """Random networks as a union of graphs in float32, and the pressures of all pores, ``(N, 1)``.

    Args:
        count: of networks.
        generator: where the numbers come from; by default PyTorch's global one.
        sizes: the least and the largest number of pores.
        dim: of the boxes.
    """
    counts = torch.randint(sizes[0], sizes[1] + 1, (count,), generator=generator).tolist()
    drawn = [pore_network(one, generator, dim) for one in counts]
    pressures = torch.cat([one.pressures() for one in drawn]).float()
    return Graph.union([one.graph() for one in drawn]), pressures[:, None]
