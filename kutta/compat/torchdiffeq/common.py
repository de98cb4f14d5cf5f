"""What the solvers share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def callback_arguments(t: Any, y: Tensor, dt: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Time, state and the size of the step, as callbacks take them."""
    t, dt = (torch.as_tensor(value, dtype=torch.float64, device=y.device) for value in (t, dt))
    return t, y, dt.abs()


def warn_about_unused(solver: Any, unused: dict[str, Any]) -> None:
    """Name the options that a method does not have."""
    if unused:
        warnings.warn(f"{type(solver).__name__}: Unexpected arguments {unused}", stacklevel=5)


def starts_at_event(event_fn: Callable[..., Tensor], t0: Tensor, y0: Tensor) -> bool:
    """Whether an event happens at once."""
    with torch.no_grad():
        return bool(event_fn(t0, y0) == 0)
