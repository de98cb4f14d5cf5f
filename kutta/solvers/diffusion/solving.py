"""`kutta.solve` for a `DiffusionProblem`: check the arguments, choose what was left open, sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Solution
from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep
from kutta.solvers.diffusion.adaptive.solving import sample_adaptively
from kutta.solvers.diffusion.automatic import default_sampler
from kutta.solvers.diffusion.flow import probability_flow
from kutta.solvers.diffusion.guidance.cfg import Guidance
from kutta.solvers.diffusion.levels.conversions import PREDICTIONS
from kutta.solvers.diffusion.levels.grids import Grid, Nodes, Rho, UniformTime, nodes
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.sampling import follow
from kutta.solvers.method import Method
from kutta.solvers.progress import progress_bar

# Steps of a sampler when none are asked for.
STEPS = 20
_FOR_SAMPLERS = ("steps", "grid", "generator")
_FOR_ADAPTIVE = ("rtol", "atol", "max_steps")
_FOR_BOTH = ("save_at", "progress", "throw", "engine")


def solve_diffusion(
    problem: DiffusionProblem, method: Any, given: dict[str, Any], solve: Callable[..., Solution]
) -> Solution:
    """Sample.

    Args:
        problem: as the user wrote it.
        method: a `Sampler`, a `Method` for differential equations, or ``None`` for `default_sampler`.
        given: the arguments of `kutta.solve` that are not at their defaults.
        solve: `kutta.solve`, for methods of differential equations.
    """
    _check_given_grid(given.get("grid"), problem.t_span)
    problem = checked(problem)
    if given.get("engine") not in (None, "auto") and type(given["engine"]).__name__ != "Eager":
        raise NotImplementedError(f"a DiffusionProblem is solved by engine=Eager(); got {given['engine']!r}")
    method = default_sampler(problem) if method is None else method
    if isinstance(method, Method):
        return _by_method(problem, method, given, solve)
    if not isinstance(method, Sampler):
        raise TypeError(f"method must be a sampler such as kutta.DDIM(), or a method; got {method!r}")
    if isinstance(method, AdaptiveMultistep):
        return _adaptively(problem, method, given)
    return _by_sampler(problem, method, given)


def checked(problem: DiffusionProblem) -> DiffusionProblem:
    """The problem with a state that is a tensor and a span, or an error that says what does not fit."""
    if not callable(problem.model):
        raise TypeError(f"model must be callable; got {type(problem.model).__name__}")
    if not isinstance(problem.schedule, Schedule):
        raise TypeError(f"schedule must be a noise schedule such as kutta.diffusion.VP(); got {problem.schedule!r}")
    if problem.prediction not in PREDICTIONS:
        raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {problem.prediction!r}")
    if problem.guidance is not None and not isinstance(problem.guidance, Guidance):
        raise TypeError(f"guidance must be such as kutta.diffusion.CFG(7.5); got {problem.guidance!r}")
    x = torch.as_tensor(problem.x)
    if not x.is_floating_point() or x.dim() < 1:
        raise ValueError(f"x must be a real tensor of shape (B, ...); got {x.dtype} of shape {tuple(x.shape)}")
    if problem.guidance is not None:
        problem.guidance.check(len(x))
    if not math.isfinite(float(x.detach().sum())) and not bool(torch.isfinite(x.detach()).all()):
        raise ValueError("x must be finite; got infinity or NaN among its entries")
    span = problem.t_span if problem.t_span is not None else (problem.schedule.start, problem.schedule.end)
    return replace(problem, x=x, t_span=_checked_span(span, problem))


def _checked_span(span: Any, problem: DiffusionProblem) -> tuple[float, float]:
    try:
        start, end = (float(t) for t in span)
    except (TypeError, ValueError):
        raise ValueError(f"t_span must hold the first and the last time; got {span!r}") from None
    first, last = (float(problem.schedule.log_snr(as_float64(t))) for t in (start, end))
    if not first < last:
        raise ValueError(f"t_span must lead from noise to data, from larger to smaller times; got ({start}, {end})")
    return start, end


def _check_given_grid(grid: Any, span: Any) -> None:
    if grid is None or span is None or isinstance(grid, Grid | type):
        return
    times = as_float64(grid)
    if times.dim() == 1 and len(times) and (float(times[0]), float(times[-1])) != tuple(map(float, span)):
        raise ValueError(
            f"grid must lead from t_span[0] = {float(span[0]):.6g} to t_span[1] = {float(span[1]):.6g}, or t_span be "
            f"left out; got times from {float(times[0]):.6g} to {float(times[-1]):.6g}"
        )


def refuse_pure_noise(problem: DiffusionProblem, t: float) -> None:
    """Refuse to begin where a prediction of the noise is known without the model, and tells nothing of the data."""
    if problem.prediction in ("epsilon", "score") and float(problem.schedule.alpha(as_float64(t))) == 0.0:
        raise ValueError(
            f"at t = {t:.6g} there is only noise, where prediction={problem.prediction!r} says nothing about the "
            "data: begin later by t_span, or use a model that predicts data, v or flow"
        )


def _check_generator(generator: Any, count: int) -> None:
    if generator is None or isinstance(generator, torch.Generator):
        return
    if not isinstance(generator, list | tuple) or not all(isinstance(one, torch.Generator) for one in generator):
        raise TypeError(f"generator must be a torch.Generator, or one for each sample; got {type(generator).__name__}")
    if len(generator) != count:
        raise ValueError(f"generator must be one torch.Generator, or one a sample: {count}; got {len(generator)}")


def _adaptively(problem: DiffusionProblem, method: AdaptiveMultistep, given: dict[str, Any]) -> Solution:
    _refuse(given, (*_FOR_ADAPTIVE, *_FOR_BOTH), "AdaptiveMultistep, which chooses its own steps")
    _check_save_at(given)
    refuse_pure_noise(problem, _span(problem)[0])
    with progress_bar(given.get("progress", False), *_span(problem)) as watch:
        return sample_adaptively(problem, method, given, watch)


def _by_sampler(problem: DiffusionProblem, method: Sampler, given: dict[str, Any]) -> Solution:
    _refuse(given, (*_FOR_SAMPLERS, *_FOR_BOTH), f"the sampler {type(method).__name__}")
    _check_save_at(given)
    _check_generator(given.get("generator"), len(problem.x))
    plan = planned(problem, method, given.get("steps"), given.get("grid"))
    every = given.get("save_at") is not None
    with progress_bar(given.get("progress", False), plan.first.t, plan.levels[plan.outputs[-1]].t) as watch:
        return follow(
            problem, plan, every=every, generator=given.get("generator"), watch=watch, throw=given.get("throw", True)
        )


def planned(problem: DiffusionProblem, method: Sampler, steps: int | None, grid: Any) -> Plan:
    """All that a sampler does for a problem whose arguments are checked."""
    found = _nodes(problem, method, steps, grid)
    refuse_pure_noise(problem, float(found.t[0]))
    with torch.no_grad():
        plan = method.plan(found).fixed()
    return plan if problem.guidance is None else problem.guidance.planned(plan)


def _check_save_at(given: dict[str, Any]) -> None:
    save_at = given.get("save_at")
    if not (save_at is None or (isinstance(save_at, str) and save_at == "steps")):
        raise ValueError('save_at must be None or "steps" for a sampler, whose times are those of its steps')


def _nodes(problem: DiffusionProblem, method: Sampler, steps: int | None, grid: Any) -> Nodes:
    if method.times is not None:
        return _own_nodes(problem, method, method.times, steps, grid)
    grid = _grid(grid, problem)
    steps = STEPS if steps is None and isinstance(grid, Grid) else steps
    return nodes(grid, problem.schedule, steps, *_span(problem))


def _own_nodes(problem: DiffusionProblem, method: Sampler, times: Tensor, steps: int | None, grid: Any) -> Nodes:
    """The nodes of a sampler that brings its times."""
    what = f"the sampler {type(method).__name__}, which brings its times"
    _refuse({name: one for name, one in (("steps", steps), ("grid", grid)) if one is not None}, (), what)
    own = (float(times[0]), float(times[-1]))
    if not all(
        math.isclose(one, asked, rel_tol=1e-9, abs_tol=1e-12) for one, asked in zip(own, _span(problem), strict=True)
    ):
        raise ValueError(
            f"the times of this {type(method).__name__} lead from {own[0]:.9g} to {own[1]:.9g}, those of the problem "
            f"from {_span(problem)[0]:.9g} to {_span(problem)[1]:.9g}: give the problem t_span={own} and a state x "
            "that belongs to its beginning"
        )
    return nodes(times, problem.schedule, None, *own)


def _by_method(
    problem: DiffusionProblem, method: Method, given: dict[str, Any], solve: Callable[..., Solution]
) -> Solution:
    for name in ("events", "penalties"):
        if name in given:
            raise NotImplementedError(
                f"a DiffusionProblem has no {name}: solve kutta.diffusion.probability_flow(problem).equation"
            )
    _refuse({name: value for name, value in given.items() if name in _FOR_SAMPLERS}, (), f"{type(method).__name__}")
    _refuse_ends(problem)
    flow = probability_flow(problem)
    if isinstance(given.get("save_at"), Tensor | list | tuple):
        given = {**given, "save_at": flow.clock_times(as_float64(given["save_at"]))}
    return flow.solution(solve(flow.equation, method, **given))


def _refuse_ends(problem: DiffusionProblem) -> None:
    start, end = _span(problem)
    refuse_pure_noise(problem, start)
    if problem.prediction == "data" and float(problem.schedule.sigma(as_float64(end))) == 0.0:
        raise ValueError(
            f"at t = {end:.6g} there is no noise, where prediction='data' says nothing about the slope: end earlier by "
            "t_span, use a sampler, or a model that predicts the flow"
        )


def _refuse(given: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in allowed:
            raise ValueError(f"{name} means nothing to {what}; leave it out")


def _span(problem: DiffusionProblem) -> tuple[float, float]:
    assert problem.t_span is not None
    return problem.t_span


def _grid(grid: Any, problem: DiffusionProblem) -> Any:
    """What was given, or steps that grow smaller towards the data; even ones where an end is infinitely far."""
    if grid is not None:
        return grid() if isinstance(grid, type) and issubclass(grid, Grid) else grid
    ends = [float(problem.schedule.log_snr(as_float64(t))) for t in _span(problem)]
    return UniformTime() if any(map(math.isinf, ends)) else Rho()
