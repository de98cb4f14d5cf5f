"""The factorised Fourier neural operator: waves along one axis at a time."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kutta.operators.continued_operator import ContinuedOperator
from kutta.operators.layers.activation import activation
from kutta.operators.layers.continuation import check_padding
from kutta.operators.layers.pointwise import Linear, Pointwise
from kutta.operators.layers.spectral import SpectralConvolution
from kutta.operators.operator import check_counts


class FactorisedFNO(ContinuedOperator):
    """An `FNO` whose waves run along the axes, so that weights grow with their sum and not with their product.

        v_0     = P(a, x)                                            pointwise and linear
        v_{l+1} = v_l + s( W_l s( V_l sum_j F_j^-1 R_lj(k) F_j v_l + b_l ) + c_l )
        u       = Q(v_L)                                             pointwise

    with the transform ``F_j`` along axis ``j`` alone. What a layer adds stands outside of the activation, so that many
    layers can be trained: the paper has up to 24 of them.

    The same weights serve grids of all sizes, and axes that do not wrap around are continued, both as in `FNO`.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        modes: waves that are kept along each axis, both signs counted; an entry for each axis.
        width: channels of ``v``.
        layers: how many.
        factor: how many times ``width`` there are between ``V`` and ``W``.
        project: channels within ``Q``.
        nonlinearity: the name of ``s``.
        padding: by how much of itself an axis that does not wrap around is continued.
        coordinates: whether ``P`` sees them. Without, on a periodic grid, shifts of ``a`` shift ``u``.

    Source: Tran, Mathews, Xie, Ong, Factorized Fourier neural operators, ICLR 2023, arXiv 2111.13802.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.FactorisedFNO(1, 1, modes=(12, 12), width=8, layers=2)
        >>> model(torch.randn(2, 1, 32, 48), kt.pde.Grid((32, 48))).shape
        torch.Size([2, 1, 32, 48])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        width: int = 64,
        layers: int = 24,
        factor: int = 4,
        project: int = 128,
        nonlinearity: str = "gelu",
        padding: float = 0.125,
        coordinates: bool = True,
    ):
        super().__init__()
        modes = tuple(modes)
        check_counts(in_channels=in_channels, out_channels=out_channels, width=width, layers=layers, factor=factor)
        check_counts(project=project, **{f"modes[{axis}]": count for axis, count in enumerate(modes)})
        check_padding(padding)
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, len(modes)
        self.modes, self.width, self.layers, self.factor, self.project = modes, width, layers, factor, project
        self.nonlinearity, self.padding, self.coordinates = nonlinearity, padding, coordinates
        self.activation = activation(nonlinearity)
        self.lifting = Linear(in_channels + self.dim * coordinates, width)
        self.spectral = nn.ModuleList(AxesConvolution(width, modes) for _ in range(layers))
        self.forwards = nn.ModuleList(Pointwise((width, factor * width, width), nonlinearity) for _ in range(layers))
        self.projection = Pointwise((width, project, out_channels), nonlinearity)

    def layered(self, v: Tensor) -> Tensor:
        for spectral, forward in zip(self.spectral, self.forwards, strict=True):
            v = v + self.activation(forward(spectral(v)))
        return v


class AxesConvolution(nn.Module):
    """``sum_j F_j^-1 R_j(k) F_j v``, each transform along one axis.

    Args:
        width: channels of ``v``.
        modes: waves that are kept along each axis, both signs counted.
    """

    def __init__(self, width: int, modes: Sequence[int]):
        super().__init__()
        self.axes = nn.ModuleList(SpectralConvolution(width, width, (count,)) for count in modes)

    def forward(self, v: Tensor) -> Tensor:
        """``(n, width, *shape)`` to as much."""
        parts = []
        for axis, convolution in enumerate(self.axes, 2):
            # (n, c, ..., N, ...) -> (lines, c, N)
            lines = v.movedim((1, axis), (-2, -1))
            mixed = convolution(lines.flatten(0, -3)).unflatten(0, lines.shape[:-2])
            parts.append(mixed.movedim((-2, -1), (1, axis)))
        return sum(parts[1:], parts[0])
