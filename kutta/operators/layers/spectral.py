"""Convolutions with kernels of few waves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kutta.operators.layers import fourier


class SpectralConvolution(nn.Module):
    """``u^_o(k) = sum_i R_io(k) a^_i(k)`` for the kept waves ``k``, and zero for all others.

    Weights are complex numbers as pairs of real ones, so that optimisers, mixed precision and compilers have nothing
    but real tensors before them.

    Of white noise, fields of uncorrelated values, a share ``M / N`` is in the kept waves. What comes out of one layer
    has all of it there. Real and imaginary parts of weights are drawn with the variance ``1 / (2 in_channels)``, which
    keeps the variance of fields that are made of kept waves.

    Args:
        in_channels: of ``a``.
        out_channels: of ``u``.
        modes: how many waves are kept along each axis, both signs counted.
    """

    def __init__(self, in_channels: int, out_channels: int, modes: Sequence[int]):
        super().__init__()
        self.in_channels, self.out_channels, self.modes = in_channels, out_channels, tuple(modes)
        count = math.prod(fourier.kept(self.modes))
        scale = math.sqrt(0.5 / in_channels)
        self.weight = nn.Parameter(scale * torch.randn(2, count, in_channels, out_channels))

    def forward(self, a: Tensor) -> Tensor:
        """``(n, i, *shape) -> (n, o, *shape)``; what lies beyond the sides continues periodically."""
        shape = a.shape[2:]
        coefficients = fourier.forward(a, self.modes)
        # (n, i, 2, *kept) -> (2, waves, n, i), one product of matrices for each wave.
        real, imaginary = coefficients.flatten(3).permute(2, 3, 0, 1)
        with_real, with_imaginary = self.weight.to(coefficients.dtype)
        products = torch.stack(
            [
                torch.baddbmm(torch.bmm(real, with_real), imaginary, with_imaginary, alpha=-1.0),
                torch.baddbmm(torch.bmm(real, with_imaginary), imaginary, with_real),
            ]
        )
        mixed = products.permute(2, 3, 0, 1).unflatten(3, fourier.kept(self.modes))
        return fourier.backward(mixed, self.modes, shape).to(a.dtype)
