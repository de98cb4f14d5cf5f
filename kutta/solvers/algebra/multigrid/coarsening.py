"""Half of the points of an axis: the coarser network, and the way between the two.

Along an axis resistances ``r = 1 / t`` are in series. A coarse point sits in the middle of the resistor between two
cells, or on every second node; between coarse points the resistances add up, and potentials in between are those of
the chain without other currents,

    u = (r_right u_left + r_left u_right) / (r_left + r_right),

which is linear interpolation where the coefficient is constant, and follows its jumps where it is not. Across the axis
conductances are in parallel and add up, as does what leads to the ground. For a constant coefficient on an even number
of cells or an odd one of nodes the coarser network is the discretisation on the coarser grid.

Source: Alcouffe, Brandt, Dendy and Painter, The multi-grid method for the diffusion equation with strongly
discontinuous coefficients, 1981, for interpolation and averages by continuity of the flux.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.solvers.algebra.multigrid.network import Chain, Network
from kutta.solvers.algebra.multigrid.slices import along_axis, every_second
from kutta.solvers.algebra.multigrid.transfer import Term, Transfer


class _Halved(NamedTuple):
    """What comes of an axis.

    Attributes:
        chain: the coarser one.
        interpolation: between the two.
        share: how what leads across the axis is shared out to the coarse points; its transpose is used.
    """

    chain: Chain
    interpolation: Transfer
    share: Transfer


def coarsened(network: Network, axis: int) -> tuple[Network, Transfer]:
    """The network with half of the points along an axis, and the interpolation from there."""
    chain = network.chains[axis]
    halved = _cells(chain) if chain.cells else _nodes(chain)

    def shared(across: Tensor) -> Tensor:
        return _shared_out(across, halved.share, network.uniform)

    chains = tuple(
        halved.chain if other is chain else replace(other, links=shared(other.links)) for other in network.chains
    )
    return replace(network, chains=chains, ground=shared(network.ground)), halved.interpolation


def _cells(chain: Chain) -> _Halved:
    """Pairs of cells become one; a last one without a partner stays as it is."""
    axis, n = chain.axis, chain.count
    m, pairs = (n + 1) // 2, n // 2
    resistance = chain.links.reciprocal()
    inside = every_second(resistance, axis, 1).narrow(axis, 0, pairs)
    left, right = (chain.sizes[p : 2 * pairs : 2] for p in (0, 1))
    # The middle of a pair divides the resistor between its cells.
    to_left = _alone(inside * along_axis(right / (left + right), axis, inside), axis, m)
    to_right = _alone(inside * along_axis(left / (left + right), axis, inside), axis, m)
    outside = every_second(resistance, axis, 0)
    if n % 2:
        outside = torch.cat([outside, resistance.narrow(axis, n, 1)], axis)
    before, after = _before_and_after(to_left, to_right, axis, chain.periodic)
    links = (before + outside + after).reciprocal()
    towards_left = to_left * links.narrow(axis, 0, m)
    towards_right = (to_right * links.narrow(axis, 1, m)).narrow(axis, 0, pairs)
    weights = (
        Term(0, 0, 1.0 - towards_left),
        Term(0, -1, towards_left),
        Term(1, 0, 1.0 - towards_right),
        Term(1, 1, towards_right),
    )
    sizes = chain.sizes.new_zeros(m)
    sizes += chain.sizes[0::2]
    sizes[:pairs] += right
    coarse = replace(chain, links=links, sizes=sizes)
    share = Transfer(axis, chain.periodic, n, m, (Term(0, 0, 1.0), Term(1, 0, 1.0)))
    return _Halved(coarse, Transfer(axis, chain.periodic, n, m, weights), share)


def _alone(x: Tensor, axis: int, count: int) -> Tensor:
    """With a zero for the cell without a partner, if there is one."""
    return x if x.shape[axis] == count else torch.cat([x, torch.zeros_like(x.narrow(axis, 0, 1))], axis)


def _before_and_after(to_left: Tensor, to_right: Tensor, axis: int, periodic: bool) -> tuple[Tensor, Tensor]:
    """At each border of pairs, what lies between it and the middle before it, and the one after it."""
    first, last = to_left.narrow(axis, 0, 1), to_right.narrow(axis, -1, 1)
    if not periodic:
        first, last = torch.zeros_like(first), torch.zeros_like(last)
    return torch.cat([last, to_right], axis), torch.cat([to_left, first], axis)


def _nodes(chain: Chain) -> _Halved:
    """Every second node stays: those beside a grounded left end do not, so that the ground is a coarse node, too."""
    axis, n = chain.axis, chain.count
    start = 1 if chain.grounded[0] and not chain.periodic else 0
    m = (n - start + 1) // 2
    left, right = (every_second(chain.links.narrow(axis, side, n), axis, 1 - start) for side in (0, 1))
    both = left + right
    series = left * right / both
    first = series.narrow(axis, 0, 0) if start else chain.links.narrow(axis, 0, 1)
    last_stays = (n - start) % 2 == 1
    last = chain.links.narrow(axis, n, 1) if last_stays else series.narrow(axis, 0, 0)
    if chain.periodic and not last_stays:
        first = series.narrow(axis, n - m - 1, 1)
    links = torch.cat([first, series, last], axis)
    kept, other, before = start, 1 - start, -start
    weights = (Term(kept, 0, 1.0), Term(other, before, left / both), Term(other, before + 1, right / both))
    half = torch.full((n - m,), 0.5, dtype=torch.float64)
    all_left = half.clone()
    if not (last_stays or chain.grounded[1] or chain.periodic):
        all_left[-1] = 1.0  # a last node that goes, with nothing behind it
    shares = Term(kept, 0, 1.0), Term(other, before, _vector(all_left, axis)), Term(other, before + 1, 0.5)
    coarse = replace(chain, links=links)
    interpolation, share = (Transfer(axis, chain.periodic, n, m, terms) for terms in (weights, shares))
    return _Halved(coarse, interpolation, share)


def _vector(values: Tensor, axis: int) -> Tensor:
    return values.reshape(-1, *[1] * (-axis - 1))


def _shared_out(across: Tensor, share: Transfer, uniform: bool) -> Tensor:
    """The sums of what leads across an axis, over the fine points of each coarse one."""
    if across.dim() < -share.axis or across.shape[share.axis] == 1:
        across = across.expand(*torch.broadcast_shapes(across.shape, (share.fine, *[1] * (-share.axis - 1))))
    sums = share.at_work(uniform, across).restricted(across)
    first = sums.narrow(share.axis, 0, 1)
    # Of conductances that are known on the host, those that do not vary along an axis need only be kept once.
    return first if uniform and bool((sums == first).all()) else sums
