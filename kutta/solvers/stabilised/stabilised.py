"""What stabilised explicit methods share: as many stages as the step size needs to be stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import as_float
from kutta.solution import Result
from kutta.solvers.method import Field, Method, Step, Time
from kutta.solvers.stabilised.spectral_radius import estimated_radius, first_direction

STEPS = 25  # that an estimate of the spectral radius serves
MOST_STAGES = 100_000  # of one step, with those of all its parts: a method for stiff problems would be done by then
Carry = tuple[Tensor, float, Tensor, int]  # slope, spectral radius, its direction, and how many steps it has served


class Ending(NamedTuple):
    """What a step leads to: the state, the derivative there, and the error estimate."""

    y1: Tensor
    slope: Tensor
    error: Tensor


@dataclass(frozen=True)
class Stabilised(Method):
    """An explicit method whose stability region grows with the square of its number of stages.

    Attributes:
        spectral_radius: of ``df/dy``, whose eigenvalues should lie near the negative real axis: a bound, or a function
            ``(t, y) -> bound``. By default it is estimated every 25 steps, and after every rejected one, by a power
            method that costs some evaluations of `f`. With `Fixed` steps, of which none is rejected, give a bound
            where it may grow fast.

    A step that would take more than 100,000 stages is not taken: the solve ends with ``TOO_STIFF``.
    """

    spectral_radius: float | Callable[[Any, Any], Any] | None = None

    kind = "stabilised Runge-Kutta"
    ensembles = False

    def __post_init__(self) -> None:
        given = self.spectral_radius
        if isinstance(given, int | float) and not 0.0 <= given < math.inf:
            raise ValueError(f"spectral_radius must be finite and not negative; got {given!r}")
        if not (given is None or callable(given) or isinstance(given, int | float)):
            raise TypeError(f"spectral_radius must be a number or a function of (t, y); got {given!r}")

    def stiffest(self, precision: float) -> float:
        """The largest ``|h| * spectral_radius`` that is gone at once, by the precision of the state."""
        return math.inf

    def stages(self, stiffness: float) -> int:
        """How many stages are stable for ``|h| * spectral_radius = stiffness``."""
        raise NotImplementedError

    def advanced(self, problem: Field, t: Time, y: Tensor, dt: Time, slope: Tensor, stages: int) -> Ending:
        """The end of a step with this number of stages."""
        raise NotImplementedError

    def init(self, problem: Field, t: Time, y: Tensor) -> Carry:
        """The slope at the start; its spectral radius is yet to be found."""
        slope = problem.derivative(t, y).clone()
        return slope, 0.0, first_direction(slope), STEPS

    def step(self, problem: Any, t: Time, y: Tensor, dt: Time, carry: Carry) -> tuple[Step, Carry]:
        slope, radius, direction, age = carry = self._with_radius(problem, t, y, carry)
        if not math.isfinite(radius):
            return self._without_end(problem, t, y, dt, slope, None), carry
        parts, stages = self._parts(abs(dt) * radius, torch.finfo(y.dtype).eps)
        if parts * stages > MOST_STAGES:
            return self._without_end(problem, t, y, dt, slope, Result.TOO_STIFF), carry
        size, end = dt / parts, Ending(y, slope, torch.zeros_like(y))
        for part in range(parts):
            y1, last, error = self.advanced(problem, t + part * size, end.y1, size, end.slope, stages)
            end = Ending(y1, last, end.error + error)
        step = Step(t, t + dt, dt, y, end.y1, problem, end.error, slopes=(slope, end.slope))
        return step, (end.slope, radius, direction, age)

    def _parts(self, stiffness: float, precision: float) -> tuple[int, int]:
        """In how many equal parts a step is gone, and with how many stages each; some too many where it is hopeless."""
        parts = max(1.0, stiffness / self.stiffest(precision))
        if parts > MOST_STAGES or stiffness > MOST_STAGES**2:
            return MOST_STAGES, 2
        return math.ceil(parts), self.stages(stiffness / math.ceil(parts))

    def _without_end(self, problem: Field, t: Time, y: Tensor, dt: Time, slope: Tensor, failure: Result | None) -> Step:
        nothing = torch.full_like(y, math.nan)
        return Step(t, t + dt, dt, y, nothing, problem, nothing, slopes=(slope, nothing), failure=failure)

    def resume(self, step: Step, carry: Carry) -> Carry:
        """After a rejected step the spectral radius is looked at again."""
        slope, radius, direction, age = carry
        return (slope, radius, direction, age) if step.accepted else (slope, radius, direction, STEPS)

    def _with_radius(self, problem: Any, t: Time, y: Tensor, carry: Carry) -> Carry:
        slope, radius, direction, age = carry
        given = self.spectral_radius
        if callable(given):
            return slope, self._called(problem, given, t, y), direction, age
        if given is not None:
            return slope, float(given), direction, age
        if age < STEPS:
            return slope, radius, direction, age + 1
        return slope, *estimated_radius(problem, t, y, slope, direction), 1

    def _called(self, problem: Any, given: Callable[[Any, Any], Any], t: Time, y: Tensor) -> float:
        with torch.no_grad():
            time = torch.as_tensor(t, dtype=problem.real_dtype, device=y.device)
            given_bound = given(time, problem.layout.unravel(y.detach()))
        try:
            bound = as_float(torch.as_tensor(given_bound))
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"spectral_radius(t, y) must return one number; got {given_bound!r}") from None
        if not 0.0 <= bound < math.inf:
            raise ValueError(f"spectral_radius(t, y) must be finite and not negative; got {bound} at t = {as_float(t)}")
        return bound
