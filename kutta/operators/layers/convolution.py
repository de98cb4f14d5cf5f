"""Convolutions beyond whose sides lies what the boundary conditions say."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from kutta.pde.grids.boundary import without_data
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import pad

CONVOLUTIONS = (functional.conv1d, functional.conv2d, functional.conv3d)
TRANSPOSED = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)


def weights(out_channels: int, in_channels: int, dim: int, size: int, reach: int) -> nn.Parameter:
    """Weights of a convolution, uniform within ``1 / sqrt(reach)``, as PyTorch draws them.

    Args:
        out_channels: first axis.
        in_channels: second axis.
        dim: axes of space.
        size: of the kernel along each.
        reach: how many numbers each output is made of.
    """
    bound = 1.0 / math.sqrt(reach)
    return nn.Parameter(torch.empty(out_channels, in_channels, *[size] * dim).uniform_(-bound, bound))


def homogeneous(grid: Grid) -> Grid:
    """A grid with the same kinds of sides and nothing given at them."""
    return replace(grid, boundary=without_data(grid.boundary))


def coarsened(grid: Grid) -> Grid:
    """Every second point: ``n`` of ``2 n`` or of ``2 n - 1`` along each axis; of axes of few points, as many."""
    return replace(grid, shape=tuple(-(-count // 2) for count in grid.shape))


def check_levels(levels: int, grid: Grid, argument: str) -> None:
    """Refuse grids with too few points to be made coarser so often.

    Args:
        levels: how many grids there are, the finest and all coarser ones.
        grid: the finest.
        argument: of which there should be fewer.
    """
    for axis, (points, kind) in enumerate(zip(grid.shape, grid.centring, strict=True)):  # type: ignore[arg-type]
        least = 2**levels + 1 if kind == "node" else 2 ** (levels - 1)
        if points < least:
            raise ValueError(
                f"{levels} levels need at least {least} points along axis {axis}; the grid has {points}: "
                f"give fewer {argument}"
            )


class Convolution(nn.Module):
    """``u_o(x) = sum_i sum_s W_ois a_i(x + s) + b_o`` with ghost values beyond the sides.

    Args:
        in_channels: of ``a``.
        out_channels: of ``u``.
        dim: axes of the grid.
        size: of the kernel, odd.
        stride: points from one output to the next.
        bias: whether there is ``b``.
    """

    def __init__(
        self, in_channels: int, out_channels: int, dim: int, size: int = 3, stride: int = 1, bias: bool = False
    ):
        super().__init__()
        reach = in_channels * size**dim
        self.dim, self.ghosts, self.stride = dim, size // 2, stride
        self.weight = weights(out_channels, in_channels, dim, size, reach)
        bound = 1.0 / math.sqrt(reach)
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None

    def forward(self, a: Tensor, grid: Grid) -> Tensor:
        """Of fields on a grid without data at its sides; see `homogeneous`."""
        padded = pad(a, grid, self.ghosts)
        return CONVOLUTIONS[self.dim - 1](padded, self.weight, self.bias, self.stride)


class Prolongation(nn.Module):
    """From every second point to all of them, by transposed convolutions of stride 2.

    A kernel of 3 points along an axis serves ``2 n - 1`` points, where coarse points are fine ones, and one of 4 points
    serves ``2 n``.

    Args:
        channels: of the fields.
        dim: axes of the grid.
        size: of the kernel: 4, or 3 for grids that are odd along all axes.
    """

    def __init__(self, channels: int, dim: int, size: int = 4):
        super().__init__()
        self.dim, self.size = dim, size
        self.weight = weights(channels, channels, dim, size, channels * size**dim)

    def forward(self, u: Tensor, coarse: Grid, fine: Grid) -> Tensor:
        """Fields on the fine grid."""
        padded = pad(u, coarse, 1)
        # Coarse point i reaches the fine points from 2 i - 1 on, and the first ghost is i = -1.
        spread = TRANSPOSED[self.dim - 1](padded, self.weight, stride=2)
        for axis, count in enumerate(fine.shape):
            spread = spread.narrow(axis + 2, 3, count)
        return spread
