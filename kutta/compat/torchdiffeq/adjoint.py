"""odeint_adjoint: gradients from the adjoint equation, solved backwards in time.

With ``a = dL/dy``, the augmented state ``(dL/dt, y, a, dL/dtheta)`` obeys

    d/dt (dL/dt) = -a^T df/dt,   dy/dt = f,   da/dt = -a^T df/dy,   d/dt (dL/dtheta) = -a^T df/dtheta

(Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations", 2018). At each
output time ``y`` is set to its forward value and ``a`` gains the gradient of that output.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kutta.compat.torchdiffeq.odeint import solve_until_event
from kutta.compat.torchdiffeq.request import Request, prepare
from kutta.compat.torchdiffeq.states import CALLBACKS, Shapes, largest_root_mean_square, unflatten
from kutta.solvers.adjoints.inputs import vector_jacobian_product

Norm = Callable[..., Any]


def odeint_adjoint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Any] | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """Like `odeint`, with gradients from a backward solve of the adjoint equation and constant memory.

    Args:
        func: the right-hand side, an ``nn.Module`` unless `adjoint_params` is given. Callbacks of the
            backward solve are its ``callback_step_adjoint``, ``callback_accept_step_adjoint`` and
            ``callback_reject_step_adjoint``.
        y0: the initial state.
        t: output times.
        rtol: relative tolerance.
        atol: absolute tolerance.
        method: one of `SOLVERS`.
        options: options of the method.
        event_fn: ends the solve; see `odeint`.
        adjoint_rtol: relative tolerance of the backward solve; that of the forward one when not given.
        adjoint_atol: absolute tolerance, likewise.
        adjoint_method: method of the backward solve, likewise.
        adjoint_options: its options, likewise except for the norm. ``norm`` takes the tuple
            ``(t, y, adj_y, *adj_params)``, with the tensors of a tuple state one by one;
            ``"seminorm"`` leaves the parameters out.
        adjoint_params: the tensors, besides `y0` and `t`, that receive gradients; the module's
            parameters when not given.

    Returns:
        what `odeint` returns. The time of an event is not differentiated: see `odeint_event`.

    Raises:
        ValueError: without `adjoint_params` for a `func` that is no module, or when `options` are
            given for another method than the adjoint's.

    Example:
        >>> import torch
        >>> from kutta.compat.torchdiffeq import odeint_adjoint
        >>> class Decay(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rate = torch.nn.Parameter(torch.tensor(2.0))
        ...     def forward(self, t, y):
        ...         return -self.rate * y
        >>> decay = Decay()
        >>> odeint_adjoint(decay, torch.ones(1), torch.tensor([0.0, 1.0]))[-1].sum().backward()
        >>> round(float(decay.rate.grad), 4)
        -0.1353
    """
    if adjoint_params is None and not isinstance(func, nn.Module):
        raise ValueError(
            "func must be an instance of nn.Module to specify the adjoint parameters; alternatively they can be "
            "specified explicitly via the `adjoint_params` argument. If there are no parameters then it is "
            f"allowable to set `adjoint_params=()`. Got a {type(func).__name__}"
        )
    adjoint_method = method if adjoint_method is None else adjoint_method
    if adjoint_method != method and options is not None and adjoint_options is None:
        raise ValueError(
            "If `adjoint_method != method` then we cannot infer `adjoint_options` from `options`. So as `options` "
            "has been passed then `adjoint_options` must be passed as well."
        )
    if adjoint_options is None:
        adjoint_options = {name: value for name, value in (options or {}).items() if name != "norm"}
    params = _trained(_parameters(func) if adjoint_params is None else tuple(adjoint_params), adjoint_options)
    request = prepare(func, y0, t, rtol, atol, method, options, event_fn)
    backward = {
        "rtol": rtol if adjoint_rtol is None else adjoint_rtol,
        "atol": atol if adjoint_atol is None else adjoint_atol,
        "method": adjoint_method,
    }
    norm = _adjoint_norm(adjoint_options.get("norm"), request.options["norm"], request.shapes)
    adjoint_options = {**adjoint_options, "norm": norm}
    found = _Adjoint.apply(request, backward, adjoint_options, request.y0, request.t, *params)
    if event_fn is None:
        return request.solution(found)  # type: ignore[arg-type]
    event_t, ys = found  # type: ignore[misc]
    return event_t, request.solution(ys)


def _parameters(module: Any) -> tuple[Tensor, ...]:
    """A module's parameters, which are plain attributes in a replica of `nn.DataParallel`."""
    if not getattr(module, "_is_replica", False):
        return tuple(module.parameters())
    return tuple(
        value
        for part in module.modules()
        for value in vars(part).values()
        if isinstance(value, Tensor) and value.requires_grad
    )


def _trained(params: tuple[Tensor, ...], adjoint_options: dict[str, Any]) -> tuple[Tensor, ...]:
    trained = tuple(param for param in params if param.requires_grad)
    if len(trained) < len(params) and callable(adjoint_options.get("norm")):
        warnings.warn(
            "An adjoint parameter was passed without requiring gradient. For efficiency this will be excluded from "
            "the adjoint pass, and will not appear as a tensor in the adjoint norm.",
            stacklevel=3,
        )
    return trained


def _adjoint_norm(norm: Any, state_norm: Norm, shapes: Shapes | None) -> Norm:
    """The norm of ``(t, y, adj_y, *adj_params)``, with the state as one tensor."""

    def semi(parts: Sequence[Tensor]) -> Any:
        t, y, adj_y, *_ = parts
        return _largest(t.abs(), state_norm(y), state_norm(adj_y))

    def full(parts: Sequence[Tensor]) -> Any:
        return _largest(semi(parts), largest_root_mean_square(parts[3:]))

    def own(parts: Sequence[Tensor]) -> Any:
        t, y, adj_y, *adj_params = parts
        assert shapes is not None
        return norm((t, *unflatten(y, shapes), *unflatten(adj_y, shapes), *adj_params))

    if norm is None:
        return full
    if norm == "seminorm":
        return semi
    return norm if shapes is None else own


def _largest(first: Tensor, *others: Any) -> Tensor:
    return torch.stack([first, *(torch.as_tensor(other).to(first).reshape(()) for other in others)]).max()


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        request: Request,
        backward: dict[str, Any],
        adjoint_options: dict[str, Any],
        y0: Tensor,
        t: Tensor,
        *params: Tensor,
    ) -> Any:
        ctx.request, ctx.solve, ctx.adjoint_options = request, backward, adjoint_options
        ctx.set_materialize_grads(True)
        if request.event_fn is None:
            ys = request.solver().integrate(t)
            ctx.save_for_backward(t, ys, *params)
            return ys
        event_t, ys = solve_until_event(request)
        ctx.save_for_backward(torch.cat([t[:1], event_t.reshape(1)]), ys, *params)
        return event_t, ys

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        t, ys, *params = ctx.saved_tensors
        run = _Backward(ctx.request, ctx.solve, ctx.adjoint_options, tuple(params), ctx.needs_input_grad[4])
        with torch.no_grad():
            to_y0, to_times, to_params = run(t, ys, grads[-1])
        if to_times is not None and ctx.request.event_fn is not None:
            to_times = torch.stack([to_times[0], torch.zeros_like(to_times[1])])
        return None, None, None, to_y0, to_times, *to_params


