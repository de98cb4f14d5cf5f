"""The small networks that operators of sensors and places are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from kutta.operators.ensemble import Ensemble
from kutta.operators.layers.activation import activation


class Perceptron(nn.Module):
    """Dense layers, ``x <- s(W x + b)``, the last one without ``s`` unless it is asked for.

    Weights are drawn as Glorot and Bengio (2010) propose, from a normal distribution; biases begin at zero.

    Args:
        widths: of the input, of what lies between, and of the output.
        nonlinearity: the name of ``s``.
        activate_last: whether ``s`` follows the last layer, too.
    """

    def __init__(self, widths: Sequence[int], nonlinearity: str = "relu", activate_last: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(_dense(*pair) for pair in pairwise(widths))
        identity = activation("identity")
        between = activation(nonlinearity)
        self.activations = [*[between] * (len(widths) - 2), between if activate_last else identity]

    def forward(self, x: Tensor) -> Tensor:
        """``(..., widths[0]) -> (..., widths[-1])``."""
        for layer, after in zip(self.layers, self.activations, strict=True):
            x = after(layer(x))
        return x


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class SideBySide(nn.Module):
    """Independent networks that see the same input, their outputs one behind the other.

    Args:
        make: makes one of them.
        count: how many.
    """

    def __init__(self, make: Callable[[], nn.Module], count: int):
        super().__init__()
        self.networks = Ensemble(make, count)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., i) -> (..., count * o)``."""
        return self.networks(x).movedim(0, -2).flatten(-2)
