"""The probability-flow equation as an `ODEProblem`, which any method for differential equations solves.

With the expected data `D` and noise `e`, where ``x = alpha D + sigma e``, it is

    dx/dt = alpha' D + sigma' e = (sigma'/sigma) x + (alpha' - alpha sigma'/sigma) D.

With ``lambda = log(alpha / sigma)`` for the time and ``y = x / alpha`` for the state it is semilinear, and its linear
part is the number -1:

    dy/dlambda = -y + D,    y(lambda + h) = exp(-h) y(lambda) + int_0^h exp(-(h - r)) D(lambda + r) dr.

This is the equation here. Methods for differential equations integrate its right-hand side as a whole; exponential
methods solve the linear part exactly and follow `D` alone, which is what `ExponentialMultistep` and its relatives do
(`kutta.solvers.diffusion.exponential.forms`). Where the data or the noise vanish at an end, as for rectified flows,
`lambda` is infinite there, and the equation is the first one, in `t`.
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
from kutta.solvers.diffusion.checking import checked, refuse_pure_noise, span_of
from kutta.solvers.diffusion.guidance.cfg import refuse_stepwise
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.plans.plan import Level


@dataclass(frozen=True)
class Flow:
    """A probability-flow equation, and the way back to the times and states of the problem.

    Attributes:
        problem: whose flow it is.
        equation: the `ODEProblem`; its state is float32 at least.
        to_clock: its time, at a time of the schedule.
        from_clock: the reverse.
        scale: what its state is multiplied by at a time of the schedule.
    """

    problem: DiffusionProblem
    equation: ODEProblem
    to_clock: Callable[[Tensor], Tensor]
    from_clock: Callable[[Tensor], Tensor]
    scale: Callable[[Tensor], Tensor]

    def clock_times(self, t: Tensor) -> Tensor:
        """Times of the schedule as times of the equation, the two ends without rounding error.

        Raises:
            ValueError: for times that do not lie between the ends.
        """
        (start, end), (first, last) = span_of(self.problem), self.equation.t_span
        if not bool(((t <= start) & (t >= end)).all()):
            raise ValueError(
                f"times must lie within t_span = ({start:.6g}, {end:.6g}); got {float(t.min()):.6g} to "
                f"{float(t.max()):.6g}"
            )
        return torch.where(t == start, first, torch.where(t == end, last, self.to_clock(t)))

    def times(self, clock: Tensor) -> Tensor:
        """The reverse of `clock_times`."""
        (start, end), (first, last) = span_of(self.problem), self.equation.t_span
        return torch.where(clock == first, start, torch.where(clock == last, end, self.from_clock(clock)))

    def solution(self, found: Solution) -> Solution:
        """The solution in the times and states of the problem."""
        dtype = self.problem.x.dtype

        def states(t: Tensor, y: Tensor) -> Tensor:
            scale = self.scale(t).to(y)
            return (y * scale.reshape(*scale.shape, *[1] * (y.dim() - scale.dim()))).to(dtype)

        ts, t1 = self.times(as_float64(found.ts)), self.times(as_float64(found.t1))
        inner = found.interpolant

        def interpolant(t: Any) -> Tensor:
            assert inner is not None
            return states(as_float64(t), inner(self.clock_times(as_float64(t))))

        return replace(
            found,
            ts=ts,
            t1=t1,
            ys=states(ts, found.ys),
            y1=states(t1, found.y1),
            interpolant=None if inner is None else interpolant,
        )


def probability_flow(problem: DiffusionProblem) -> Flow:
    """The probability-flow equation of a problem, for methods and options that samplers do not have.

    With ``lambda = log(alpha / sigma)`` for the time, ``y = x / alpha`` for the state and the expected data `D`

        dy/dlambda = -y + D(alpha y, t(lambda)),

    a semilinear equation with the linear part -1; where `lambda` is infinite at an end, ``dx/dt = alpha' D + sigma' e``
    in the time of the schedule, with the expected noise `e`.

    Args:
        problem: as for `kutta.solve`.

    Returns:
        a `Flow`: ``equation``, an `ODEProblem` of at least float32, and ``solution``, which brings what `kutta.solve`
        finds for it back to the times and states of the problem.

    Raises:
        TypeError, ValueError: for a problem that does not fit, guidance that belongs to steps, and ends at which there
            is no right-hand side.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x = 10.0 * torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> flow = kt.diffusion.probability_flow(problem)
        >>> sol = flow.solution(kt.solve(flow.equation, kt.Tsit5(), rtol=1e-6, atol=1e-6))
        >>> torch.equal(sol.y1, kt.solve(problem, kt.Tsit5(), rtol=1e-6, atol=1e-6).y1)
        True
    """
    return flow_of(checked(problem))


def flow_of(problem: DiffusionProblem) -> Flow:
    """The probability-flow equation of a problem whose arguments are checked."""
    _refuse_ends(problem)
    refuse_stepwise(problem.guidance, "the probability flow")
    schedule, (start, end) = problem.schedule, span_of(problem)
    first, last = (float(schedule.log_snr(as_float64(t))) for t in (start, end))
    denoiser = Denoiser(problem)
    x = denoiser.start
    if math.isinf(first) or math.isinf(last):
        return Flow(problem, _in_time(schedule, denoiser, x, start, end), _same, _same, torch.ones_like)
    equation = _in_log_snr(schedule, denoiser, x, first, last)
    return Flow(problem, equation, schedule.log_snr, schedule.time, schedule.alpha)


def _refuse_ends(problem: DiffusionProblem) -> None:
    start, end = span_of(problem)
    refuse_pure_noise(problem, start)
    if problem.prediction == "data" and float(problem.schedule.sigma(as_float64(end))) == 0.0:
        raise ValueError(
            f"at t = {end:.6g} there is no noise, where prediction='data' says nothing about the slope: end earlier by "
            "t_span, use a sampler, or a model that predicts the flow"
        )


def _same(t: Tensor) -> Tensor:
    return t


def _in_log_snr(schedule: Schedule, denoiser: Denoiser, x: Tensor, first: float, last: float) -> ODEProblem:
    def derivative(log_snr: Tensor, y: Tensor) -> Tensor:
        level = _level(schedule, schedule.time(log_snr))
        return denoiser(y * level.alpha, level, ["data"])["data"] - y

    return ODEProblem(derivative, x / _level(schedule, schedule.time(as_float64(first))).alpha, (first, last))


def _in_time(schedule: Schedule, denoiser: Denoiser, x: Tensor, start: float, end: float) -> ODEProblem:
    for t in (start, end):
        if not all(map(math.isfinite, _rates(schedule, as_float64(t)))):
            raise ValueError(
                f"at t = {t:.6g} the noise of {schedule!r} has no rate of change, and the equation no right-hand side: "
                "leave this time out by t_span, or use a sampler such as kutta.DDIM()"
            )

    def derivative(t: Tensor, x: Tensor) -> Tensor:
        alpha_rate, sigma_rate = _rates(schedule, t)
        found = denoiser(x, _level(schedule, as_float64(t)), ["data", "noise"])
        return alpha_rate * found["data"] + sigma_rate * found["noise"]

    return ODEProblem(derivative, x, (start, end))


def _level(schedule: Schedule, t: Tensor) -> Level:
    found = (t, schedule.alpha(t), schedule.sigma(t), schedule.model_time(t))
    # Numbers, for guidance that depends on them; but constants they must not be to a compiler that reads the equation,
    # nor to a method that differentiates it by its time.
    return Level(*(found if torch.compiler.is_compiling() or t.requires_grad else map(float, found)))


def _rates(schedule: Schedule, t: Tensor) -> list[Any]:
    """``alpha'(t)`` and ``sigma'(t)``: numbers, or where `t` is differentiated tensors."""
    differentiated = t.requires_grad
    with torch.enable_grad():
        t = as_float64(t) if differentiated else as_float64(t).detach().requires_grad_()
        rates = [
            torch.autograd.grad(one, t, allow_unused=True, create_graph=differentiated)[0]
            if one.requires_grad
            else None
            for one in (schedule.alpha(t), schedule.sigma(t))
        ]
    return [0.0 if rate is None else rate if differentiated else float(rate) for rate in rates]
