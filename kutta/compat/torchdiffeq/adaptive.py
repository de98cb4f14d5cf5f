"""torchdiffeq's adaptive methods: `kutta.solve` with the integral controller that they use."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.compat.torchdiffeq.common import callback_arguments, starts_at_event, warn_about_unused
from kutta.compat.torchdiffeq.states import CALLBACKS, root_mean_square
from kutta.problems import ODEProblem
from kutta.regularizers.regularizer import Regularizer
from kutta.solution import Result, Solution, SolveError
from kutta.solve import solve
from kutta.solvers import tableaus
from kutta.solvers.controllers import I
from kutta.solvers.events import Event, EventWatch
from kutta.solvers.field import VectorField
from kutta.solvers.march import Leg, march
from kutta.solvers.method import Field, Step
from kutta.solvers.runge_kutta import RungeKutta, RungeKuttaStep
from kutta.solvers.stepper import Stepper
from kutta.solvers.tableaus.tableau import Tableau
from kutta.solvers.times import follow_initial_time
from kutta.solvers.tolerance import Tolerance
from kutta.state import layout_of

# How far an event is looked for: beyond any time scale, yet a number in every dtype.
HORIZON = 1e15


class AdaptiveStepsizeODESolver:
    """An adaptive method with its options, ready to integrate.

    Args:
        func: the right-hand side, a function of ``(t, y)``.
        y0: the initial state, one tensor.
        rtol: relative tolerance.
        atol: absolute tolerance.
        norm: maps the scaled error to a number.
        min_step: a step this small is accepted whatever its error.
        max_step: largest step.
        first_step: first step; estimated when not given.
        step_t: times on which a step must end.
        jump_t: times at which `func` is discontinuous.
        safety: aims below the tolerance.
        ifactor: largest growth from step to step.
        dfactor: smallest shrinking from step to step.
        max_num_steps: largest number of steps between two output times, on average.
        dtype: accepted; times are always float64.
        unused: anything else, which is warned about.
    """

    tableau: ClassVar[Tableau]

    def __init__(
        self,
        func: Callable[..., Any],
        y0: Tensor,
        rtol: Any,
        atol: Any,
        *,
        norm: Callable[..., Any] | None = None,
        min_step: Any = 0,
        max_step: Any = math.inf,
        first_step: Any = None,
        step_t: Any = None,
        jump_t: Any = None,
        safety: Any = 0.9,
        ifactor: Any = 10.0,
        dfactor: Any = 0.2,
        max_num_steps: int = 2**31 - 1,
        dtype: torch.dtype = torch.float64,
        **unused: Any,
    ):
        warn_about_unused(self, unused)
        self.func, self.y0, self.rtol, self.atol = func, y0, rtol, atol
        self.first_step = None if first_step is None else abs(float(first_step))
        self.max_num_steps = int(max_num_steps)
        self.controller = I(
            dtmin=float(min_step),
            dtmax=float(max_step),
            force_dtmin=float(min_step) > 0,
            norm=None if norm is root_mean_square else norm,
            step_ts=_times(step_t),
            jump_ts=_times(jump_t),
            safety=float(safety),
            max_factor=float(ifactor),
            min_factor=float(dfactor),
        )
        if set(self.controller.step_ts) & set(self.controller.jump_ts):
            raise ValueError("`step_t` and `jump_t` must not have any repeated elements between them.")
        self.watcher = _Accepted(getattr(func, "callback_accept_step", None))

    @classmethod
    def valid_callbacks(cls) -> set[str]:
        """Names of the callbacks that are called."""
        return set(CALLBACKS)

    def integrate(self, t: Tensor) -> Tensor:
        """The states at the times `t`, the first of which is the initial one, ``(T, *y0.shape)``."""
        if len(t) == 1:
            return self.y0[None].clone()
        return self.solve(t, save_at=t).ys

    def solve(self, t: Tensor, **options: Any) -> Solution:
        """`kutta.solve` from the first to the last of the times `t`."""
        try:
            return solve(
                ODEProblem(self.func, self.y0, (t[0], t[-1].detach())),
                self._method(),
                rtol=self.rtol,
                atol=self.atol,
                controller=self.controller,
                dt0=self.first_step,
                max_steps=self.max_num_steps * (len(t) - 1),
                penalties={"accepted": self.watcher},
                **options,
            )
        except SolveError as failure:
            raise _assertion(failure.result, failure.t, failure.dt, self.max_num_steps) from failure

    def integrate_until_event(
        self, t0: Tensor, event_fn: Callable[..., Tensor], direction: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The time at which `event_fn`, positive at the start, becomes zero, and the states at both ends."""
        start = float(t0.detach())
        if starts_at_event(event_fn, t0, self.y0):
            return t0.detach(), torch.stack([self.y0, self.y0])
        field = VectorField(ODEProblem(self.func, self.y0, (start, direction * HORIZON)), layout_of(self.y0, False))
        y0 = follow_initial_time(field, t0, self.y0)
        stepper = self._stepper(field, start, direction, y0)
        watch = EventWatch((Event(event_fn),), field, direction)
        course = march(Leg(stepper, y0, (), watch, (self.watcher,), (None,)))
        if course.hit is None:
            raise _assertion(stepper.result, stepper.t, stepper.h, self.max_num_steps)
        return torch.full_like(t0.detach(), course.hit.t, dtype=torch.float64), torch.stack([self.y0, course.y1])

    def _stepper(self, field: VectorField, start: float, direction: float, y0: Tensor) -> Stepper:
        tolerance = Tolerance(self.rtol, self.atol, self.controller.norm, field.layout)
        span = (start, direction * HORIZON)
        return Stepper(field, self._method(), self.controller, tolerance, span, y0, self.first_step, self.max_num_steps)

    def _method(self) -> RungeKutta:
        before, rejected = (getattr(self.func, name, None) for name in ("callback_step", "callback_reject_step"))
        if before is None and rejected is None:
            return RungeKutta(self.tableau)
        return _Observed(self.tableau, before or _ignore, rejected or _ignore)

    @property
    def typical_step(self) -> float | None:
        """A step size to go on with: the last one that was not cut to land on the end."""
        return max(self.watcher.sizes, default=None)


