"""Layers that see one point at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from kutta.operators.layers.activation import activation


class Linear(nn.Module):
    """The same matrix at all points, ``u_o(x) = sum_i W_oi a_i(x) + b_o``, whatever the number of axes.

    Weights are drawn as PyTorch draws those of its ``Conv1d``: uniformly within ``1 / sqrt(in_channels)``.

    Args:
        in_channels: of ``a``.
        out_channels: of ``u``.
        bias: whether there is ``b``.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True):
        super().__init__()
        bound = 1.0 / math.sqrt(in_channels)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None

    def forward(self, a: Tensor) -> Tensor:
        """``(n, i, *shape) -> (n, o, *shape)``."""
        # One product for each sample: a product of all would first bring the channels together, by a copy.
        weight, lines = self.weight.expand(len(a), -1, -1), a.flatten(2)
        u = torch.bmm(weight, lines) if self.bias is None else torch.baddbmm(self.bias[:, None], weight, lines)
        return u.unflatten(2, a.shape[2:])


class Pointwise(nn.Module):
    """A perceptron at all points.

    Args:
        widths: channels of its input, of what lies between, and of its output.
        nonlinearity: the name of the activation between layers.
    """

    def __init__(self, widths: Sequence[int], nonlinearity: str = "gelu"):
        super().__init__()
        self.layers = nn.ModuleList(Linear(*pair) for pair in pairwise(widths))
        self.activation = activation(nonlinearity)

    def forward(self, a: Tensor) -> Tensor:
        """``(n, i, *shape) -> (n, o, *shape)``."""
        for layer in self.layers[:-1]:
            a = self.activation(layer(a))
        return self.layers[-1](a)
