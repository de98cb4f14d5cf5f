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
Pull = Callable[[Tensor], tuple[Tensor, Tensor]]


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
    """Value and derivatives of ``derivative(t, y)``; with `rows`, each row of `y` is a trajectory of its own.

    On the tape in gradient mode, and under ``torch.func`` transformations.

    Args:
        t: the time, 0-dimensional; with `rows` one a trajectory, ``(b, 1)``.
        y: the state, of any shape; with `rows` ``(b, N)``.
    """
    slope, pull = (_pull_transformed if under_transform() else _pull)(derivative, t, y)
    shape = y.shape[1:] if rows else y.shape
    units = torch.eye(shape.numel(), dtype=y.dtype, device=y.device).view(-1, *[1] * rows, *shape)
    by_t, by_y = pull(units.expand(len(units), *y.shape))
    if rows:
        return Linearisation(slope, by_y.transpose(0, 1), by_t[:, :, 0].t().to(y.dtype))
    return Linearisation(slope, by_y.reshape(len(units), -1), by_t.view(y.shape).to(y.dtype))


def _pull(derivative: Derivative, t: Tensor, y: Tensor) -> tuple[Tensor, Pull]:
    """The slope, and what takes a stack of cotangents back to `t` and `y`."""
    records = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        inputs = _followed(t), _followed(y)
        slope = derivative(*inputs)
    # The copies that were made to be followed start no tape of their own.
    others = (leaf for leaf in leaves_on_tape(slope) if all(leaf is not one for one in inputs))
    records = (records and (t.requires_grad or y.requires_grad or any(True for _ in others))) or in_forward_mode()

    def pull(cotangents: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor | None, ...] = (None, None)
        if slope.requires_grad:
            found = torch.autograd.grad(
                slope, inputs, cotangents, create_graph=records, allow_unused=True, is_grads_batched=True
            )
        by_t, by_y = (
            one.new_zeros((len(cotangents), *one.shape)) if grad is None else grad
            for grad, one in zip(found, inputs, strict=True)
        )
        return by_t, by_y

    return (slope if records else slope.detach()), pull


def _followed(value: Tensor) -> Tensor:
    """The tensor, or if nothing follows it a copy whose use is followed."""
    return value if value.requires_grad else value.clone().requires_grad_()


def _pull_transformed(derivative: Derivative, t: Tensor, y: Tensor) -> tuple[Tensor, Pull]:
    """The same where ``torch.func`` does the differentiation."""
    slope, pull = torch.func.vjp(derivative, t, y)
    return slope, torch.func.vmap(pull)
