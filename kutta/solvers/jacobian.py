"""The derivatives of a right-hand side that implicit methods need.

One evaluation of ``f`` and one backward pass for every entry of the state give the rows of ``df/dy`` and
``df/dt`` together. In an ensemble no trajectory sees another, so that the sum over the trajectories of entry
``i`` has the rows ``i`` of all their Jacobians as its gradient: the passes are as many as for one trajectory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import in_forward_mode, leaves_on_tape, under_transform

Derivative = Callable[[Tensor, Tensor], Tensor]
Pull = Callable[[Tensor], Tensor]


class Linearisation(NamedTuple):
    """A right-hand side near a point, for a state of ``N`` entries.

    Attributes:
        slope: ``f``, of the state's shape.
        jacobian: ``df/dy``, ``(N, N)``; ``(b, N, N)`` in an ensemble.
        in_time: ``df/dt``, of the state's shape.
    """

    slope: Tensor
    jacobian: Tensor
    in_time: Tensor


def linearise(derivative: Derivative, t: Tensor, y: Tensor, rows: bool) -> Linearisation:
    """Value and derivatives of ``derivative(t, y)``, on the tape in gradient mode, and under ``torch.func``.

    Args:
        derivative: the right-hand side.
        t: the time, 0-dimensional; with `rows` one a trajectory, ``(b, 1)``.
        y: the state, of any shape; with `rows` ``(b, N)``.
        rows: whether each row of `y` is a trajectory of its own.
    """
    lead = y.shape[:1] if rows else ()

    def slope_at(point: Tensor) -> Tensor:
        state, time = point[..., :-1], point[..., -1:]
        return derivative(time.reshape(t.shape), state.reshape(y.shape).contiguous())

    # Time is one more state, so that there is one input, which stands on the tape where `y` does. Autograd visits all
    # that lies no deeper than its deepest input: for a time of its own, a leaf, that would be all earlier steps.
    with torch.inference_mode(False):
        point = torch.cat([y.reshape(*lead, -1), t.to(y.dtype).reshape(*lead, 1)], dim=-1)
    slope, pull = (_pull_transformed if under_transform() else _pull)(slope_at, point)
    entries = point.shape[-1] - 1
    units = torch.eye(entries, dtype=y.dtype, device=y.device).view(entries, *[1] * rows, *y.shape[rows:])
    by_point = pull(units.expand(entries, *y.shape)).movedim(0, -2)
    return Linearisation(slope, by_point[..., :-1], by_point[..., -1].reshape(y.shape))


def _pull(slope_at: Callable[[Tensor], Tensor], point: Tensor) -> tuple[Tensor, Pull]:
    """The slope, and what takes a stack of cotangents back to the point."""
    follows = point.requires_grad
    with torch.inference_mode(False), torch.enable_grad():
        point = point if follows else point.requires_grad_()
        slope = slope_at(point)
    # A point that nothing follows starts no tape of its own.
    others = (leaf for leaf in leaves_on_tape(slope) if leaf is not point)
    records = in_forward_mode() or (torch.is_grad_enabled() and (follows or any(True for _ in others)))

    def pull(cotangents: Tensor) -> Tensor:
        if slope.requires_grad:
            (found,) = torch.autograd.grad(
                slope, point, cotangents, create_graph=records, allow_unused=True, is_grads_batched=True
            )
            if found is not None:
                return found
        return point.new_zeros((len(cotangents), *point.shape))

    return (slope if records else slope.detach()), pull


def _pull_transformed(slope_at: Callable[[Tensor], Tensor], point: Tensor) -> tuple[Tensor, Pull]:
    """The same where ``torch.func`` does the differentiation."""
    slope, pull = torch.func.vjp(slope_at, point)  # pyright: ignore[reportAssignmentType]
    return slope, torch.func.vmap(lambda cotangent: pull(cotangent)[0])
