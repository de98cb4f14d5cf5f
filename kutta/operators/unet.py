"""The U-Net: convolutions on coarser and coarser grids, and back with what each had seen."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from kutta.operators.layers.activation import activation
from kutta.operators.layers.convolution import Convolution, Prolongation, check_levels, coarsened, homogeneous
from kutta.operators.layers.pointwise import Linear
from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid


class UNet(Operator):
    """Convolutions on some scales, each with twice the channels of the next finer one.

        down     e_1 = D_1 a,  e_{l+1} = D_{l+1} S_l e_l         S of stride 2
        up       d_L = e_L,    d_l = U_l ( e_l, P_l d_{l+1} )    P transposed of stride 2, and half of the channels
        u        = Q d_1                                        pointwise

    where each ``D`` and each ``U`` is twice a convolution of three points an axis, normalisation of groups of channels
    and the activation. What lies beyond the sides, on all scales, is what their boundary conditions say.

    The weights serve grids of all sizes, and are right for the spacing they were trained with.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        dim: axes of the grid.
        width: channels on the finest grid.
        scales: how many grids there are.
        groups: of channels that are normalised together.
        nonlinearity: the name of the activation.

    Source: Ronneberger, Fischer, Brox, U-Net: convolutional networks for biomedical image segmentation, MICCAI 2015,
    arXiv 1505.04597; for differential equations, with this normalisation and activation, Gupta, Brandstetter, Towards
    multi-spatiotemporal-scale generalized PDE modeling, TMLR 2023, arXiv 2209.15616.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((24, 33), boundary=kt.pde.Dirichlet())
        >>> model = kt.operators.UNet(1, 1, width=8, scales=3)
        >>> model(torch.randn(2, 1, 24, 33), grid).shape
        torch.Size([2, 1, 24, 33])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        width: int = 32,
        scales: int = 4,
        groups: int = 8,
        nonlinearity: str = "gelu",
    ):
        super().__init__()
        check_counts(in_channels=in_channels, out_channels=out_channels, dim=dim, width=width, scales=scales)
        check_counts(groups=groups)
        if width % groups:
            raise ValueError(f"groups must divide the width, {width}; got {groups}")
        self.in_channels, self.out_channels, self.dim, self.width = in_channels, out_channels, dim, width
        self.scales, self.groups, self.nonlinearity = scales, groups, nonlinearity
        widths = [width * 2**level for level in range(scales)]
        options = (dim, groups, nonlinearity)
        self.down = nn.ModuleList(DoubleConvolution(*pair, *options) for pair in pairwise([in_channels, *widths]))
        self.restrictions = nn.ModuleList(Convolution(one, one, dim, stride=2) for one in widths[:-1])
        self.halving = nn.ModuleList(Linear(2 * one, one) for one in widths[:-1])
        self.prolongations = nn.ModuleList(Prolongation(one, dim) for one in widths[:-1])
        self.up = nn.ModuleList(DoubleConvolution(2 * one, one, *options) for one in widths[:-1])
        self.projection = Linear(width, out_channels)

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_levels(self.scales, grid, "scales")

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        return self.projection(self._seen(0, a, homogeneous(grid)))

    def _seen(self, level: int, v: Tensor, grid: Grid) -> Tensor:
        """What a scale and the coarser ones make of fields."""
        encoded = self.down[level](v, grid)
        if level == self.scales - 1:
            return encoded
        coarse = coarsened(grid)
        below = self._seen(level + 1, self.restrictions[level](encoded, grid), coarse)
        spread = self.prolongations[level](self.halving[level](below), coarse, grid)
        return self.up[level](torch.cat([encoded, spread], 1), grid)


class DoubleConvolution(nn.Module):
    """Twice a convolution, normalisation and the activation.

    Args:
        in_channels: of what comes in.
        out_channels: of what comes out.
        dim: axes of the grid.
        groups: of channels that are normalised together.
        nonlinearity: the name of the activation.
    """

    def __init__(self, in_channels: int, out_channels: int, dim: int, groups: int, nonlinearity: str):
        super().__init__()
        pairs = pairwise([in_channels, out_channels, out_channels])
        self.convolutions = nn.ModuleList(Convolution(*pair, dim) for pair in pairs)
        self.norms = nn.ModuleList(nn.GroupNorm(groups, out_channels) for _ in range(2))
        self.activation = activation(nonlinearity)

    def forward(self, v: Tensor, grid: Grid) -> Tensor:
        """Of fields on a grid without data at its sides."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            v = self.activation(norm(convolution(v, grid)))
        return v