class Dopri5Solver(AdaptiveStepsizeODESolver):
    """Dormand and Prince's 5(4) pair."""

    tableau = tableaus.DOPRI5


class Tsit5Solver(AdaptiveStepsizeODESolver):
    """Tsitouras's 5(4) pair."""

    tableau = tableaus.TSIT5


class Dopri8Solver(AdaptiveStepsizeODESolver):
    """DOP853, Dormand and Prince's 8(5,3) method, in place of their older 8(7) pair."""

    tableau = tableaus.DOPRI8


class Bosh3Solver(AdaptiveStepsizeODESolver):
    """Bogacki and Shampine's 3(2) pair."""

    tableau = tableaus.BOSH3


class Fehlberg2(AdaptiveStepsizeODESolver):
    """Fehlberg's 2(1) pair."""

    tableau = tableaus.FEHLBERG2


class AdaptiveHeunSolver(AdaptiveStepsizeODESolver):
    """Heun's method with Euler's as its error estimate."""

    tableau = tableaus.HEUN


@dataclass(frozen=True)
class _Observed(RungeKutta):
    """A Runge-Kutta method that calls back before each trial and after each rejected one."""

    before: Callable[..., Any]
    rejected: Callable[..., Any]

    def step(self, problem: Field, t: Any, y: Tensor, dt: Any, carry: Any) -> tuple[RungeKuttaStep, Any]:
        self.before(*callback_arguments(t, y, dt))
        return super().step(problem, t, y, dt, carry)

    def resume(self, step: Step, carry: Any) -> Any:
        if not step.accepted:
            self.rejected(*callback_arguments(step.t0, step.y0, step.dt))
        return super().resume(step, carry)


class _Accepted(Regularizer):
    """Reads the accepted steps: calls back, and keeps the last two step sizes."""

    def __init__(self, callback: Callable[..., Any] | None):
        self.callback = callback
        self.sizes: tuple[float, ...] = ()

    def init(self, y: Tensor) -> None:
        self.sizes = ()

    def update(self, state: None, step: Step) -> None:
        self.sizes = (*self.sizes[-1:], abs(step.dt))  # type: ignore[assignment]
        if self.callback is not None:
            self.callback(*callback_arguments(step.t0, step.y0, step.dt))

    def value(self, state: None) -> Tensor:
        return torch.zeros(())


def _ignore(*arguments: Any) -> None:
    pass


def _times(ts: Any) -> tuple[float, ...]:
    return () if ts is None else tuple(torch.as_tensor(ts).detach().to(torch.float64).reshape(-1).tolist())


def _assertion(result: Result, t: float, dt: float, max_num_steps: int) -> Exception:
    """The failure of a solve as torchdiffeq's callers expect it."""
    if result is Result.MAX_STEPS:
        return AssertionError(f"max_num_steps exceeded ({max_num_steps}>={max_num_steps}) at t = {t:.9g}")
    if result is Result.STEP_UNDERFLOW:
        return AssertionError(f"underflow in dt {dt} at t = {t:.9g}: {result.advice}")
    if result is Result.NON_FINITE:
        return AssertionError(f"non-finite values in state `y` after t = {t:.9g}: {result.advice}")
    return RuntimeError(f"the event did not happen before t = {t:.9g}: event_fn(t, y) kept its sign")
