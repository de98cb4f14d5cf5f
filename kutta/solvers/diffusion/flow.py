"""The probability-flow equation as an `ODEProblem`, which any method for differential equations solves.

With ``lambda = log(alpha / sigma)`` for the time and ``y = x / alpha`` for the state it is ``dy/dlambda = D - y``.
Where the data or the noise vanish at an end, as for rectified flows, it is ``dx/dt = alpha' D + sigma' e``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem, ODEProblem
from kutta.solution import Solution
from kutta.solvers.diffusion.denoiser import Denoiser
from kutta.solvers.diffusion.guidance import refuse_stepwise
from kutta.solvers.diffusion.plan import Level
from kutta.solvers.diffusion.schedules import Schedule, as_float64


@dataclass(frozen=True)
class Flow:
    """A probability-flow equation, and the way back to the times and states of the problem.

    Attributes:
        equation: the `ODEProblem`.
        to_clock: its time, at a time of the schedule.
        from_clock: the reverse.
        scale: what its state is multiplied by at a time of the schedule.
    """

    equation: ODEProblem
    to_clock: Callable[[Tensor], Tensor]
    from_clock: Callable[[Tensor], Tensor]
    scale: Callable[[Tensor], Tensor]

    def solution(self, found: Solution) -> Solution:
        """The solution in the times and states of the problem."""

        def states(t: Tensor, y: Tensor) -> Tensor:
            scale = self.scale(t).to(y)
            return y * scale.reshape(*scale.shape, *[1] * (y.dim() - scale.dim()))

        ts, t1 = self.from_clock(found.ts), self.from_clock(found.t1)
        inner = found.interpolant

        def interpolant(t: Any) -> Tensor:
            assert inner is not None
            return states(as_float64(t), inner(self.to_clock(as_float64(t))))

        return replace(
            found,
            ts=ts,
            t1=t1,
            ys=states(ts, found.ys),
            y1=states(t1, found.y1),
            interpolant=None if inner is None else interpolant,
        )


def probability_flow(problem: DiffusionProblem) -> Flow:
    """The probability-flow equation of a problem whose arguments are checked."""
    refuse_stepwise(problem.guidance, "the probability flow")
    schedule, (start, end) = problem.schedule, problem.t_span or (problem.schedule.start, problem.schedule.end)
    first, last = (float(schedule.log_snr(as_float64(t))) for t in (start, end))
    if math.isinf(first) or math.isinf(last):
        return _in_time(problem, schedule, start, end)
    return _in_log_snr(problem, schedule, first, last)


def _in_log_snr(problem: DiffusionProblem, schedule: Schedule, first: float, last: float) -> Flow:
    denoiser = Denoiser(problem, problem.x.dtype)

    def alpha(log_snr: Tensor) -> Tensor:
        return schedule.alpha(schedule.time(log_snr))

    def derivative(log_snr: Tensor, y: Tensor) -> Tensor:
        level = _level(schedule, schedule.time(log_snr))
        return denoiser(y * float(level.alpha), level, ["data"])["data"] - y

    y0 = problem.x / float(alpha(as_float64(first)))
    return Flow(ODEProblem(derivative, y0, (first, last)), schedule.log_snr, schedule.time, schedule.alpha)


def _in_time(problem: DiffusionProblem, schedule: Schedule, start: float, end: float) -> Flow:
    denoiser = Denoiser(problem, problem.x.dtype)

    def derivative(t: Tensor, x: Tensor) -> Tensor:
        level = _level(schedule, as_float64(t))
        alpha_rate, sigma_rate = _rates(schedule, t)
        found = denoiser(x, level, ["data", "noise"])
        return alpha_rate * found["data"] + sigma_rate * found["noise"]

    def same(t: Tensor) -> Tensor:
        return t

    return Flow(ODEProblem(derivative, problem.x, (start, end)), same, same, torch.ones_like)


def _level(schedule: Schedule, t: Tensor) -> Level:
    return Level(*(float(one) for one in (t, schedule.alpha(t), schedule.sigma(t), schedule.model_time(t))))


def _rates(schedule: Schedule, t: Tensor) -> tuple[float, float]:
    """``alpha'(t)`` and ``sigma'(t)``."""
    with torch.enable_grad():
        t = as_float64(t).detach().requires_grad_()
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        rates = [
            torch.autograd.grad(one, t, allow_unused=True)[0] if one.requires_grad else None for one in (alpha, sigma)
        ]
    return tuple(0.0 if rate is None else float(rate) for rate in rates)  # type: ignore[return-value]
