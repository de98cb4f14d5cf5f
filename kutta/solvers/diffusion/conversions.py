"""What a model predicts, as prediction of the data or of the noise.

With ``x = alpha D + sigma e``, where `D` is the expected data and `e` the expected noise, all predictions are
linear in one another for a given state, so each conversion is ``p x + q output`` with two numbers:

    epsilon   output = e
    data      output = D
    v         output = alpha e - sigma D
    score     output = -e / sigma
    flow      output = e - D        (du/dt of the straight path, alpha = 1 - t and sigma = t)

Source: Salimans and Ho, Progressive distillation for fast sampling of diffusion models, 2022, for `v`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PREDICTIONS = ("epsilon", "data", "v", "score", "flow")

Pair = tuple[Any, Any]  # the factors of the state and of the output: numbers, or tensors that broadcast with them


def _to_data(prediction: str) -> Callable[[Any, Any], Pair]:
    return {
        "epsilon": lambda a, s: (1 / a, -s / a),
        "data": lambda a, s: (0.0 * a, 1.0 + 0.0 * a),
        "v": lambda a, s: (a / (a * a + s * s), -s / (a * a + s * s)),
        "score": lambda a, s: (1 / a, s * s / a),
        "flow": lambda a, s: (1 / (a + s), -s / (a + s)),
    }[prediction]


def _to_noise(prediction: str) -> Callable[[Any, Any], Pair]:
    return {
        "epsilon": lambda a, s: (0.0 * a, 1.0 + 0.0 * a),
        "data": lambda a, s: (1 / s, -a / s),
        "v": lambda a, s: (s / (a * a + s * s), a / (a * a + s * s)),
        "score": lambda a, s: (0.0 * a, -s),
        "flow": lambda a, s: (1 / (a + s), a / (a + s)),
    }[prediction]


def factors(prediction: str, wanted: str, alpha: Any, sigma: Any) -> Pair:
    """``(p, q)`` such that the wanted prediction is ``p x + q output``.

    Args:
        prediction: what the output is, one of `PREDICTIONS`.
        wanted: ``"data"`` or ``"noise"``.
        alpha, sigma: of the time at which it was made; numbers or tensors.
    """
    return {"data": _to_data, "noise": _to_noise}[wanted](prediction)(alpha, sigma)
