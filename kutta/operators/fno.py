"""The Fourier neural operator, ``v <- s(W v + b + F^-1(R . F v))``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kutta.operators.continued_operator import ContinuedOperator
from kutta.operators.layers.activation import activation
from kutta.operators.layers.channel_mixing import ChannelMixing
from kutta.operators.layers.continuation import check_padding
from kutta.operators.layers.pointwise import Linear, Pointwise
from kutta.operators.layers.spectral import SpectralConvolution
from kutta.operators.operator import check_counts


class FNO(ContinuedOperator):
    """Fields that pass through layers which see all of space at once, by their waves.

        v_0     = P(a, x)                                      pointwise, with the coordinates as further channels
        v_{l+1} = s( W_l v_l + b_l + F^-1( R_l(k) F v_l ) )    few waves; ``s`` not after the last layer
        u       = Q(v_L)                                       pointwise

    With `mixing`, a perceptron at each point follows each of these layers, ``v_{l+1} <- s( M_l v_{l+1} + g_l v_l )``,
    which costs few weights: it lowers the error for materials that jump, and not that of Burgers' equation.

    The same weights serve grids of all sizes: coefficients are those of functions, not of arrays.

    Along axes that do not wrap around, fields are continued by zeros before the first layer, and cut off after the
    last one, so that what leaves at one side does not come in at the other.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        modes: waves that are kept along each axis, both signs counted (neuraloperator counts so, too; the code of the
            paper counted one sign); an entry for each axis.
        width: channels of ``v``.
        layers: how many.
        lift: channels within ``P``.
        project: channels within ``Q``.
        nonlinearity: the name of ``s``.
        padding: by how much of itself an axis that does not wrap around is continued.
        coordinates: whether ``P`` sees them. Without, on a periodic grid, shifts of ``a`` shift ``u``.
        mixing: channels within ``M``; by default 0, which leaves it out, as published.

    Source: Li, Kovachki, Azizzadenesheli, Liu, Bhattacharya, Stuart, Anandkumar, Fourier neural operator for
    parametric partial differential equations, ICLR 2021, arXiv 2010.08895.

    Example:
        >>> import torch, kutta as kt
        >>> model = kt.operators.FNO(1, 1, modes=(12, 12), width=8)
        >>> model(torch.randn(2, 1, 32, 48), kt.pde.Grid((32, 48))).shape
        torch.Size([2, 1, 32, 48])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        width: int = 32,
        layers: int = 4,
        lift: int = 128,
        project: int = 128,
        nonlinearity: str = "gelu",
        padding: float = 0.125,
        coordinates: bool = True,
        mixing: int = 0,
    ):
        super().__init__()
        modes = tuple(modes)
        check_counts(in_channels=in_channels, out_channels=out_channels, width=width, layers=layers)
        check_counts(lift=lift, project=project, **{f"modes[{axis}]": count for axis, count in enumerate(modes)})
        check_padding(padding)
        if mixing != 0:
            check_counts(mixing=mixing)
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, len(modes)
        self.modes, self.width, self.layers, self.lift, self.project = modes, width, layers, lift, project
        self.nonlinearity, self.padding, self.coordinates, self.mixing = nonlinearity, padding, coordinates, mixing
        self.activation = activation(nonlinearity)
        self.lifting = Pointwise((in_channels + self.dim * coordinates, lift, width), nonlinearity)
        self.spectral = nn.ModuleList(SpectralConvolution(width, width, modes) for _ in range(layers))
        self.pointwise = nn.ModuleList(Linear(width, width) for _ in range(layers))
        self.projection = Pointwise((width, project, out_channels), nonlinearity)
        mixers = (ChannelMixing(width, mixing, nonlinearity) for _ in range(layers if mixing else 0))
        self.mixers = nn.ModuleList(mixers)

    def layered(self, v: Tensor) -> Tensor:
        for number, (spectral, pointwise) in enumerate(zip(self.spectral, self.pointwise, strict=True)):
            before, v = v, self._activated(pointwise(v) + spectral(v), number)
            if self.mixing:
                v = self._activated(self.mixers[number](v, before), number)
        return v

    def _activated(self, v: Tensor, number: int) -> Tensor:
        """After all layers but the last."""
        return self.activation(v) if number < self.layers - 1 else v
