"""A first step size from the size of the solution and of its first two derivatives.

Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, section II.4: with
``d0 = |y0|``, ``d1 = |f0|`` in the tolerance's norm, try ``h0 = 0.01 d0 / d1``; from one explicit Euler
step of that size ``d2 = |f1 - f0| / h0``; then ``h1`` solves ``h1^(p+1) max(d1, d2) = 0.01``, ``p`` being
the method's order, and the step size is ``min(100 h0, h1)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from kutta.solvers.method import Slopes
    from kutta.solvers.tolerance import Tolerance


@torch.no_grad()
def initial_step(
    field: Slopes, t: Any, y: Tensor, slope: Tensor, direction: Any, tolerance: Tolerance, order: int
) -> Tensor:
    """The size (positive) of a first step from ``(t, y)``, where the derivative is `slope`.

    Returns:
        a 0-dimensional tensor, or shape ``(b,)`` for the trajectories of an ensemble. Costs one
        evaluation of the right-hand side and no transfer to the host.
    """
    y, slope = y.detach(), slope.detach()
    scale = tolerance.scale(y.abs())
    size, speed = tolerance.measure(y / scale), tolerance.measure(slope / scale)
    guess = torch.where((size < 1e-5) | (speed < 1e-5), 1e-6, 0.01 * size / speed).nan_to_num(1e-6, 1e-6)
    move = direction * (guess if guess.dim() == 0 else guess[:, None])
    ahead = field.derivative(t + move, y + move.to(y.real.dtype if y.is_complex() else y.dtype) * slope)
    bend = tolerance.measure((ahead - slope) / scale) / guess
    largest = torch.maximum(speed, bend)
    power = (0.01 / largest) ** (1.0 / (order + 1))
    power = torch.where(torch.isfinite(largest), power, guess)  # the second derivative may overflow
    curved = torch.where(largest <= 1e-15, torch.clamp(guess * 1e-3, min=1e-6), power)
    return torch.minimum(100 * guess, curved).nan_to_num(nan=1e-6)
