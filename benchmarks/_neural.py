"""The neural ODEs of the benchmarks: MLPs with tanh on a batch of 128, float32, the usual one 32-64-64-32."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SIZES = (32, 64, 64, 32)
WIDE = (784, 100, 784)
BATCH = 128
SPAN = (0.0, 5.0)
TOLERANCE = 1e-5
# Weights are normal with standard deviation GAIN / sqrt(inputs): at 2 a trained model's 20 to 60 steps
# are taken; PyTorch's own initialisation gives less than ten.
GAIN = 2.0


class Field(nn.Module):
    """The right-hand side ``f(t, y)``; its seed fixes the weights."""

    def __init__(self, gain: float = GAIN, seed: int = 0, sizes: Sequence[int] = SIZES):
        super().__init__()
        self.sizes = tuple(sizes)
        random = torch.Generator().manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(sizes):
            layer = nn.Linear(inputs, outputs)
            with torch.no_grad():
                layer.weight.copy_(torch.randn(outputs, inputs, generator=random) * gain / inputs**0.5)
                layer.bias.zero_()
            layers += [layer, nn.Tanh()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, t: Any, y: Tensor) -> Tensor:
        return self.layers(y)


def initial_state(batch: int = BATCH, seed: int = 1, width: int = SIZES[0]) -> Tensor:
    """Standard normal, shape ``(batch, width)``."""
    return torch.randn(batch, width, generator=torch.Generator().manual_seed(seed))


def reference(field: Field, y0: Tensor) -> np.ndarray[Any, Any]:
    """The final state in float64, by DOP853 with tolerance 1e-12."""
    from scipy.integrate import solve_ivp

    linear = [layer for layer in field.layers if isinstance(layer, nn.Linear)]
    matrices = [layer.weight.detach().double().numpy().T for layer in linear]

    def f(t: float, y: Any) -> Any:
        y = y.reshape(y0.shape)
        for matrix in matrices[:-1]:
            y = np.tanh(y @ matrix)
        return (y @ matrices[-1]).ravel()

    solution = solve_ivp(f, SPAN, y0.double().numpy().ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    return solution.y[:, -1].reshape(y0.shape)


def gradient(solve: Callable[[Field, Tensor], Tensor], field: Field, y0: Tensor) -> Sequence[Tensor]:
    """Gradients of the mean square of the final state, to the initial state and all parameters."""
    start = y0.clone().requires_grad_()
    loss = solve(field, start).square().mean()
    return torch.autograd.grad(loss, (start, *field.parameters()))


def flat(gradients: Sequence[Tensor]) -> np.ndarray[Any, Any]:
    """All gradients in one float64 vector."""
    return torch.cat([g.reshape(-1).double() for g in gradients]).numpy()
