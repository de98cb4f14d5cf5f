"""Coefficients of penalties over the course of training.

A schedule is a function of the progress of training, from 0 to 1: ``coefficient = schedule(step / steps)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Constant:
    """The same all the time.

    Example:
        >>> from kutta.regularizers.schedules import Constant
        >>> Constant(0.1)(0.5)
        0.1
    """

    value: float

    def __call__(self, progress: float) -> float:
        """The coefficient at a progress from 0 to 1."""
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` to `end` at a constant rate."""

    start: float
    end: float

    def __call__(self, progress: float) -> float:
        """The coefficient at a progress from 0 to 1."""
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Exponential:
    """``start * (end / start)**progress``: from 100 to 10 in the published runs with the error estimate.

    Example:
        >>> from kutta.regularizers.schedules import Exponential
        >>> [round(Exponential(100.0, 10.0)(progress), 2) for progress in (0.0, 0.5, 1.0)]
        [100.0, 31.62, 10.0]
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (self.start > 0.0 and self.end > 0.0):
            raise ValueError(f"start and end must be positive; got {self.start} and {self.end}")

    def __call__(self, progress: float) -> float:
        """The coefficient at a progress from 0 to 1."""
        return self.start * (self.end / self.start) ** progress


@dataclass(frozen=True)
class WarmUp:
    """Zero at first, then a linear rise to another schedule.

    A penalty that acts before the model has learnt anything can make it collapse to standing still.

    Attributes:
        schedule: what to rise to.
        hold: progress until which the coefficient is zero.
        ramp: progress that the rise takes.
    """

    schedule: Schedule
    hold: float = 0.02
    ramp: float = 0.03

    def __post_init__(self) -> None:
        if not (self.hold >= 0.0 and self.ramp > 0.0 and self.hold + self.ramp <= 1.0):
            raise ValueError(f"need hold >= 0, ramp > 0 and hold + ramp <= 1; got {self.hold} and {self.ramp}")

    def __call__(self, progress: float) -> float:
        """The coefficient at a progress from 0 to 1."""
        return self.schedule(progress) * min(max((progress - self.hold) / self.ramp, 0.0), 1.0)


class TargetEvaluations:
    """Steers a coefficient so that a solve comes to cost what one wishes.

    An integral rule on the logarithm, ``log c <- log c + rate * log(evaluations / target)``: the
    coefficient grows while the solves are dearer than the target. It is frozen at the end of
    training, so that the model can settle; report it together with the target.

    Args:
        target: function evaluations of a solve.
        coefficient: to start from.
        rate: how fast it moves.
        freeze: progress from which on it stays.
        limits: smallest and largest coefficient.

    Attributes:
        coefficient: its present value.

    Example:
        >>> from kutta.regularizers.schedules import TargetEvaluations
        >>> steer = TargetEvaluations(target=50, coefficient=0.1)
        >>> steer.update(evaluations=100, progress=0.1) > 0.1
        True
        >>> steer.update(evaluations=100, progress=0.9) == steer.coefficient
        True
    """

    def __init__(
        self,
        target: float,
        coefficient: float = 0.1,
        rate: float = 0.05,
        freeze: float = 0.8,
        limits: tuple[float, float] = (1e-6, 1e6),
    ):
        if not (target > 0.0 and rate > 0.0 and 0.0 < limits[0] <= coefficient <= limits[1]):
            raise ValueError(
                "need target > 0, rate > 0 and a coefficient within positive limits; "
                f"got {target}, {rate}, {coefficient} and {limits}"
            )
        self.target, self.coefficient, self.rate, self.freeze, self.limits = target, coefficient, rate, freeze, limits

    def update(self, evaluations: float, progress: float) -> float:
        """The coefficient after a solve that cost so many evaluations, at a progress from 0 to 1."""
        if progress < self.freeze:
            moved = self.coefficient * math.exp(self.rate * math.log(max(evaluations, 1.0) / self.target))
            self.coefficient = min(max(moved, self.limits[0]), self.limits[1])
        return self.coefficient

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"coefficient": self.coefficient}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.coefficient = float(state["coefficient"])
