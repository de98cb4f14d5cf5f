"""States as torchdiffeq takes them, a tensor or a tuple of tensors, and the one tensor that is solved for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

Shapes = Sequence[torch.Size]

CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")


def flatten(parts: Sequence[Tensor]) -> Tensor:
    """All tensors of a tuple, one after the other."""
    return torch.cat([part.reshape(-1) for part in parts])


def unflatten(flat: Tensor, shapes: Shapes, lead: Sequence[int] = ()) -> tuple[Tensor, ...]:
    """The tuple whose tensors lie one after the other on the last axis; `lead` are the axes before it."""
    ends = list(accumulate(shape.numel() for shape in shapes))
    starts = [0, *ends[:-1]]
    return tuple(
        flat[..., start:end].view((*lead, *shape)) for start, end, shape in zip(starts, ends, shapes, strict=True)
    )


class StateFunction:
    """A user's right-hand side as a function of one tensor.

    The derivative is brought to the state's dtype and shape where that only means casting or
    repeating it.

    Attributes:
        func: the user's function.
        shapes: the tuple's shapes; ``None`` for a state that is one tensor.
    """

    def __init__(self, func: Callable[..., Any], shapes: Shapes | None):
        self.func, self.shapes = func, shapes
        for name in (name + suffix for name in CALLBACKS for suffix in ("", "_adjoint")):
            callback = getattr(func, name, None)
            if callback is not None:
                setattr(self, name, callback if name.endswith("_adjoint") else self._on_state(callback))

    def __call__(self, t: Tensor, y: Tensor) -> Any:
        """The derivative at ``(t, y)``."""
        if self.shapes is None:
            slope = self.func(t, y)
        else:
            slope = flatten(self.func(t, unflatten(y, self.shapes)))
        if not isinstance(slope, Tensor) or (slope.dtype is y.dtype and slope.shape == y.shape):
            return slope
        return _like(slope, y)

    def _on_state(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        shapes = self.shapes
        if shapes is None:
            return callback
        return lambda t0, y0, dt: callback(t0, unflatten(y0, shapes), dt)


def _like(slope: Tensor, y: Tensor) -> Tensor:
    try:
        return slope.to(y.dtype).expand_as(y)
    except RuntimeError:  # refused with both shapes by the solver
        return slope


def root_mean_square(y: Tensor) -> Tensor:
    """The norm of a tensor unless the user gives another."""
    return torch.linalg.vector_norm(y) / max(y.numel(), 1) ** 0.5


def largest_root_mean_square(parts: Sequence[Tensor]) -> Any:
    """The norm of a tuple unless the user gives another: the largest of its tensors' norms."""
    return torch.stack([root_mean_square(part) for part in parts]).max() if len(parts) else 0.0
