"""What stabilised explicit methods share: as many stages as the step size needs to be stable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import as_float
from kutta.solvers.method import Field, Method, Step, Time
from kutta.solvers.stabilised.spectral_radius import estimated_radius, first_direction

STEPS = 25  # that an estimate of the spectral radius serves
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
            method that costs some evaluations of `f`.
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
            nothing = torch.full_like(y, math.nan)
            return Step(t, t + dt, dt, y, nothing, problem, nothing, slopes=(slope, nothing)), carry
        parts = max(1, math.ceil(abs(dt) * radius / self.stiffest(torch.finfo(y.dtype).eps)))
        size, end = dt / parts, Ending(y, slope, torch.zeros_like(y))
        for part in range(parts):
            stages = self.stages(abs(size) * radius)
            y1, last, error = self.advanced(problem, t + part * size, end.y1, size, end.slope, stages)
            end = Ending(y1, last, end.error + error)
        step = Step(t, t + dt, dt, y, end.y1, problem, end.error, slopes=(slope, end.slope))
        return step, (end.slope, radius, direction, age)

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
            bound = as_float(torch.as_tensor(given(time, problem.layout.unravel(y.detach()))))
        if bound < 0.0:
            raise ValueError(f"spectral_radius(t, y) must not be negative; got {bound}")
        return bound
