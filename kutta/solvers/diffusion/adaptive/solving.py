"""The loop of `AdaptiveMultistep`: try a step, read the errors, go on, until every sample has ended.

The levels of the samples and all that decides about them lie on the host; what is read from the device is the sizes
of the errors, once a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Results, Solution, SolveError, Stats
from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep, Pace
from kutta.solvers.diffusion.adaptive.batch import Batch, by_sample
from kutta.solvers.diffusion.failures import ADAPTIVE
from kutta.solvers.diffusion.guidance.cfg import refuse_stepwise
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.states import states

TOLERANCE, MAX_STEPS = 1e-2, 1000
# Beyond this log(alpha / sigma) there is nothing but noise, or nothing but data, up to parts in a million: an end that
# lies infinitely far is left, or reached, by an Euler step.
HORIZON = 7.0


def sample_adaptively(
    problem: DiffusionProblem, method: AdaptiveMultistep, given: dict[str, Any], watch: Callable[[float], None]
) -> Solution:
    """Sample with error control.

    Args:
        problem: what is sampled; it is checked.
        method: orders and rules.
        given: ``rtol``, ``atol``, ``max_steps``, ``save_at`` and ``throw``, where the user names them.
        watch: called after every step with the time that the slowest sample has reached.
    """
    refuse_stepwise(problem.guidance, "AdaptiveMultistep")
    tolerances, max_steps = _tolerances(given, len(problem.x)), _max_steps(given)
    way, denoiser = Span.of(problem), Denoiser(problem)
    x = denoiser.start
    trace = Trace(way.start, x, "save_at" in given)
    if way.first != way.start:
        x = _euler_step(problem.schedule, way.start, way.first, denoiser, x)
        trace.note(way.first, x, torch.ones(len(x), dtype=torch.bool))

    begin, end = problem.schedule.log_snr(torch.stack([way.first, way.last]))
    batch = Batch(x, begin, method.order, denoiser, problem.schedule)
    pace = Pace(method, end, *tolerances, torch.full((len(x),), method.first_step, dtype=torch.float64))
    while bool(pace.running.any()):
        trial = batch.try_step(pace.next(batch.log_snr[0]))
        accepted = pace.judge(trial)
        batch.accept(trial, accepted)
        pace.give_up(max_steps)
        trace.note(torch.where(pace.ended_well, way.last, batch.times), batch.x, accepted)
        watch(float(trace.t.max()))

    if way.end != way.last:
        there = _euler_step(problem.schedule, way.last, way.end, denoiser, batch.x)
        trace.note(way.end, torch.where(by_sample(pace.ended_well, x), there, batch.x), pace.ended_well)
    return _solution(problem, pace, trace, given.get("throw", True))


def _tolerances(given: dict[str, Any], count: int) -> tuple[Tensor, Tensor]:
    if "rtol" not in given and "atol" not in given:
        given = {"rtol": TOLERANCE, "atol": TOLERANCE}
    rtol, atol = (_tolerance(name, given.get(name, 0.0), count) for name in ("rtol", "atol"))
    if not bool((rtol + atol > 0.0).all()):
        raise ValueError("rtol and atol must not both be zero, for any sample: no error is that small")
    return rtol, atol


def _tolerance(name: str, value: Any, count: int) -> Tensor:
    try:
        found = as_float64(value).detach()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number, or a tensor with one a sample; got {value!r}") from None
    if found.shape not in ((), (count,)) or not bool(((found >= 0.0) & torch.isfinite(found)).all()):
        raise ValueError(
            f"{name} must be a non-negative number, or a tensor of shape ({count},) with one a sample; got {value!r}"
        )
    return found.expand(count)


def _max_steps(given: dict[str, Any]) -> int:
    wanted = given.get("max_steps", MAX_STEPS)
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
        raise ValueError(f"max_steps must be a positive whole number; got {wanted!r}")
    return wanted


@dataclass(frozen=True)
class Span:
    """Times between which samples are led.

    Attributes:
        start, end: the first and the last time.
        first, last: those between which ``log(alpha / sigma)`` is finite; mostly the same.
    """

    start: Tensor
    first: Tensor
    last: Tensor
    end: Tensor

    @classmethod
    def of(cls, problem: DiffusionProblem) -> Span:
        """The way of a problem."""
        assert problem.t_span is not None
        schedule, (start, end) = problem.schedule, as_float64(problem.t_span)
        begin, finish = schedule.log_snr(start), schedule.log_snr(end)
        # Where the other end lies beyond the horizon too, one step of size 1 before it.
        first = start if math.isfinite(begin) else schedule.time((finish - 1.0).clamp(max=-HORIZON))
        last = end if math.isfinite(finish) else schedule.time((begin + 1.0).clamp(min=HORIZON))
        return cls(start, first, last, end)


def _euler_step(schedule: Schedule, t0: Tensor, t1: Tensor, denoiser: Denoiser, x: Tensor) -> Tensor:
    plan = DDIM().plan(Nodes.at(schedule, torch.stack([t0, t1]))).fixed()
    return next(states(plan, denoiser, x, Noise()))


@dataclass(frozen=True)
class AdaptiveSolution(Solution):
    """A `Solution` of `AdaptiveMultistep`.

    Attributes:
        log_snr: ``log(alpha / sigma)`` at its times, of the shape of ``ts``.
    """

    log_snr: Tensor = field(default_factory=lambda: torch.zeros(0))


class Trace:
    """Where the samples have come to, and on which way.

    Attributes:
        t: the times of the samples, ``(B,)``.
        x: their states.
        steps: how many each has made.
        kept: times, states, and which samples were moved there, of every step if all of them are wanted.
    """

    def __init__(self, t: Tensor, x: Tensor, every: bool):
        self.t, self.x, self.every = t.expand(len(x)), x, every
        self.steps = torch.zeros(len(x), dtype=torch.int64)
        self.kept = [(self.t, x, self.steps == 0)]

    def note(self, t: Tensor, x: Tensor, moved: Tensor) -> None:
        """Samples that were moved; the others are where they were."""
        self.t, self.x, self.steps = torch.where(moved, t, self.t), x, self.steps + moved
        if self.every:
            self.kept.append((self.t, x, moved))

    def rows(self) -> tuple[Tensor, Tensor]:
        """Times ``(T, B)`` and states ``(T, B, ...)`` of all steps, NaN after a sample's last one."""
        t, x, moved = (torch.stack(one) for one in zip(*self.kept, strict=True))
        count = int(self.steps.max()) + 1
        order = torch.argsort(moved.int(), dim=0, descending=True, stable=True)[:count]
        past = torch.arange(count)[:, None] > self.steps
        chosen = order.to(x.device).reshape(*order.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:])
        hidden = past.to(x.device).reshape(*order.shape, *[1] * (x.dim() - 2))
        return t.gather(0, order).masked_fill(past, math.nan), x.gather(0, chosen).masked_fill(hidden, math.nan)


