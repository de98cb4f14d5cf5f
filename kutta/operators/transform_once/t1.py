"""Transform Once, ``z <- z + X_d .. X_1 s(W z)`` for the coefficients of fields."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kutta.operators.layers import orthonormal
from kutta.operators.layers.activation import activation
from kutta.operators.layers.mode_mixing import ChannelMixing, WaveMixing
from kutta.operators.layers.pointwise import Linear, Pointwise
from kutta.operators.operator import check_counts
from kutta.operators.transform_once.transform_once import TransformOnce, checked_modes, places_on
from kutta.pde.grids.grid import Grid


class T1(TransformOnce):
    """Layers that act on the coefficients of a field, so that there is one transform in all and not two a layer.

        z_0     = P T(a, x)                                    pointwise and linear
        z_{l+1} = z_l + X_d .. X_1 s( W_l(k) z_l(k) )          W between channels, X_j between the waves along axis j
        u       = T^-1 Q(z_L)                                  pointwise, with a sine within

    ``T`` is orthonormal: cosines where slopes vanish at both sides of an axis, sines for cells between values that do,
    and waves of both kinds around periodic axes. So what `spectrum` and `target` differ by has the norm of what fields
    do, and training needs no inverse.

    The last weights start so small that all of ``u`` is about zero.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        modes: for each axis how many of its lowest waves are kept, or their numbers, such as `select_modes` finds. Only
            cosines and sines of periodic axes share a wave number, and count as two.
        width: channels of ``z``.
        layers: how many.
        head: channels within ``Q``.
        nonlinearity: the name of ``s``.
        kept: the part of the variance of the lifted fields that kept waves have, which the weights of the first layer
            make up for. Of smooth fields it is about 1, of white noise kept waves by points; `calibrate` measures it.
        keep_high: whether all other waves of ``a`` go to ``u`` as they are, which needs as many fields.

    Source: Poli, Massaroli, Berto, Park, Dao, Ré, Ermon, Transform once: efficient operator learning in frequency
    domain, NeurIPS 2022, arXiv 2211.14453.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((32, 48), boundary=kt.pde.Neumann())
        >>> model = kt.operators.T1(1, 1, modes=(12, 16), width=8, layers=2)
        >>> a, u = torch.randn(2, 2, 1, 32, 48)
        >>> model(a, grid).shape, model.spectrum(a, grid).shape
        (torch.Size([2, 1, 32, 48]), torch.Size([2, 1, 12, 16]))
        >>> loss = (model.spectrum(a, grid) - model.target(u, grid)).square().mean()
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int | Sequence[int]],
        width: int = 48,
        layers: int = 8,
        head: int = 128,
        nonlinearity: str = "gelu",
        kept: float = 1.0,
        keep_high: bool = False,
    ):
        super().__init__()
        check_counts(in_channels=in_channels, out_channels=out_channels, width=width, layers=layers, head=head)
        if not 0.0 < kept <= 1.0:
            raise ValueError(f"kept must be a part of the variance, above 0 and at most 1; got {kept!r}")
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, checked_modes(modes)
        self.dim, self.width, self.layers, self.head = len(self.modes), width, layers, head
        self.nonlinearity, self.kept, self.keep_high = nonlinearity, kept, self.checked_high(keep_high)
        self.activation, counts = activation(nonlinearity), orthonormal.counts(self.modes)
        self.lifting = Linear(in_channels + self.dim + 1, width, bias=False)
        parts = [kept, *[1.0] * (layers - 1)]
        self.channels = nn.ModuleList(ChannelMixing(width, width, counts, part) for part in parts)
        self.waves = nn.ModuleList(WaveMixing(width, counts) for _ in range(layers))
        self.projection = Pointwise((width, head, out_channels), "sin")
        for parameter in self.projection.layers[-1].parameters():
            nn.init.normal_(parameter, std=1e-8)

    def mixed(self, c: Tensor) -> Tensor:
        z = self.lifting(c)
        for channels, waves in zip(self.channels, self.waves, strict=True):
            z = z + waves(self.activation(channels(z)))
        return self.projection(z)

    @torch.no_grad()
    def calibrate(self, a: Tensor, grid: Grid) -> float:
        """Measure `kept` of a batch, and scale the weights of the first layer accordingly; before training.

        Args:
            a: fields as they come in training.
            grid: that they live on.

        Returns:
            the part of the sum of squares of lifted fields that kept waves have.
        """
        self.check(a, grid)
        places = places_on(grid, a)
        lifted = self.lifting(torch.cat([a, places.expand(len(a), *places.shape[1:])], 1))
        kept = self.lifting(self.coefficients(a, grid)).square().sum() / lifted.square().sum()
        measured = min(float(kept), 1.0)
        self.channels[0].weight.mul_((self.kept / measured) ** 0.5)  # type: ignore[operator, union-attr]
        self.kept = measured
        return measured
