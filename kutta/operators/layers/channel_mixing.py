"""A network that mixes channels at each point, beside which the field itself goes on."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kutta.operators.layers.pointwise import Pointwise


class ChannelMixing(nn.Module):
    """``M(v) + g v_before`` with a perceptron ``M`` and a number ``g`` for each channel, 1 at first.

    Args:
        width: channels of ``v``.
        between: channels within ``M``.
        nonlinearity: the name of its activation.

    Source: Tran, Mathews, Xie, Ong, Factorized Fourier neural operators, 2023, for the perceptron; Kossaifi et al., A
    library for learning neural operators, 2024, for the gate.
    """

    def __init__(self, width: int, between: int, nonlinearity: str):
        super().__init__()
        self.perceptron = Pointwise((width, between, width), nonlinearity)
        self.gate = nn.Parameter(torch.ones(width))

    def forward(self, v: Tensor, before: Tensor) -> Tensor:
        """Of fields ``(n, width, *shape)``."""
        return self.perceptron(v) + self.gate.reshape(-1, *[1] * (v.dim() - 2)) * before
