"""Refusing what is infinite or no number, before a solver meets it."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read


def check_finite(name: str, value: Any) -> None:
    """Refuse numbers that are not finite, and tensors that hold such; nothing is looked at while code is compiled.

    Raises:
        ValueError: with the name and what came.
    """
    if torch.compiler.is_compiling():
        return
    if isinstance(value, Tensor):
        finite = not read((~torch.isfinite(value.detach())).any())
    else:
        finite = abs(value) <= sys.float_info.max  # which holds of no whole number that has no float
    if not finite:
        got = "a tensor that holds NaN or infinite values" if isinstance(value, Tensor) else value
        raise ValueError(f"{name} must be finite; got {got}")