class _Backward:
    """The backward solve, from each output time to the one before."""

    def __init__(
        self,
        request: Request,
        solve: dict[str, Any],
        options: dict[str, Any],
        params: tuple[Tensor, ...],
        to_times: bool,
    ):
        self.func, self.params, self.to_times = request.func, params, to_times
        self.solve, self.options = solve, options

    def __call__(self, t: Tensor, ys: Tensor, grads: Tensor) -> tuple[Tensor, Tensor | None, Sequence[Tensor]]:
        """Gradients to the initial state, the times and the parameters."""
        to_t = torch.zeros((), dtype=ys.dtype, device=ys.device)
        adjoint, totals = grads[-1], [torch.zeros_like(param) for param in self.params]
        moved = torch.zeros_like(t)
        options = dict(self.options)
        for index in range(len(t) - 1, 0, -1):
            if self.to_times:
                moved[index] = _real_dot(self.func(t[index].to(_real(ys)), ys[index]), grads[index])
                to_t = to_t - moved[index].to(to_t.dtype)
            state = (to_t, ys[index], adjoint, *totals)
            request = prepare(self._augmented(), state, t[index - 1 : index + 1].flip(0), **self.solve, options=options)
            solver = request.solver()
            to_t, _, adjoint, *totals = (part[-1] for part in request.solution(solver.integrate(request.t)))
            adjoint = adjoint + grads[index - 1]
            options.update(_first_step(solver))
        moved[0] = to_t.real
        return adjoint, moved if self.to_times else None, totals

    def _augmented(self) -> Callable[[Tensor, Any], Any]:
        def derivative(t: Tensor, state: Any) -> Any:
            _, y, adjoint, *_ = state
            t, y = t.detach().requires_grad_(self.to_times), y.detach().requires_grad_()
            with torch.enable_grad():
                slope = self.func(t, y)
            wanted = (y, *self.params, *((t,) if self.to_times else ()))
            to_y, *rest = vector_jacobian_product(lambda: slope, wanted, -adjoint)
            to_t = rest.pop() if self.to_times else torch.zeros_like(t)
            return to_t, slope.detach(), to_y, *rest

        for name in CALLBACKS:
            callback = getattr(self.func, f"{name}_adjoint", None)
            if callback is not None:
                setattr(derivative, name, callback)
        return derivative


def _first_step(solver: Any) -> dict[str, float]:
    """Start the next interval with the step size that the last one ended with."""
    size = getattr(solver, "typical_step", None)
    return {} if size is None else {"first_step": size}


def _real(y: Tensor) -> torch.dtype:
    return y.real.dtype if y.is_complex() else y.dtype


def _real_dot(slope: Tensor, grad: Tensor) -> Tensor:
    return torch.sum(slope.conj() * grad).real if grad.is_complex() else torch.sum(slope * grad)
