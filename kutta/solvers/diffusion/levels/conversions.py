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


# The weights of data and noise in each prediction; None where there is none of it, whose factors may be infinite.
_FROM_BOTH: dict[str, Callable[[Any, Any], tuple[Any, Any]]] = {
    "epsilon": lambda a, s: (None, 1.0),
    "noise": lambda a, s: (None, 1.0),
    "data": lambda a, s: (1.0, None),
    "v": lambda a, s: (-s, a),
    "score": lambda a, s: (None, -1 / s),
    "flow": lambda a, s: (-1.0, 1.0),
}


def factors(prediction: str, wanted: str, alpha: Any, sigma: Any) -> Pair:
    """``(p, q)`` such that the wanted prediction is ``p x + q output``.

    Args:
        prediction: what the output is, one of `PREDICTIONS`.
        wanted: what it shall be, another one of them; ``"noise"`` is the same as ``"epsilon"``.
        alpha: factor of the data at the time at which it was made; a number or a tensor.
        sigma: that of the noise.
    """
    if wanted == prediction:
        return 0.0 * alpha, 1.0 + 0.0 * alpha
    both = zip(_FROM_BOTH[wanted](alpha, sigma), (_to_data, _to_noise), strict=True)
    pairs = [(weight, to(prediction)(alpha, sigma)) for weight, to in both if weight is not None]
    return sum(weight * p for weight, (p, _) in pairs), sum(weight * q for weight, (_, q) in pairs)


def convert(output: Any, x: Any, prediction: str, wanted: str, alpha: Any, sigma: Any) -> Any:
    """A prediction as one of another kind.

    Args:
        output: what the model returned.
        x: the state at which it did.
        prediction: what it is, one of ``"epsilon"``, ``"data"``, ``"v"``, ``"score"``, ``"flow"``.
        wanted: what it shall be, another one of them.
        alpha: factor of the data at the time of the state; a number, or a tensor that broadcasts with it.
        sigma: that of the noise.

    Returns:
        the wanted prediction, of the shape of `output`.

    Raises:
        ValueError: for names that are none of these, and for numbers `alpha` and `sigma` at which one prediction does
            not follow from the other; with tensors it is infinite or NaN there.

    Example:
        >>> import torch, kutta as kt
        >>> data, noise = torch.tensor([1.0]), torch.tensor([2.0])
        >>> kt.diffusion.convert(noise, 0.8 * data + 0.6 * noise, "epsilon", "data", 0.8, 0.6)
        tensor([1.])
    """
    for name, value in (("prediction", prediction), ("wanted", wanted)):
        if value not in PREDICTIONS:
            raise ValueError(f"{name} must be one of {', '.join(PREDICTIONS)}; got {value!r}")
    try:
        p, q = factors(prediction, wanted, alpha, sigma)
    except ZeroDivisionError:
        raise ValueError(
            f"with alpha={alpha!r} and sigma={sigma!r} {wanted!r} does not follow from {prediction!r}: where there is "
            "only noise, or only data, a prediction of it says nothing about the other"
        ) from None
    return p * x + q * output
