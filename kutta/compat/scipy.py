"""SciPy's `solve_ivp`, solved by kutta: NumPy in and out, or tensors with gradients."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import OptimizeResult
from torch import Tensor

from kutta.problems import ODEProblem
from kutta.solution import Result, Solution
from kutta.solve import solve
from kutta.solvers.controllers import I
from kutta.solvers.events import Event
from kutta.solvers.method import Method
from kutta.solvers.runge_kutta import Bosh3, Dopri5, Dopri8

METHODS: dict[str, Method] = {"RK45": Dopri5(), "RK23": Bosh3(), "DOP853": Dopri8()}
IMPLICIT = ("Radau", "BDF", "LSODA")
SMALLEST_RTOL = 100 * np.finfo(float).eps


class OdeResult(OptimizeResult):
    """What `solve_ivp` returns: a dictionary whose entries are attributes too."""


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Sequence[float],
    y0: Any,
    method: str | Method = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Sequence[Any] | None = None,
    **options: Any,
) -> OdeResult:
    """Solve ``dy/dt = fun(t, y)``, ``y(t0) = y0``, as `scipy.integrate.solve_ivp` does.

    With a tensor for `y0`, the functions get tensors, and `t`, `y` and the events of the result are
    tensors with gradients.

    Args:
        fun: the right-hand side, ``fun(t, y, *args)`` with `y` of shape ``(n,)``.
        t_span: initial and final time.
        y0: initial state, shape ``(n,)``, real or complex.
        method: ``"RK45"``, ``"RK23"``, ``"DOP853"``, or a method of kutta's.
        t_eval: output times; by default the ends of all accepted steps.
        dense_output: whether to return the solution as a function, too.
        events: a function ``event(t, y, *args)`` or several, whose zeros are found. An attribute
            ``terminal`` says whether the solve ends there (or after how many occurrences), and
            ``direction`` which crossings count. Steps end at events. Being zero at the start is no
            crossing.
        vectorized: whether `fun` takes `y` of shape ``(n, k)``.
        args: further arguments of `fun` and of the events.
        options: ``rtol`` (1e-3) and ``atol`` (1e-6), numbers or arrays of shape ``(n,)``,
            ``first_step`` and ``max_step``. Others have no effect and are warned about.

    Returns:
        a result with ``t``, shape ``(T,)``; ``y``, shape ``(n, T)``; ``sol``, a function of time or
        ``None``; ``t_events`` and ``y_events``, one array an event; ``nfev``, ``njev``, ``nlu``; ``status``,
        0 at the end, 1 after a terminal event, -1 after a failure; ``message`` and ``success``.

    Raises:
        ValueError, TypeError: for arguments that do not fit.
        NotImplementedError: for ``"Radau"``, ``"BDF"`` and ``"LSODA"``; ``kutta.Rodas5P()`` solves stiff
            problems.

    Example:
        >>> from kutta.compat.scipy import solve_ivp
        >>> result = solve_ivp(lambda t, y: -0.5 * y, (0, 10), [2.0, 4.0], t_eval=[0, 5, 10], rtol=1e-8)
        >>> result.y.round(4)
        array([[2.    , 0.1642, 0.0135],
               [4.    , 0.3283, 0.027 ]])
    """
    t0, t1 = (float(t) for t in t_span)
    face = _Tensors(vectorized) if isinstance(y0, Tensor) else _Arrays(vectorized)
    start = face.state(y0)
    times = None if t_eval is None else _output_times(t_eval, t0, t1)
    args = _arguments(args)
    watched = _events(events, face)
    rtol, atol, first_step, max_step = _options(options, abs(t1 - t0), len(start))
    solution = solve(
        ODEProblem(face.right_hand_side(fun), start, (t0, t1), tuple(args)),
        _method(method),
        rtol=rtol,
        atol=atol,
        save_at="steps" if times is None or not len(times) else times,
        dense=dense_output,
        controller=I(dtmax=max_step),
        dt0=first_step,
        max_steps=sys.maxsize,
        events=watched,
        throw=False,
    )
    return _result(solution, face, times, None if events is None else len(watched), (t0, t1))


def _method(method: Any) -> Method:
    if isinstance(method, Method):
        return method
    if method in IMPLICIT:
        raise NotImplementedError(
            f"method {method!r} is not part of this version: for stiff problems pass method=kutta.Rodas5P(), "
            f"or use scipy.integrate.solve_ivp; for others there are {list(METHODS)}"
        )
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {list(METHODS)} or a method such as kutta.Tsit5(); got {method!r}")
    return METHODS[method]


def _arguments(args: Any) -> tuple[Any, ...]:
    try:
        return () if args is None else tuple(args)
    except TypeError as problem:
        raise TypeError(f"`args` must be a tuple; got {args!r}: write args=({args!r},)") from problem


def _output_times(t_eval: Any, t0: float, t1: float) -> Tensor:
    times = torch.as_tensor(t_eval, dtype=torch.float64)
    if times.dim() != 1:
        raise ValueError(f"`t_eval` must be 1-dimensional; got shape {tuple(times.shape)}.")
    low, high = min(t0, t1), max(t0, t1)
    if bool(((times < low) | (times > high)).any()):
        raise ValueError(
            f"Values in `t_eval` are not within `t_span` = ({t0}, {t1}); got times from {float(times.min())} "
            f"to {float(times.max())}."
        )
    gaps = torch.diff(times)
    if bool((gaps <= 0).any() if t1 > t0 else (gaps >= 0).any()):
        raise ValueError("Values in `t_eval` are not properly sorted: they must go from t_span[0] to t_span[1].")
    return times


def _options(options: dict[str, Any], length: float, size: int) -> tuple[Any, Any, float | None, float]:
    unknown = set(options) - {"rtol", "atol", "first_step", "max_step"}
    if unknown:
        names = ", ".join(f"`{name}`" for name in sorted(unknown))
        warnings.warn(f"The following arguments have no effect for a chosen solver: {names}.", stacklevel=3)
    rtol, atol = (_tolerance(name, options.get(name, usual), size) for name, usual in (("rtol", 1e-3), ("atol", 1e-6)))
    if float(torch.as_tensor(rtol).min()) < SMALLEST_RTOL:
        warnings.warn(
            f"At least one element of `rtol` is too small. Setting `rtol = np.maximum(rtol, {SMALLEST_RTOL})`.",
            stacklevel=3,
        )
        rtol = torch.as_tensor(rtol).clamp_min(SMALLEST_RTOL)
    first_step, max_step = options.get("first_step"), float(options.get("max_step", math.inf))
    if max_step <= 0:
        raise ValueError(f"`max_step` must be positive; got {max_step}.")
    if first_step is not None and first_step <= 0:
        raise ValueError(f"`first_step` must be positive; got {first_step}.")
    if first_step is not None and first_step > length:
        raise ValueError(f"`first_step` exceeds bounds: got {first_step} for a time span of length {length}.")
    return rtol, atol, first_step, max_step


def _tolerance(name: str, value: Any, size: int) -> Any:
    tensor = torch.as_tensor(value)
    if tensor.dim() and tensor.shape != (size,):
        raise ValueError(f"`{name}` has wrong shape: it must be a number or have shape ({size},); got {value!r}.")
    if bool((tensor < 0).any()):
        raise ValueError(f"`{name}` must be positive; got {value!r}.")
    return tensor if tensor.dim() else float(tensor)


class _Tensors:
    """Functions of tensors, results in tensors."""

    def __init__(self, vectorized: bool):
        self.vectorized = vectorized

    def state(self, y0: Any) -> Tensor:
        """The initial state."""
        if y0.dim() != 1:
            raise ValueError(f"`y0` must be 1-dimensional; got shape {tuple(y0.shape)}.")
        return y0 if y0.is_floating_point() or y0.is_complex() else y0.to(torch.float64)

    def right_hand_side(self, fun: Callable[..., Any]) -> Callable[..., Tensor]:
        """`fun` as kutta calls it."""
        if not self.vectorized:
            return fun
        return lambda t, y, *args: fun(t, y[:, None], *args).reshape(-1)

    def event(self, event: Callable[..., Any]) -> Callable[..., Tensor]:
        """An event as kutta calls it."""
        return event

    def out(self, value: Tensor) -> Any:
        """A result."""
        return value


class _Arrays(_Tensors):
    """Functions of NumPy arrays, results in NumPy arrays."""

    def state(self, y0: Any) -> Tensor:
        values = np.asarray(y0)
        kind = np.complex128 if np.iscomplexobj(values) else np.float64
        return super().state(torch.from_numpy(values.astype(kind)))

    def right_hand_side(self, fun: Callable[..., Any]) -> Callable[..., Tensor]:
        def derivative(t: Tensor, y: Tensor, *args: Any) -> Tensor:
            state = y.numpy()
            slope = fun(float(t), state[:, None] if self.vectorized else state, *args)
            return torch.from_numpy(np.array(slope, dtype=state.dtype).reshape(-1))

        return derivative

    def event(self, event: Callable[..., Any]) -> Callable[..., Tensor]:
        return lambda t, y, *args: _ArrayEvent.apply(event, args, t, y)  # type: ignore[return-value]

    def out(self, value: Tensor) -> Any:
        return value.numpy()


class _ArrayEvent(torch.autograd.Function):
    """An event written in NumPy, whose derivative along the solution is a difference quotient."""

    @staticmethod
    def forward(event: Callable[..., Any], args: tuple[Any, ...], t: Tensor, y: Tensor) -> Tensor:
        value = np.asarray(event(float(t), y.numpy(), *args), dtype=np.float64)
        return torch.from_numpy(value.reshape(()).copy())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.event, ctx.args, *at = inputs
        ctx.save_for_forward(*at)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        _, _, dt, dy = tangents
        t, y = ctx.saved_tensors
        small = float(np.sqrt(np.finfo(float).eps))
        ahead, behind = (
            _ArrayEvent.apply(ctx.event, ctx.args, t + shift * dt, y + shift * dy) for shift in (small, -small)
        )
        return (ahead - behind) / (2 * small)


@dataclass(frozen=True)
class _Limited(Event):
    """An event that ends the solve at its last allowed occurrence.

    Attributes:
        limit: how many may occur.
        seen: one entry for each that has occurred before.
    """

    limit: int = 1
    seen: Sequence[None] = ()

    @property
    def ends(self) -> bool:
        return len(self.seen) + 1 >= self.limit


def _events(events: Any, face: _Tensors) -> list[Event]:
    given = [] if events is None else [events] if callable(events) else list(events)
    return [_event(event, face) for event in given]


def _event(event: Callable[..., Any], face: _Tensors) -> Event:
    condition, direction = face.event(event), int(np.sign(getattr(event, "direction", 0)))
    terminal = getattr(event, "terminal", None)
    if not terminal:
        return Event(condition, terminal=False, direction=direction)
    if terminal != int(terminal) or terminal < 0:
        raise ValueError(
            f"The `terminal` attribute of each event must be a boolean or positive integer; got {terminal!r}."
        )
    seen: list[None] = []

    def note(t: Tensor, y: Tensor, *args: Any) -> Tensor:
        seen.append(None)
        return y

    return _Limited(condition, note, direction=direction, limit=int(terminal), seen=seen)


class OdeSolution:
    """The solution as a function of time.

    Attributes:
        t_min: smallest time.
        t_max: largest time.
        ts: the times of the solve's outputs.
    """

    def __init__(self, solution: Solution, face: _Tensors, span: tuple[float, float]):
        self.solution, self.face = solution, face
        self.t_min, self.t_max = min(span), max(span)
        self.ts = face.out(solution.ts)

    def __call__(self, t: Any) -> Any:
        """The state at a time, shape ``(n,)``, or at ``(k,)`` times, shape ``(n, k)``."""
        return self.face.out(self.solution(torch.as_tensor(t, dtype=torch.float64)).movedim(0, -1))


def _result(
    solution: Solution, face: _Tensors, times: Tensor | None, events: int | None, span: tuple[float, float]
) -> OdeResult:
    result = solution.result
    assert isinstance(result, Result)
    kept = slice(None) if times is None or len(times) else slice(0)
    occurred = [[record for record in solution.events if record.event == index] for index in range(events or 0)]
    stats = solution.stats
    reached = float(solution.t1.detach())
    return OdeResult(
        t=face.out(solution.ts[kept]),
        y=face.out(solution.ys[kept].T),
        sol=OdeSolution(solution, face, (span[0], reached)) if solution.interpolant is not None else None,
        t_events=None if events is None else [face.out(_stack([one.t for one in some])) for some in occurred],
        y_events=None if events is None else [face.out(_stack([one.y for one in some])) for some in occurred],
        nfev=stats.function_evaluations,
        njev=stats.jacobian_evaluations,
        nlu=stats.steps if stats.linear_solves else 0,  # the systems of a step share their matrix
        status=-1 if result.failed else int(result is Result.EVENT),
        message=_message(result),
        success=not result.failed,
    )


def _message(result: Result) -> str:
    if result is Result.SUCCESS:
        return "The solver successfully reached the end of the integration interval."
    if result is Result.EVENT:
        return "A termination event occurred."
    return f"{result.name}: {result.advice}."


def _stack(values: list[Tensor]) -> Tensor:
    return torch.stack(values) if values else torch.empty(0, dtype=torch.float64)
