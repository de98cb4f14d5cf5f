"""odeint, odeint_event and odeint_dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.compat.torchdiffeq.request import Request, prepare
from kutta.compat.torchdiffeq.states import flatten, unflatten
from kutta.problems import ODEProblem
from kutta.solvers.field import VectorField
from kutta.solvers.times import event_shift, flow
from kutta.state import layout_of


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Any] | None = None,
) -> Any:
    """Solve ``dy/dt = func(t, y)``, ``y(t[0]) = y0``, with gradients through the solver's own steps.

    Args:
        func: the right-hand side, ``func(t, y)`` with a 0-dimensional `t` and `y` like `y0`. It may carry
            ``callback_step``, ``callback_accept_step`` and ``callback_reject_step``, called with
            ``(t0, y0, dt)``.
        y0: the initial state: a tensor of any shape, or a tuple of tensors.
        t: output times, shape ``(T,)``, strictly increasing or decreasing; `y0` belongs to the first.
        rtol: relative tolerance, a number or a tensor; for a tuple also one an entry.
        atol: absolute tolerance, likewise.
        method: one of `SOLVERS`; ``"dopri5"`` when not given.
        options: options of the method. Adaptive ones take ``norm``, ``first_step``, ``min_step``,
            ``max_step``, ``step_t``, ``jump_t``, ``safety``, ``ifactor``, ``dfactor`` and
            ``max_num_steps``; those on a grid ``step_size``, ``grid_constructor``, ``interp`` and
            ``perturb``; ``scipy_solver`` takes ``solver``, ``min_step`` and ``max_step``. Others are
            warned about.
        event_fn: ends the solve where ``event_fn(t, y)``, or any entry of it, first becomes zero;
            of `t` then only the first entry and the direction count.

    Returns:
        the states, shape ``(T, *y0.shape)``, or a tuple of such. With `event_fn` the pair of the
        event's time and the states at the start and at the event.

    Raises:
        ValueError: for an unknown method, or an event with other than two times.
        AssertionError: when the times cannot be used, or a step fails.
        NotImplementedError: for the methods that wait for the release for stiff problems.

    Example:
        >>> import torch
        >>> from kutta.compat.torchdiffeq import odeint
        >>> ys = odeint(lambda t, y: -y, torch.ones(2), torch.linspace(0.0, 1.0, 3))
        >>> ys.shape, round(float(ys[-1, 0]), 5)
        (torch.Size([3, 2]), 0.36788)
    """
    request = prepare(func, y0, t, rtol, atol, method, options, event_fn)
    if request.event_fn is None:
        return request.solution(request.solver().integrate(request.t))
    event_t, ys = solve_until_event(request)
    return event_t, request.solution(ys)


def solve_until_event(request: Request) -> tuple[Tensor, Tensor]:
    """The time of the event, in the dtype of the times, and the states at both ends."""
    t = request.t
    direction = 1.0 if t[1] > t[0] else -1.0
    event_t, ys = request.solver().integrate_until_event(t[0], request.event_fn, direction)
    return event_t.to(t), ys


def odeint_event(
    func: Callable[..., Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[..., Any],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> tuple[Tensor, Any]:
    """Solve until an event, with the gradient of the event's time and state.

    Args:
        func: the right-hand side.
        y0: the initial state.
        t0: the initial time, a tensor with one entry.
        event_fn: the solve ends where ``event_fn(t, y)``, or any entry of it, first becomes zero.
        reverse_time: whether to go backwards in time.
        odeint_interface: `odeint` or `odeint_adjoint`.
        kwargs: further arguments of `odeint_interface`.

    Returns:
        the event's time, and the states at the start and at the event, ``(2, *y0.shape)`` or a tuple
        of such. Both depend on `y0`, `t0` and the parameters by the implicit function theorem.

    Example:
        >>> import torch
        >>> from kutta.compat.torchdiffeq import odeint_event
        >>> y0 = torch.ones((), dtype=torch.float64, requires_grad=True)
        >>> time, _ = odeint_event(lambda t, y: -y, y0, torch.tensor(0.0), event_fn=lambda t, y: y - 0.5)
        >>> round(time.item(), 4), round(float(torch.autograd.grad(time, y0)[0]), 4)
        (0.6931, 1.0)
    """
    start = t0.reshape(-1)
    t = torch.cat([start, start.detach() + (-1.0 if reverse_time else 1.0)])
    event_t, ys = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    request = prepare(func, y0, t, 0.0, 0.0, None, None, event_fn)
    shapes = request.shapes
    rows = ys if shapes is None else torch.stack([flatten([part[index] for part in ys]) for index in (0, -1)])
    event_t, end = _follow_event(request, event_t.detach(), rows[-1])
    return event_t, request.solution(torch.stack([rows[0], end]))


def _follow_event(request: Request, event_t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Time and state of an event as they depend on the state at the fixed time `event_t`."""
    assert request.event_fn is not None
    span = (float(event_t), float(event_t))
    field = VectorField(ODEProblem(request.func, request.y0, span), layout_of(request.y0, ensemble=False))
    shift = event_shift(field, request.event_fn, event_t, y)
    return event_t + shift.to(event_t), flow(field, event_t, y, shift)


def odeint_dense(
    func: Callable[..., Any],
    y0: Any,
    t0: Any,
    t1: Any,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
) -> Callable[[Any], Any]:
    """Solve from `t0` to `t1` and return the solution as a function of time.

    Args:
        func: the right-hand side.
        y0: the initial state, a tensor or a tuple of tensors.
        t0: initial time, a number or a tensor.
        t1: final time.
        rtol: relative tolerance.
        atol: absolute tolerance.
        method: one of the adaptive methods; ``"dopri5"`` when not given.
        options: options of the method.

    Returns:
        a function of a time, or of ``(n,)`` times, between `t0` and `t1`.

    Raises:
        ValueError: for a method that is not adaptive.

    Example:
        >>> import torch
        >>> from kutta.compat.torchdiffeq import odeint_dense
        >>> solution = odeint_dense(lambda t, y: -y, torch.ones(2), 0.0, 1.0)
        >>> solution(0.5)
        tensor([0.6065, 0.6065])
    """
    t = torch.stack([torch.as_tensor(time, dtype=torch.float64) for time in (t0, t1)])
    request = prepare(func, y0, t, rtol, atol, method, options)
    solver = request.solver()
    if not hasattr(solver, "solve"):
        raise ValueError(f"odeint_dense needs an adaptive method such as 'dopri5'; got {request.method!r}")
    solution = solver.solve(request.t, dense=True)

    def dense_output(t: Any) -> Any:
        ys = solution(t)
        return ys if request.shapes is None else unflatten(ys, request.shapes, ys.shape[:-1])

    return dense_output
