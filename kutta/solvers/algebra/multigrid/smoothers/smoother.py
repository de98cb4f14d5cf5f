"""What every smoother is: corrections ``u <- u + M_k (f - K u)`` that take away what a coarser grid cannot show."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kutta.solvers.algebra.multigrid.network import Network, Stencil
from kutta.solvers.algebra.multigrid.slices import accumulate_

# ``step(u, r)`` adds ``M r`` to ``u`` in place.
Step = Callable[[Tensor, Tensor], object]


class Smoother:
    """A frozen dataclass of options. A sweep takes its corrections one after the other, each with a new residual."""

    def check(self, network: Network) -> None:
        """Refuse a network that this smoother is not made for."""

    def steps(self, stencil: Stencil) -> Sequence[Step]:
        """The corrections of one sweep, made ready for a level; in reverse they are those of the transposed sweep."""
        raise NotImplementedError


def scaled_by(factor: Tensor) -> Step:
    """``u <- u + factor r`` with a factor for each point."""
    return lambda u, r: accumulate_(u, factor, r)


def checkered(stencil: Stencil, axes: Sequence[int]) -> Tensor:
    """Whether the sum of the places along some axes is even, as a tensor that broadcasts with states."""
    shape = stencil.network.shape
    places = torch.zeros([1] * len(shape), dtype=torch.int64, device=stencil.diagonal.device)
    for axis in axes:
        count = torch.arange(shape[axis], device=places.device)
        places = places + count.reshape(-1, *[1] * (-axis - 1))
    return places % 2 == 0
