"""Gradients with respect to times, whatever computed the states.

Moving the time of an output moves the state along the solution, ``dy/dt = f(t, y)``. So a state
``y(t)`` gains its dependence on ``t`` by one explicit midpoint step of length ``t - stop(t)``: zero in
value, with the derivatives of the flow up to second order. The same step, taken backwards from the
initial state, carries the gradient of the initial time. No solver and no adjoint needs to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient

if TYPE_CHECKING:
    from kutta.solvers.method import Field


def flow(field: Field, t: Tensor, y: Tensor, shift: Tensor) -> Tensor:
    """The state a time `shift` (zero in value) after `y`, which is the state at `t`.

    Shapes: ``()`` for one problem, ``(n, 1)`` and ``(n, D)`` for trajectories.
    """
    step = shift.to(y.real.dtype if y.is_complex() else y.dtype)
    halfway = y + 0.5 * step * field.derivative(t, y)
    return y + step * field.derivative(t + 0.5 * shift, halfway)


def follow_output_time(field: Field, t: Any, y: Tensor) -> Tensor:
    """``y`` as a differentiable function of the time `t` it belongs to."""
    if not (isinstance(t, Tensor) and carries_gradient(t)):
        return y
    fixed = t.detach()
    return flow(field, fixed, y, t - fixed)


def follow_initial_time(field: Field, t: Any, y: Tensor) -> Tensor:
    """The state at a fixed initial time, as a function of the time `t` at which it is `y`."""
    if not (isinstance(t, Tensor) and carries_gradient(t)):
        return y
    fixed = t.detach()
    return flow(field, fixed, y, fixed - t)


def event_shift(field: Field, condition: Any, t: Tensor, y: Tensor) -> Tensor:
    """How the time of an event moves with the state there: zero in value.

    On the surface ``g(t, y) = 0`` the implicit function theorem gives
    ``dt = -dg / (g_t + g_y f)``, where ``dg`` is the change of ``g`` at fixed time.

    Raises:
        ValueError: where the solution touches the surface without crossing it, ``g_t + g_y f = 0``.
    """
    speed = rate_of_change(field, condition, t, y)
    if bool((speed == 0).any()):
        raise ValueError("the gradient of an event time does not exist where the solution only touches the event")
    value = condition(t.detach(), y)
    return -(value - value.detach()) / speed


def rate_of_change(field: Field, condition: Any, t: Tensor, y: Tensor) -> Tensor:
    """``d/dt g(t, y(t)) = g_t + g_y f`` along the solution through ``(t, y)``."""
    t, y = t.detach(), y.detach()
    with torch.no_grad():
        slope = field.derivative(t, y).detach()
    return torch.func.jvp(condition, (t, y), (torch.ones_like(t), slope))[1].detach()
