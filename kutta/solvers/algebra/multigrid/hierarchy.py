"""The levels of multigrid: ever coarser networks with their smoothers, and a matrix at the end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kutta.autodiff import read, under_transform
from kutta.solvers.algebra.multigrid.coarsening import coarsened
from kutta.solvers.algebra.multigrid.network import Network, Stencil
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother, Step
from kutta.solvers.algebra.multigrid.transfer import Transfer

# Networks of so many points are solved by a matrix.
COARSEST = 64
# An axis stays as it is while couplings along another one are so many times as strong.
ANISOTROPY = 2.0
# Axes of fewer points stay as they are.
FEWEST = 4


class Level:
    """One grid.

    Attributes:
        stencil: its operator.
        steps: one sweep of the smoother.
        transfers: along one axis after the other to the next coarser grid; none at the coarsest.
    """

    def __init__(self, stencil: Stencil, steps: Sequence[Step] = (), transfers: Sequence[Transfer] = ()):
        self.stencil, self.steps, self.transfers = stencil, steps, transfers
        self._kept: dict[str, Tensor] = {}

    def space(self, name: str, like: Tensor) -> Tensor:
        """Memory for a field such as `like`, the same at every call: fresh memory costs more than a sweep."""
        kept = self._kept.get(name)
        if under_transform() or kept is None or (kept.shape, kept.dtype) != (like.shape, like.dtype):
            kept = torch.empty_like(like, memory_format=torch.contiguous_format)
            if not under_transform():
                self._kept[name] = kept
        return kept

    def residual(self, u: Tensor, f: Tensor) -> Tensor:
        """``f - K u``, until the next one."""
        return self.stencil.residual(f, u, self.space("residual", f))

    def smooth_(self, u: Tensor, f: Tensor, sweeps: int, back: bool = False, zero: bool = False) -> None:
        """Sweeps, or such of the transposed smoother; `zero` says that ``u`` is zero before."""
        for step in [*(reversed(self.steps) if back else self.steps)] * sweeps:
            step(u, f if zero else self.residual(u, f))
            zero = False

    def restricted(self, fine: Tensor) -> Tensor:
        """A right-hand side or a residual on the next coarser grid."""
        for transfer in self.transfers:
            fine = transfer.restricted(fine)
        return fine

    def add_interpolated_(self, u: Tensor, coarse: Tensor) -> None:
        """``u += P coarse``."""
        shapes = [u.shape]
        for transfer in self.transfers[:-1]:
            shape = list(shapes[-1])
            shape[transfer.axis] = transfer.coarse
            shapes.append(torch.Size(shape))
        for transfer, shape in zip(self.transfers[:0:-1], shapes[:0:-1], strict=True):
            coarse = transfer.interpolate_(coarse.new_zeros(shape), coarse)
        self.transfers[0].interpolate_(u, coarse)


class Hierarchy:
    """All levels of a network, the finest first.

    Attributes:
        levels: all of them.
        inverse: of the coarsest, ``(*batch, n, n)``.
    """

    def __init__(self, network: Network, smoother: Smoother, like: Tensor):
        self.levels: list[Level] = []
        strengths = _strengths(network)
        while network.shape.numel() > COARSEST and (axes := _strong(network.shape, strengths)):
            stencil = Stencil(network, like)
            uniform, transfers = network.uniform, []
            for axis in axes:
                network, transfer = coarsened(network, axis)
                transfers.append(transfer.at_work(uniform, like))
                strengths = [2.0 * s if one != axis else 0.5 * s for one, s in enumerate(strengths)]
            self.levels.append(Level(stencil, smoother.steps(stencil), transfers))
        self.levels.append(Level(Stencil(network, like)))
        self.inverse = _inverse(self.levels[-1].stencil, network.singular)

    def coarsest(self, f: Tensor) -> Tensor:
        """The solution on the coarsest grid."""
        flat = f.flatten(f.dim() - len(self.levels[-1].stencil.network.shape))
        return (self.inverse @ flat.unsqueeze(-1)).squeeze(-1).reshape(f.shape)


def _strengths(network: Network) -> list[float]:
    """The mean conductance along each axis: the one read from the device."""
    means = [chain.links.detach().mean() for chain in network.chains]
    return [abs(mean) for mean in read(torch.stack(means))]


def _strong(shape: torch.Size, strengths: list[float]) -> list[int]:
    """The axes to coarsen: those with strong couplings and enough points."""
    able = [axis for axis, count in enumerate(shape) if count >= FEWEST]
    most = max((strengths[axis] for axis in able), default=0.0)
    return [axis for axis in able if ANISOTROPY * strengths[axis] >= most]


def _inverse(stencil: Stencil, singular: bool) -> Tensor:
    """The inverse as a matrix; where constants are in the null space, of the others."""
    shape = stencil.network.shape
    n, like = shape.numel(), stencil.diagonal
    units = torch.eye(n, dtype=like.dtype, device=like.device).reshape(n, *[1] * (like.dim() - len(shape)), *shape)
    rows = stencil.apply(units).reshape(n, *like.shape[: like.dim() - len(shape)], n)
    matrix = rows.movedim(0, -2)
    if singular:
        matrix = matrix + like.mean() / n
    return torch.linalg.inv_ex(matrix)[0]
