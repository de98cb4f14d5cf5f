"""Cycles through the levels, and full multigrid, which begins at the coarsest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.multigrid.hierarchy import Hierarchy

# What a cycle does on the next coarser level, one after the other.
SHAPES = {"V": "V", "W": "WW", "F": "FV"}


@dataclass(frozen=True)
class Cycles:
    """Cycles of one hierarchy.

    Attributes:
        hierarchy: the levels.
        shape: ``"V"``, ``"W"`` or ``"F"``.
        pre: sweeps before the coarser grid.
        post: sweeps after it.
        mirrored: whether those are of the transposed smoother, which makes V and W cycles symmetric when there are as
            many of them. For red and black points that converges more slowly, unless conjugate gradients help.
    """

    hierarchy: Hierarchy
    shape: str
    pre: int
    post: int
    mirrored: bool

    def cycle_(self, u: Tensor, f: Tensor, zero: bool = False) -> None:
        """One cycle on the finest grid, for ``K u = f``; `zero` says that ``u`` is zero before."""
        self._cycle_(0, self.shape, u, f, zero)

    def residual(self, u: Tensor, f: Tensor) -> Tensor:
        """``f - K u`` on the finest grid, until that is used again."""
        return self.hierarchy.levels[0].residual(u, f)

    def first_guess(self, f: Tensor) -> Tensor:
        """Full multigrid: the coarsest solution, and a cycle on each finer grid, which begins where that ended."""
        levels, rights = self.hierarchy.levels[:-1], [f]
        for level in levels:
            rights.append(level.restricted(rights[-1]))
        u = self.hierarchy.coarsest(rights.pop())
        for number in reversed(range(len(levels))):
            f = rights.pop()
            finer = torch.zeros_like(f)
            levels[number].add_interpolated_(finer, u)
            self._cycle_(number, self.shape, finer, f, False)
            u = finer
        return u

    def _cycle_(self, number: int, shape: str, u: Tensor, f: Tensor, zero: bool) -> None:
        if number == len(self.hierarchy.levels) - 1:
            u.copy_(self.hierarchy.coarsest(f))
            return
        level = self.hierarchy.levels[number]
        level.smooth_(u, f, self.pre, zero=zero)
        residual = f if zero and not self.pre else level.residual(u, f)
        coarse_f = level.restricted(residual)
        coarse_u = torch.zeros_like(coarse_f)
        for again, one in enumerate(SHAPES[shape]):
            self._cycle_(number + 1, one, coarse_u, coarse_f, again == 0)
        level.add_interpolated_(u, coarse_u)
        level.smooth_(u, f, self.post, back=self.mirrored)