def _solution(problem: DiffusionProblem, pace: Pace, trace: Trace, throw: bool) -> Solution:
    finite = torch.isfinite(trace.x.detach()).reshape(len(trace.x), -1).all(1).cpu()
    codes = torch.where(pace.ended_well & ~finite, int(Result.NON_FINITE), pace.codes)
    common = bool((trace.t == trace.t[0]).all())
    ts, ys = trace.rows() if trace.every else (trace.t[:1] if common else trace.t[None], trace.x[None])
    attempts = trace.steps + pace.rejected
    log_snr = torch.where(torch.isfinite(ts), problem.schedule.log_snr(torch.where(torch.isfinite(ts), ts, ts[0])), ts)
    solution = AdaptiveSolution(
        ts=ts,
        ys=ys.to(problem.x.dtype),
        y1=trace.x.to(problem.x.dtype),
        t1=trace.t,
        stats=Stats(attempts, trace.steps, pace.rejected, attempts + 1),
        result=Results(codes),
        log_snr=log_snr,
    )
    failed = torch.nonzero(codes >= int(Result.MAX_STEPS))[:, 0].tolist()
    if throw and failed:
        one = failed[0]
        result, t, size = Result(int(codes[one])), float(trace.t[one]), float(pace.size[one])
        raise SolveError(result, t, size, one, len(failed), solution, ADAPTIVE[result])
    return solution
