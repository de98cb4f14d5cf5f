"""The loop of a problem with one step size: try a step, judge it, try again or go on.

Times, step sizes and decisions are Python numbers; the error ratio (and the values of events) are
read from the device once a trial. Nothing here is differentiated: the step sizes are constants, and
in gradient mode only the state's path through the accepted steps is on the tape, since a rejected
step is dropped with everything that refers to it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.controllers import PID, Controller, StepTo
from kutta.solvers.field import VectorField
from kutta.solvers.initial_step import initial_step
from kutta.solvers.method import Method, Step
from kutta.solvers.tolerance import Tolerance

# A step is stretched by up to this part of itself to land on a stop rather than leave a sliver.
STRETCH = 1e-3
# No step is smaller than this part of the whole solve, even at t = 0 where times have no last place.
TINY = 1e-30


@dataclass
class Counts:
    """Trials so far."""

    accepted: int = 0
    rejected: int = 0

    @property
    def steps(self) -> int:
        """Accepted and rejected steps."""
        return self.accepted + self.rejected


@dataclass
class Stops:
    """Times where a step must end, in the direction of the solve.

    Attributes:
        times: the stops, the final time last.
        jumps: those after which the right-hand side is another one.
        direction: 1 forwards, -1 backwards.
    """

    times: list[float]
    jumps: frozenset[float]
    direction: float
    keys: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = [self.direction * time for time in self.times]

    def after(self, t: float) -> float:
        """The first stop after `t`."""
        return self.times[min(bisect_right(self.keys, self.direction * t), len(self.times) - 1)]


def stops_of(controller: Controller, t0: float, t1: float) -> Stops:
    """All stops of a solve from `t0` to `t1`."""
    direction = 1.0 if t1 >= t0 else -1.0
    jumps = _floats(controller.jump_ts)
    wanted = {*_floats(controller.step_ts), *jumps, *(_floats(controller.ts) if isinstance(controller, StepTo) else ())}
    inside = sorted((s for s in wanted if direction * t0 < direction * s < direction * t1), key=lambda s: direction * s)
    return Stops([*inside, t1], frozenset(jumps).intersection(inside), direction)


def _floats(times: Sequence[float] | Tensor) -> list[float]:
    return times.tolist() if isinstance(times, Tensor) else [float(time) for time in times]


class Stepper:
    """One solve in progress: where it is, and how to take the next accepted step.

    Attributes:
        t: current time.
        y: current state, in the solver's layout.
        h: size (positive) of the next trial step.
        carry: the method's carry.
        earlier: error ratios of the last accepted steps, newest first.
        counts: trials so far.
        result: `Result.SUCCESS` until something fails.
        probed: values of `probe` at the last accepted step.
    """

    def __init__(
        self,
        vector_field: VectorField,
        method: Method,
        controller: Controller,
        tolerance: Tolerance,
        span: tuple[float, float],
        y: Tensor,
        dt0: float | None = None,
        max_steps: int = 100_000,
        probe: Callable[[Step], list[Tensor]] | None = None,
    ):
        self.field, self.method, self.controller, self.tolerance = vector_field, method, controller, tolerance
        self.t, self.t1 = span
        self.y, self.stops, self.max_steps, self.probe = y, stops_of(controller, *span), max_steps, probe
        self.counts, self.result, self.probed = Counts(), Result.SUCCESS, [0.0]
        self.earlier: tuple[float, ...] = (1.0,) * getattr(controller, "memory", 0)
        self.after_rejection = False
        self.floor = TINY * abs(self.t1 - self.t)
        self.carry = method.init(vector_field, self.t, y)
        self.size = y.detach().abs()
        self.h = self._first_step(dt0)

    @property
    def done(self) -> bool:
        """Whether the final time is reached, or the solve has failed."""
        return self.t == self.t1 or self.result.failed

    def restart(self, t: float, y: Tensor) -> None:
        """Go on from another state, keeping the step size and the statistics."""
        self.t, self.y = t, y
        self.size = y.detach().abs()
        self.carry = self.method.init(self.field, t, y)

    def advance(self) -> Step | None:
        """The next accepted step; ``None`` when it cannot be had, with `result` saying why."""
        while not self.done:
            if self.counts.steps >= self.max_steps:
                self.result = Result.MAX_STEPS
                break
            largest = self._limit() if self.controller.limits else math.inf
            if math.isnan(largest):
                self.h, self.result = largest, Result.NON_FINITE
                break
            step, carry = self._trial(min(self.h, largest))
            ratio = self._judge(step)
            if step.accepted:
                self._accept(step, carry, ratio)
                return step
            self._reject(step, ratio)
        return None

    def _first_step(self, dt0: float | None) -> float:
        controller = self.controller
        if not isinstance(controller, PID):
            return getattr(controller, "dt", math.inf)
        if dt0 is not None:
            return min(dt0, controller.dtmax)
        slope = self.carry if self.method.carries_slope else self.field.derivative(self.t, self.y)
        h = initial_step(self.field, self.t, self.y, slope, self.stops.direction, self.tolerance, self.method.order)
        return min(max(read(h), controller.dtmin), controller.dtmax)

    def _trial(self, h: float) -> tuple[Step, Any]:
        t, stop, direction = self.t, self.stops.after(self.t), self.stops.direction
        lands = abs(stop - t) <= h * (1.0 + STRETCH)
        end = stop if lands else t + direction * h
        reach = _just_before(end, direction, self.field.real_dtype) if lands and end in self.stops.jumps else end
        step, carry = self.method.step(self.field, t, self.y, reach - t, self.carry)
        step.t1, step.tolerance = end, self.tolerance
        return step, carry

    def _limit(self) -> float:
        """The largest step that the controller allows from here.

        NaN from the start is the mistake of a function, which is refused; later on the state has come to where it has
        no value, such as the speed of waves on water of negative depth.
        """
        with torch.no_grad():
            time = torch.scalar_tensor(self.t, dtype=self.field.real_dtype, device=self.field.device)
            limit = self.controller.limit(time, self.field.layout.unravel(self.y.detach()))
        size = read(torch.as_tensor(limit).reshape(-1).amin())
        if not size > 0.0 and not (math.isnan(size) and self.counts.accepted):
            raise ValueError(f"the largest step size must be positive; at t = {self.t:.9g} max_step or CFL gave {size}")
        return size

    def _judge(self, step: Step) -> float:
        """Read the error ratio and the probe, and mark the step as accepted or not."""
        size = step.y1.detach().abs()
        if isinstance(self.controller, PID):
            if step.error is None:
                raise ValueError(f"{type(self.method).__name__} gave no error estimate: use controller=Fixed(dt)")
            values = [self.tolerance.ratio(step.error.detach(), self.size, size)]
        else:
            values = [torch.where(torch.isfinite(size).all(), 0.0, math.inf)]
        if self.probe is not None:
            values += self.probe(step)
            ratio, *self.probed = read(torch.stack([value.reshape(()).to(torch.float64) for value in values]))
        else:
            ratio = read(values[0])
        smallest = self.controller.dtmin * (1.0 + STRETCH)
        forced = self.controller.force_dtmin and abs(step.dt) <= smallest and math.isfinite(ratio)
        step.accepted = ratio <= 1.0 or forced
        if step.accepted:
            self.size = size
        return ratio

    def _accept(self, step: Step, carry: Any, ratio: float) -> None:
        self.counts.accepted += 1
        self.y, self.t, self.carry = step.y1, step.t1, carry
        if isinstance(self.controller, PID):
            ratio, factor = self._factor(ratio)
            grown = abs(step.dt) * (min(factor, 1.0) if self.after_rejection else factor)
            # A step cut short to land on a stop says nothing against the size proposed before it.
            cut_short = abs(step.dt) < self.h * (1.0 - STRETCH)
            self.h = min(max(grown, self.h if cut_short else 0.0), self.controller.dtmax)
            self.h = max(self.h, self.controller.dtmin)
            self.earlier = (ratio, *self.earlier)[: self.controller.memory]
            self.after_rejection = False
        if step.t1 in self.stops.jumps:
            self.t = _just_after(step.t1, self.stops.direction, self.field.real_dtype)
            self.restart(self.t, self.y)

    def _factor(self, ratio: float) -> tuple[float, float]:
        assert isinstance(self.controller, PID)
        return self.controller.factor(ratio, self.earlier, self.method.error_order or 1)

    def _reject(self, step: Step, ratio: float) -> None:
        self.counts.rejected += 1
        self.carry = self.method.resume(step, self.carry)
        step.release()
        # What is stable in few stages is a matter of the step size, unless no step has been taken at all.
        shorter_helps = step.failure is None or (step.failure is Result.TOO_STIFF and self.counts.accepted > 0)
        if not (shorter_helps and isinstance(self.controller, PID)):
            self.result = step.failure or Result.NON_FINITE
            return
        self.after_rejection = True
        size = abs(step.dt)
        self.h = size * min(self._factor(ratio)[1], self.controller.safety)
        smallest = max(self.controller.dtmin, 4.0 * math.ulp(self.t), self.floor)
        if size <= smallest * (1.0 + STRETCH):
            self.result = Result.STEP_UNDERFLOW if math.isfinite(ratio) else Result.NON_FINITE
        self.h = max(self.h, smallest)


def _just_before(t: float, direction: float, dtype: torch.dtype) -> float:
    """The last time before `t` that the right-hand side can tell from `t`, in its dtype."""
    return _neighbour(t, -direction, dtype)


def _just_after(t: float, direction: float, dtype: torch.dtype) -> float:
    return _neighbour(t, direction, dtype)


def _neighbour(t: float, direction: float, dtype: torch.dtype) -> float:
    if dtype == torch.float64:
        return math.nextafter(t, direction * math.inf)
    return float(np.nextafter(np.float32(t), np.float32(direction * math.inf)))
