"""What an event may do to the state."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kutta.state import Layout


def checked_change(changed: Any, layout: Layout, y: Tensor, event: int) -> Tensor:
    """The state that an event's `change` returned, in the solver's layout."""
    try:
        flat = layout.ravel(changed)
    except (AttributeError, ValueError, RuntimeError) as problem:
        raise ValueError(f"events[{event}].change must return a state like y0; got {changed!r}") from problem
    if not isinstance(flat, Tensor):
        raise ValueError(f"events[{event}].change must return a state like y0; got {type(flat).__name__}")
    if flat.shape != y.shape or flat.dtype != y.dtype:
        raise ValueError(
            f"events[{event}].change must return a state like y0, of shape {tuple(y.shape)} and {y.dtype}; "
            f"got {tuple(flat.shape)} and {flat.dtype}"
        )
    return flat
