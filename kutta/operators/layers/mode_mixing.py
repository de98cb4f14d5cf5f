"""Layers that act on the coefficients of fields: between channels, and between the waves along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ChannelMixing(nn.Module):
    """``u_o(k) = sum_i w_io(k) z_i(k)``, with a matrix for each kept wave ``k``.

    What truncates keeps only a part of the variance of a field, and weights of the variance ``1 / (part in_channels)``
    restore it: of white noise that is the number of kept waves by the number of points. After that fields have nothing
    but kept waves, and the part is 1: with that of white noise in every layer, the variance grows by its inverse in
    each.

    Args:
        in_channels: of ``z``.
        out_channels: of ``u``.
        counts: kept waves along each axis.
        part: of the variance, that the kept waves have before this layer.
    """

    def __init__(self, in_channels: int, out_channels: int, counts: Sequence[int], part: float = 1.0):
        super().__init__()
        deviation = math.sqrt(1.0 / (part * in_channels))
        self.weight = nn.Parameter(deviation * torch.randn(math.prod(counts), in_channels, out_channels))

    def forward(self, z: Tensor) -> Tensor:
        """``(n, i, *counts) -> (n, o, *counts)``."""
        return torch.bmm(z.flatten(2).permute(2, 0, 1), self.weight).permute(1, 2, 0).unflatten(2, z.shape[2:])


class WaveMixing(nn.Module):
    """``u_c(.., l, ..) = sum_k w_ckl z_c(.., k, ..)`` along one axis after the other, with a matrix for each channel.

    Args:
        channels: of ``z`` and ``u``.
        counts: kept waves along each axis.
    """

    def __init__(self, channels: int, counts: Sequence[int]):
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(channels, count, count) / math.sqrt(count) for count in counts)

    def forward(self, z: Tensor) -> Tensor:
        """``(n, c, *counts)`` to as much."""
        for axis, weight in enumerate(self.weights, 2):
            lines = z.movedim((1, axis), (0, -1))
            mixed = torch.bmm(lines.flatten(1, -2), weight)
            z = mixed.unflatten(1, lines.shape[1:-1]).movedim((0, -1), (1, axis))
        return z
