"""A multigrid cycle whose smoothers, operators and transfers are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from kutta.operators.layers.convolution import Convolution, Prolongation, coarsened, homogeneous
from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float


class Sweeps(nn.Module):
    """``u <- u + S_i (f - A_i u)`` for ``i = 1, 2, ...``, each with weights of its own.

    Args:
        count: how many.
        channels: of ``f`` and of ``u``.
        dim: axes of the grid.
        from_zero: whether the first one starts from ``u = 0``, which needs no ``A``.
    """

    def __init__(self, count: int, channels: tuple[int, int], dim: int, from_zero: bool = False):
        super().__init__()
        of_f, of_u = channels
        self.smoothers = nn.ModuleList(Convolution(of_f, of_u, dim) for _ in range(count))
        self.operators = nn.ModuleList(Convolution(of_u, of_f, dim) for _ in range(count - from_zero))
        self.from_zero = from_zero

    def forward(self, u: Tensor | None, f: Tensor, grid: Grid) -> Tensor:
        """The iterate after all of them."""
        smoothers, operators = list(self.smoothers), list(self.operators)
        swept = smoothers.pop(0)(f, grid) if self.from_zero else u
        for smoother, operator in zip(smoothers, operators, strict=True):
            swept = swept + smoother(f - operator(swept, grid), grid)
        return swept  # type: ignore[return-value]


class MultigridCycle(nn.Module):
    """``u = V f``, linear in ``f``: sweeps on finer and finer grids, each helped by the next coarser one.

        level 1       u = S f, and further sweeps          u <- u + S (f - A u)
        down          f_c = R f,  u_c = Pi u               or, with true residuals, f_c = R (f - A u)
        up            u <- u + P u_c                       and sweeps after it

    Whether coarse grids see ``f`` or its residual makes little difference when all is learned. With the weights of
    classical multigrid it has to be the residual, and ``Pi`` zero; then this is its V-cycle.

    Args:
        in_channels: of ``f``.
        out_channels: of ``u``.
        dim: axes of the grid.
        sweeps: before going down, of each level, the finest first; of the coarsest, all.
        after: sweeps on the way up, of each level but the coarsest; by default none.
        true_residual: what coarse grids see.
        kernel: points of the prolongation along an axis: 4, or 3 where fine grids have ``2 n - 1`` points for ``n``.
        groups: of channels that are normalised together after each correction, which is linear no more; by default 0
            for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int,
        sweeps: Sequence[int],
        after: Sequence[int] = (),
        true_residual: bool = False,
        kernel: int = 4,
        groups: int = 0,
    ):
        super().__init__()
        channels, below = (in_channels, out_channels), range(len(sweeps) - 1)
        after = tuple(after) or (0,) * len(below)
        self.levels, self.true_residual = len(sweeps), true_residual
        self.before = nn.ModuleList(Sweeps(count, channels, dim, level == 0) for level, count in enumerate(sweeps))
        self.after = nn.ModuleList(Sweeps(count, channels, dim) for count in after)
        self.operators = nn.ModuleList(
            Convolution(out_channels, in_channels, dim) for _ in (below if true_residual else ())
        )
        self.restrictions = nn.ModuleList(Convolution(in_channels, in_channels, dim, stride=2) for _ in below)
        self.injections = nn.ModuleList(Convolution(out_channels, out_channels, dim, stride=2) for _ in below)
        self.prolongations = nn.ModuleList(Prolongation(out_channels, dim, kernel) for _ in below)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, out_channels) if groups else nn.Identity() for _ in below)

    def forward(self, f: Float[Tensor, "n f *shape"], grid: Grid) -> Float[Tensor, "n u *shape"]:
        """``V f`` on a grid; of what is given at its sides only the kind counts."""
        return self._solve(0, None, f, homogeneous(grid))

    def _solve(self, level: int, u: Tensor | None, f: Tensor, grid: Grid) -> Tensor:
        """What a level and those below make of an iterate."""
        swept: Tensor = self.before[level](u, f, grid)
        if level == self.levels - 1:
            return swept
        residual = f - self.operators[level](swept, grid) if self.true_residual else f
        coarse = coarsened(grid)
        correction = self._solve(
            level + 1, self.injections[level](swept, grid), self.restrictions[level](residual, grid), coarse
        )
        corrected = self.norms[level](swept + self.prolongations[level](correction, coarse, grid))
        return self.after[level](corrected, f, grid)
