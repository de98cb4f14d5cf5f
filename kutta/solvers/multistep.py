"""Adams methods: the slopes of earlier steps, integrated as a polynomial over the next.

With slopes ``f_i`` at times ``t_i`` and ``tau_i = (t_i - t_n) / h``, the polynomial through them gives

    y_{n+1} = y_n + h * sum_i w_i f_i,      sum_i w_i tau_i^p = 1 / (p + 1),   p = 0, 1, ...

so the weights follow from the times, whatever the sizes of the steps (Hairer, Norsett and Wanner,
Solving Ordinary Differential Equations I, section III.5). Adams-Bashforth takes earlier slopes only;
Adams-Moulton adds the one at the new time, ``tau = 1``, evaluated at a predicted state. The first
steps are Runge-Kutta steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.method import Field, Method, Step, Time
from kutta.solvers.runge_kutta import Dopri5, Dopri8, RungeKutta

# A start of order p spoils nothing up to order p + 1, since the number of first steps is fixed.
HIGHEST_ORDER = 9


Past = tuple[tuple[Any, ...], tuple[Tensor, ...]]  # a History as a plain tuple, which the carry is


class History(NamedTuple):
    """Slopes of earlier steps and their times, newest first."""

    times: tuple[Any, ...] = ()
    slopes: tuple[Tensor, ...] = ()

    def with_newest(self, t: Time, slope: Tensor, length: int) -> History:
        """The history with one more slope, cut to a length."""
        return History((t, *self.times)[:length], (slope, *self.slopes)[:length])


@dataclass(frozen=True)
class AdamsBashforth(Method):
    """The explicit Adams method: one evaluation a step. Fixed steps only.

    Attributes:
        order: from 1 to 9.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> sol = kt.solve(problem, kt.AdamsBashforth(4), controller=kt.Fixed(0.01))
        >>> round(float(sol.y1), 7), sol.stats.function_evaluations
        (0.3678794, 118)
    """

    order: int = 4
    source = "Bashforth and Adams, An attempt to test the theories of capillary action, 1883"
    kind = "Adams, explicit"
    steps_alike = False  # the first ones are Runge-Kutta steps

    def __post_init__(self) -> None:
        _check_order(type(self).__name__, self.order, 1)

    def init(self, problem: Field, t: Time, y: Tensor) -> Past:
        """No slopes yet."""
        return (), ()

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Past) -> tuple[Step, Past]:
        slope = problem.derivative(t, y)
        history = History(*carry).with_newest(t, slope, self.order)
        if len(history.slopes) < self.order:
            return _start(self.order, problem, t, y, dt, slope), (history.times, history.slopes)
        y1 = y + _increment(history.times, history.slopes, t, dt)
        return Step(t, t + dt, dt, y, y1, problem), (history.times, history.slopes)


@dataclass(frozen=True)
class AdamsBashforthMoulton(Method):
    """Predict with Adams-Bashforth, evaluate, correct with Adams-Moulton: two evaluations a step.

    The predictor has one order less than the corrector, so that their difference estimates the
    predictor's local error and steps may be adaptive.

    Attributes:
        order: of the corrector, from 2 to 9.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> round(float(kt.solve(problem, kt.AdamsBashforthMoulton(5), rtol=1e-8).y1), 6)
        0.367879
    """

    order: int = 4
    source = "Moulton, New methods in exterior ballistics, 1926"
    kind = "Adams, predictor-corrector"
    steps_alike = False

    def __post_init__(self) -> None:
        _check_order(type(self).__name__, self.order, 2)

    @property
    def error_order(self) -> int:
        return self.order

    def init(self, problem: Field, t: Time, y: Tensor) -> Past:
        """No slopes yet."""
        return (), ()

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Past) -> tuple[Step, Past]:
        slope = problem.derivative(t, y)
        history = History(*carry).with_newest(t, slope, self.order - 1)
        if len(history.slopes) < self.order - 1:
            return _start(self.order, problem, t, y, dt, slope), (history.times, history.slopes)
        predicted = y + _increment(history.times, history.slopes, t, dt)
        ahead = problem.derivative(t + dt, predicted)
        y1 = y + _increment((t + dt, *history.times), (ahead, *history.slopes), t, dt)
        return Step(t, t + dt, dt, y, y1, problem, error=y1 - predicted), (history.times, history.slopes)


def _check_order(name: str, order: int, lowest: int) -> None:
    if not isinstance(order, int) or not lowest <= order <= HIGHEST_ORDER:
        raise ValueError(f"{name}(order) needs a whole number from {lowest} to {HIGHEST_ORDER}; got {order!r}")


def _start(order: int, problem: Field, t: Time, y: Tensor, dt: Time, slope: Tensor) -> Step:
    """A first step, by a Runge-Kutta method of at least one order less."""
    method: RungeKutta = Dopri5() if order <= 6 else Dopri8()
    return method.step(problem, t, y, dt, slope)[0]


def _increment(times: Sequence[Any], slopes: Sequence[Tensor], t: Time, dt: Time) -> Tensor:
    """``h * sum_i w_i f_i`` for slopes at the given times."""
    if isinstance(dt, Tensor) and dt.dim():
        weights = _ensemble_weights(torch.cat(list(times), dim=1), t, dt).to(slopes[0].dtype)
        return dt * sum(weights[:, i : i + 1] * slope for i, slope in enumerate(slopes))
    total = torch.zeros_like(slopes[0])
    for weight, slope in zip(_weights(tuple(round((time - t) / dt, 12) for time in times)), slopes, strict=True):
        total = torch.add(total, slope, alpha=float(weight * dt))
    return total


@lru_cache(maxsize=1024)
def _weights(positions: tuple[float, ...]) -> tuple[float, ...]:
    """The weights ``w_i`` for slopes at the positions ``tau_i``."""
    powers = np.arange(len(positions))
    table = np.array(positions)[None, :] ** powers[:, None]
    return tuple(np.linalg.solve(table, 1.0 / (powers + 1.0)).tolist())


def _ensemble_weights(times: Tensor, t: Tensor, dt: Tensor) -> Tensor:
    """The same for every trajectory, shape ``(b, k)``; rows that stand still get finite ones."""
    still = dt == 0.0
    powers = torch.arange(times.shape[1], device=times.device)
    table = ((times - t) / torch.where(still, 1.0, dt.to(times.dtype)))[:, None, :] ** powers[None, :, None]
    table = torch.where(still[:, :, None], torch.eye(len(powers), dtype=times.dtype, device=times.device), table)
    return torch.linalg.solve(table, (1.0 / (powers + 1.0)).to(times.dtype).expand(len(times), -1))
