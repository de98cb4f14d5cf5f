"""The functions that a formula may call, each of the values at every point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atan2": torch.atan2,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "heaviside": lambda x: 0.5 * (torch.sign(x) + 1.0),  # 1/2 at 0
    "log": torch.log,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "sech": lambda x: 1.0 / torch.cosh(x),
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

ARITIES = {name: 2 if name in ("atan2", "maximum", "minimum") else 1 for name in FUNCTIONS}
