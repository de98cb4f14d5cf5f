"""Transforms in mixed precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


def in_single_precision(transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A transform that is computed in float32 where its argument, or `torch.autocast`, has half precision.

    A coefficient is a sum of values that are much larger than itself, of which little is left after rounding to 8 bits.

    Args:
        transform: a function of a tensor, and of what is none.
    """

    @wraps(transform)
    def computed(a: Tensor, *others: Any) -> Tensor:
        if torch.is_autocast_enabled(a.device.type):
            with torch.autocast(a.device.type, enabled=False):
                return transform(_single(a), *others)
        return transform(_single(a), *others)

    return computed


def _single(a: Tensor) -> Tensor:
    return a.float() if a.dtype in HALF else a
