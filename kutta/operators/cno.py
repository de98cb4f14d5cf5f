"""The convolutional neural operator: activations between filters, so that no wave is taken for another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from kutta.operators.layers.activation import activation
from kutta.operators.layers.convolution import Convolution, check_levels, coarsened, homogeneous
from kutta.operators.layers.pointwise import Linear
from kutta.operators.layers.resampling import refined, resampled
from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid


class CNO(Operator):
    """Convolutions between which fields stay functions, that is, sums of waves that their grids can show.

        down     e_1 = S K a,  e_{l+1} = S_{l,l+1} K e_l             twice the channels on every second point
        aside    r_l = R .. R e_l,  R v = v + K S K v                 residual blocks, more of them on the coarsest grid
        up       d_L = r_L,  d_l = S K ( r_l, S_{l+1,l} K d_{l+1} )
        u        = Q d_1                                             pointwise

    with convolutions ``K`` of three points an axis and ``S v`` an activation that makes no wave look like another one:
    to twice the points by a filter, the activation, and by a filter to the points of the grid where it goes.
    Activations alone make waves that a grid cannot show, and then it matters where the points happen to lie.

    The network computes on the grid of training; fields on other ones are brought there, and back, by the same filters.
    So it is the same function on all grids, as far as the grid of training shows their fields.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        shape: points along each axis of the grid of training.
        width: channels on the finest grid.
        scales: how many grids there are.
        blocks: residual blocks on each.
        bottleneck: residual blocks on the coarsest.
        nonlinearity: the name of the activation.

    Source: Raonić, Molinaro, De Ryck, Rohner, Bartolucci, Alaifari, Mishra, de Bézenac, Convolutional neural operators
    for robust and accurate learning of PDEs, NeurIPS 2023, arXiv 2302.01178.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.CNO(1, 1, shape=(24, 32), width=4, scales=2, blocks=1)
        >>> model(torch.randn(2, 1, 24, 32), kt.pde.Grid((24, 32))).shape
        torch.Size([2, 1, 24, 32])
        >>> model(torch.randn(2, 1, 48, 64), kt.pde.Grid((48, 64))).shape
        torch.Size([2, 1, 48, 64])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        width: int = 16,
        scales: int = 3,
        blocks: int = 4,
        bottleneck: int = 4,
        nonlinearity: str = "gelu",
    ):
        super().__init__()
        shape = tuple(shape)
        check_counts(in_channels=in_channels, out_channels=out_channels, width=width, scales=scales, blocks=blocks)
        check_counts(bottleneck=bottleneck, **{f"shape[{axis}]": count for axis, count in enumerate(shape)})
        self.in_channels, self.out_channels, self.shape, self.dim = in_channels, out_channels, shape, len(shape)
        self.width, self.scales, self.blocks, self.bottleneck = width, scales, blocks, bottleneck
        self.nonlinearity = nonlinearity
        widths, options = [width * 2**level for level in range(scales)], (len(shape), nonlinearity)
        pairs = list(pairwise(widths))
        counts = [*[blocks] * (scales - 1), bottleneck]
        self.lifting = FilteredConvolution(in_channels, width, *options)
        self.down = nn.ModuleList(FilteredConvolution(fine, coarse, *options) for fine, coarse in pairs)
        self.aside = nn.ModuleList(
            nn.ModuleList(ResidualBlock(channels, *options) for _ in range(count))
            for channels, count in zip(widths, counts, strict=True)
        )
        self.up = nn.ModuleList(FilteredConvolution(coarse, fine, *options) for fine, coarse in pairs)
        self.joining = nn.ModuleList(FilteredConvolution(2 * fine, fine, *options) for fine, _ in pairs)
        self.projection = Linear(width, out_channels)

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_levels(self.scales, replace(grid, shape=self.shape), "scales")

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        grid = homogeneous(grid)
        own = replace(grid, shape=self.shape)
        lifted = self.lifting(resampled(a, grid, own.shape), own, own)
        return resampled(self.projection(self._seen(0, lifted, own)), own, grid.shape)

    def _seen(self, level: int, encoded: Tensor, grid: Grid) -> Tensor:
        """What a scale and the coarser ones make of fields."""
        v = encoded
        for block in self.aside[level]:  # type: ignore[union-attr]
            v = block(v, grid)
        if level == self.scales - 1:
            return v
        coarse = coarsened(grid)
        below = self._seen(level + 1, self.down[level](encoded, grid, coarse), coarse)
        spread = self.up[level](below, coarse, grid)
        return self.joining[level](torch.cat([v, spread], 1), grid, grid)


class FilteredConvolution(nn.Module):
    """A convolution, and the activation on twice as many points, with filters before and behind it.

    Args:
        in_channels: of what comes in.
        out_channels: of what comes out.
        dim: axes of the grid.
        nonlinearity: the name of the activation.
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, nonlinearity: str):
        super().__init__()
        self.convolution = Convolution(in_channels, out_channels, dim, bias=True)
        self.activation = activation(nonlinearity)

    def forward(self, v: Tensor, grid: Grid, behind: Grid) -> Tensor:
        """From fields on a grid without data at its sides to fields on another one."""
        fine = refined(grid)
        active = self.activation(resampled(self.convolution(v, grid), grid, fine.shape))
        return resampled(active, fine, behind.shape)


class ResidualBlock(nn.Module):
    """``v + K S K v``.

    Args:
        channels: of ``v``.
        dim: axes of the grid.
        nonlinearity: the name of the activation.
    """

    def __init__(self, channels: int, dim: int, nonlinearity: str):
        super().__init__()
        self.first = FilteredConvolution(channels, channels, dim, nonlinearity)
        self.second = Convolution(channels, channels, dim, bias=True)

    def forward(self, v: Tensor, grid: Grid) -> Tensor:
        """Of fields on a grid without data at its sides."""
        return v + self.second(self.first(v, grid, grid), grid)
