"""torchdiffeq's methods on a prescribed grid: kutta's methods, one step for each of its intervals.

There is no error to control, so the steps are taken one after the other without reading anything
from the device: a state that becomes infinite or NaN stays so, and the other entries go on. Where
the grid requires gradients, step sizes are tensors and the gradient is that of the discrete solution
(Adams methods, whose weights depend on the grid, take that of the continuous one).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, read
from kutta.compat.torchdiffeq.common import callback_arguments, starts_at_event, warn_about_unused
from kutta.problems import ODEProblem
from kutta.solvers import tableaus
from kutta.solvers.events import Event, EventWatch
from kutta.solvers.field import VectorField
from kutta.solvers.method import Field, Method, Step
from kutta.solvers.multistep import AdamsBashforth, AdamsBashforthMoulton
from kutta.solvers.runge_kutta import RungeKutta
from kutta.solvers.tableaus.parse import butcher, row
from kutta.solvers.tableaus.tableau import Tableau
from kutta.solvers.times import follow_initial_time, follow_output_time
from kutta.state import layout_of

MAX_EVENT_STEPS = 20_000

_c, _a = butcher(
    """
    0   |
    1/3 | 1/3
    2/3 | 0   2/3
    """
)

HEUN3 = Tableau(
    name="Heun 3",
    order=3,
    c=_c,
    a=_a,
    b=row("1/4 0 3/4"),
    source="K. Heun, Z. Math. Phys. 45 (1900) 23-38, the third-order member",
    stability_size=2.5127,
)


class FixedGridODESolver:
    """A method on a prescribed grid with its options, ready to integrate.

    A method of one's own derives from this, defines ``_step_func(func, t0, dt, t1, y0)``, which
    returns the increment of the state and the first slope, and is registered in `SOLVERS`.

    Args:
        func: the right-hand side, a function of ``(t, y)``.
        y0: the initial state, one tensor.
        step_size: size of the steps; the last one is cut to land on the final time.
        grid_constructor: gives the grid, ``grid_constructor(func, y0, t)``. Without it and without
            `step_size` the grid is the output times.
        interp: ``"linear"`` or ``"cubic"``, for outputs and events inside a step.
        perturb: whether `func` is evaluated just after the start and just before the end of a step
            instead of at them, for an `func` that is discontinuous on the grid.
        rtol, atol, norm: accepted; there is no error to control.
        unused: anything else, which is warned about.
    """

    tableau: ClassVar[Tableau | None] = None

    def __init__(
        self,
        func: Callable[..., Any],
        y0: Tensor,
        step_size: Any = None,
        grid_constructor: Callable[..., Tensor] | None = None,
        interp: str = "linear",
        perturb: bool = False,
        *,
        rtol: Any = None,
        atol: Any = None,
        norm: Any = None,
        **unused: Any,
    ):
        warn_about_unused(self, unused)
        if step_size is not None and grid_constructor is not None:
            raise ValueError("step_size and grid_constructor are mutually exclusive arguments.")
        if interp not in ("linear", "cubic"):
            raise ValueError(f'Unknown interpolation method {interp}: use "linear" or "cubic"')
        self.func, self.y0, self.interp, self.perturb = func, y0, interp, perturb
        self.step_size, self.grid_constructor = step_size, grid_constructor

    @classmethod
    def valid_callbacks(cls) -> set[str]:
        """Names of the callbacks that are called."""
        return {"callback_step"}

    def method(self) -> Method:
        """Kutta's method for one step."""
        if self.tableau is None:
            return _StepFunction(self._step_func)
        return RungeKutta(self.tableau)

    def _step_func(self, func: Any, t0: Any, dt: Any, t1: Any, y0: Tensor) -> tuple[Tensor, Tensor]:
        """The increment of the state over one step, and the slope at its start."""
        raise NotImplementedError(f"{type(self).__name__} must define _step_func or tableau")

    def integrate(self, t: Tensor) -> Tensor:
        """The states at the times `t`, the first of which is the initial one, ``(T, *y0.shape)``."""
        rows = [self.y0]
        if len(t) == 1:
            return self.y0[None].clone()
        method, field, grid = self.method(), self._field(t), self._grid(t)
        on_tape = carries_gradient(grid) and not isinstance(method, AdamsBashforth | AdamsBashforthMoulton)
        times, forward = _times(t, on_tape), 1.0 if t[-1] >= t[0] else -1.0
        y0 = self.y0 if on_tape else follow_initial_time(field, t[0], self.y0)
        for step, start, end in self._steps(method, field, y0, pairwise(_times(grid, on_tape))):
            while len(rows) < len(times) and forward * (times[len(rows)] - end) <= 0.0:
                rows.append(_output(step, start, end, times[len(rows)]))
        if not on_tape:
            rows[1:] = [follow_output_time(field, time, row) for time, row in zip(t[1:], rows[1:], strict=True)]
        return torch.stack(rows)

    def integrate_until_event(
        self, t0: Tensor, event_fn: Callable[..., Tensor], direction: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The time at which `event_fn`, positive at the start, becomes zero, and the states at both ends."""
        assert self.step_size is not None, (
            "Event handling for fixed step solvers currently requires `step_size` to be provided in options."
        )
        start, size = float(t0.detach()), direction * float(self.step_size)
        if starts_at_event(event_fn, t0, self.y0):
            return t0.detach(), torch.stack([self.y0, self.y0])
        field = self._field(t0)
        y0 = follow_initial_time(field, t0, self.y0)
        watch = EventWatch((Event(event_fn),), field, direction)
        watch.start(start, y0)
        edges = ((start + index * size, start + (index + 1) * size) for index in count())
        for step, before, after in self._steps(self.method(), field, y0, islice(edges, MAX_EVENT_STEPS)):
            hit = watch.first(step, read(torch.stack(watch.probe(step)).to(torch.float64)))
            if hit is not None:
                time = torch.tensor(hit.t, dtype=torch.float64, device=self.y0.device)
                return time, torch.stack([self.y0, _output(step, before, after, hit.t)])
        raise RuntimeError(f"Reached maximum number of iterations {MAX_EVENT_STEPS}.")

    def _grid(self, t: Tensor) -> Tensor:
        """The ends of all steps."""
        if self.step_size is not None:
            return _uniform(t, self.step_size)
        if self.grid_constructor is None:
            return t
        grid = self.grid_constructor(self.func, self.y0, t)
        assert grid[0] == t[0] and grid[-1] == t[-1], (
            f"the grid must start and end where t does, at {float(t[0])} and {float(t[-1])}; "
            f"got {float(grid[0])} and {float(grid[-1])}"
        )
        return grid

    def _field(self, t: Tensor) -> VectorField:
        start = float(t.detach().reshape(-1)[0])
        return VectorField(ODEProblem(self.func, self.y0, (start, start)), layout_of(self.y0, ensemble=False))

    def _steps(
        self, method: Method, field: VectorField, y: Tensor, edges: Iterable[tuple[Any, Any]]
    ) -> Iterator[tuple[Step, Any, Any]]:
        """One step for each pair of times, and the pair."""
        carry = None
        callback = getattr(self.func, "callback_step", None)
        for index, (start, end) in enumerate(edges):
            t0, t1 = _number(start), _number(end)
            if callback is not None:
                callback(*callback_arguments(t0, y, t1 - t0))
            view: Any = Stretched(field, start, end) if isinstance(start, Tensor) else field
            view = Perturbed(view, t0, t1 - t0) if self.perturb else view
            if index == 0 and not method.carries_slope:
                carry = method.init(view, t0, y)
            step, carry = method.step(view, t0, y, t1 - t0, carry)
            step.t1 = t1
            if self.interp == "linear":
                step.interpolant = _Chord(step.y0, step.y1)
            yield step, start, end
            y, carry = step.y1, None if self.perturb and method.carries_slope else method.resume(step, carry)
            step.release()


class _Chord:
    """The straight line between the ends of a step."""

    def __init__(self, y0: Tensor, y1: Tensor):
        self.y0, self.y1 = y0, y1

    def __call__(self, theta: Any) -> Tensor:
        return self.y0 + theta * (self.y1 - self.y0)


def _number(t: Any) -> float:
    return float(t.detach()) if isinstance(t, Tensor) else t


def _output(step: Step, start: Any, end: Any, t: Any) -> Tensor:
    """The state at a time in a step with the given ends."""
    if t == end:
        return step.y1
    theta = (t - start) / (end - start)
    return step.at(theta.to(step.field.real_dtype) if isinstance(theta, Tensor) else theta)  # type: ignore[attr-defined]


def _uniform(t: Tensor, step_size: Any) -> Tensor:
    """Times a step apart, the last of which is cut to the end of `t`."""
    length = (t[-1] - t[0]).detach()
    steps = int(torch.ceil(length.abs() / step_size))
    inside = torch.arange(steps, dtype=t.dtype, device=t.device) * step_size * torch.sign(length) + t[0]
    return torch.cat([inside, t[-1:]])


def _times(t: Tensor, on_tape: bool) -> list[Any]:
    """The times as numbers; as tensors where step sizes are differentiated."""
    wide = t.to(torch.float64)
    return list(wide.unbind()) if on_tape else wide.tolist()


class Stretched:
    """A right-hand side on a step whose ends are differentiated, while its size stays a number.

    With ``r = (t1 - t0) / stop(t1 - t0)``, one in value, ``r f`` over a step of constant size is ``f``
    over a step of size ``t1 - t0``.
    """

    def __init__(self, field: VectorField, t0: Tensor, t1: Tensor):
        self.field, self.real_dtype = field, field.real_dtype
        self.t0, size = _number(t0), (t1 - t0).detach()
        self.moved, self.stretch = t0 - t0.detach(), (t1 - t0 - size) / size

    def derivative(self, t: Any, y: Tensor) -> Tensor:
        """``dy/dt`` for a time of the step with constant ends."""
        time = t + self.moved + (t - self.t0) * self.stretch
        return self.field.derivative(time, y) * (1.0 + self.stretch.to(self.real_dtype))


class Perturbed:
    """A right-hand side that is never evaluated at the ends of a step, but a hair's breadth inside."""

    def __init__(self, field: VectorField | Stretched, t0: float, dt: float):
        self.field, self.real_dtype = field, field.real_dtype
        self.inwards = {t0: dt, t0 + dt: -dt}

    def derivative(self, t: Any, y: Tensor) -> Tensor:
        """``dy/dt``, with `t` moved to the next number inside the step if it is one of its ends."""
        direction = self.inwards.get(_number(t))
        if direction is not None:
            time = torch.as_tensor(t, dtype=self.real_dtype, device=y.device)
            t = torch.nextafter(time, torch.full_like(time, math.copysign(math.inf, direction)))
        return self.field.derivative(t, y)


class _StepFunction(Method):
    """The ``_step_func`` of a user's own solver as a method."""

    order = 1

    def __init__(self, function: Callable[..., tuple[Tensor, Tensor]]):
        self.function = function

    def step(self, problem: Field, t: Any, y: Tensor, dt: Any, carry: Any) -> tuple[Step, Any]:
        def func(t: Any, y: Tensor, perturb: Any = None) -> Tensor:
            return problem.derivative(t, y)

        t0, size = (torch.as_tensor(value, device=y.device) for value in (t, dt))
        increment, slope = self.function(func, t0, size, t0 + size, y)
        return Step(t, t + dt, dt, y, y + increment, problem, stages=(slope,)), None


class Euler(FixedGridODESolver):
    """Euler's method."""

    tableau = tableaus.EULER


class Midpoint(FixedGridODESolver):
    """The explicit midpoint rule."""

    tableau = tableaus.MIDPOINT


class Heun2(FixedGridODESolver):
    """Heun's method of order two."""

    tableau = tableaus.HEUN


class Heun3(FixedGridODESolver):
    """Heun's method of order three."""

    tableau = HEUN3


class RK4(FixedGridODESolver):
    """Kutta's 3/8 rule, which torchdiffeq calls rk4."""

    tableau = tableaus.RK38
