"""Transform Once with a U-Net for the coefficients."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kutta.operators.layers import orthonormal
from kutta.operators.operator import check_counts
from kutta.operators.transform_once.transform_once import TransformOnce, checked_modes
from kutta.operators.unet import UNet
from kutta.pde.grids.boundary import Dirichlet
from kutta.pde.grids.grid import Grid


class T1U(TransformOnce):
    """A U-Net that sees the coefficients of a field as an image.

        u = T^-1 U(T(a, x))

    with the transform ``T`` of `T1`. Coefficients that depend on their neighbours, as those of fields with fronts do,
    need far fewer weights so than with matrices for all pairs of waves. They are taken to vanish at the edges of it.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        modes: as of `T1`.
        width: of the U-Net.
        scales: likewise.
        groups: likewise.
        nonlinearity: likewise.
        keep_high: as of `T1`.

    Source: as of `T1`.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.T1U(1, 1, modes=(12, 16), width=8, scales=2)
        >>> model(torch.randn(2, 1, 32, 48), kt.pde.Grid((32, 48), boundary=kt.pde.Neumann())).shape
        torch.Size([2, 1, 32, 48])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int | Sequence[int]],
        width: int = 32,
        scales: int = 3,
        groups: int = 8,
        nonlinearity: str = "gelu",
        keep_high: bool = False,
    ):
        super().__init__()
        check_counts(in_channels=in_channels, out_channels=out_channels)
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, checked_modes(modes)
        self.dim, self.width, self.scales, self.groups = len(self.modes), width, scales, groups
        self.nonlinearity, self.keep_high = nonlinearity, self.checked_high(keep_high)
        self.image = Grid(orthonormal.counts(self.modes), boundary=Dirichlet())
        self.unet = UNet(in_channels + 1 + self.dim, out_channels, self.dim, width, scales, groups, nonlinearity)

    def mixed(self, c: Tensor) -> Tensor:
        return self.unet(c, self.image)
