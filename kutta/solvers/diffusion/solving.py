"""`kutta.solve` for a `DiffusionProblem`: check the arguments, choose what was left open, sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Solution
from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep
from kutta.solvers.diffusion.adaptive.solving import sample_adaptively
from kutta.solvers.diffusion.automatic import default_sampler
from kutta.solvers.diffusion.checking import checked, refuse_pure_noise, span_of
from kutta.solvers.diffusion.flow import flow_of
from kutta.solvers.diffusion.levels.grids import Grid, Nodes, Rho, UniformTime, given_times, nodes
from kutta.solvers.diffusion.levels.schedules import EDM, as_float64
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.remembered import fixed_plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.sampling import follow
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel
from kutta.solvers.engines.refusal import refuse
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
    asked, problem = problem.t_span, checked(problem)
    if asked is not None:
        _check_given_grid(given.get("grid"), span_of(problem))
    if isinstance(given.get("engine"), Kernel):
        refuse("Kernel", "solves ensembles of small systems; got a DiffusionProblem")
    method = default_sampler(problem) if method is None else method
    if isinstance(method, type) and issubclass(method, Sampler | Method):
        raise TypeError(f"method must be a sampler or method, not its class: call it, as in {method.__name__}()")
    if isinstance(method, Method):
        return _by_method(problem, method, given, solve)
    if not isinstance(method, Sampler):
        raise TypeError(f"method must be a sampler such as kutta.DDIM(), or a method; got {method!r}")
    if isinstance(method, AdaptiveMultistep):
        return _adaptively(problem, method, given)
    return _by_sampler(problem, method, given)


def _check_given_grid(grid: Any, span: tuple[float, float]) -> None:
    if grid is None or isinstance(grid, Grid | type):
        return
    times = given_times(grid)
    if (float(times[0]), float(times[-1])) != span:
        raise ValueError(
            f"grid must lead from t_span[0] = {span[0]:.6g} to t_span[1] = {span[1]:.6g}, or t_span be left "
            f"out; got times from {float(times[0]):.6g} to {float(times[-1]):.6g}"
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
    refuse_pure_noise(problem, span_of(problem)[0])
    if isinstance(given.get("engine"), Compiled):
        refuse("Compiled", "has no AdaptiveMultistep yet")
    with progress_bar(given.get("progress", False), *span_of(problem)) as watch:
        return sample_adaptively(problem, method, given, watch)


def _by_sampler(problem: DiffusionProblem, method: Sampler, given: dict[str, Any]) -> Solution:
    _refuse(given, (*_FOR_SAMPLERS, *_FOR_BOTH), f"the sampler {type(method).__name__}")
    _check_save_at(given)
    _check_generator(given.get("generator"), len(problem.x))
    plan = planned(problem, method, given.get("steps"), given.get("grid"))
    if "generator" in given and not plan.stochastic:
        raise ValueError(
            f"generator means nothing to the sampler {type(method).__name__}, which adds no noise here; leave it out. "
            "The noise at the beginning is the problem's x"
        )
    every = given.get("save_at") is not None
    go_through = _by_engine(given)
    with progress_bar(given.get("progress", False), plan.first.t, plan.levels[plan.outputs[-1]].t) as watch:
        return go_through(
            problem, plan, every=every, noise=Noise(given.get("generator")), watch=watch, throw=given.get("throw", True)
        )


def _by_engine(given: dict[str, Any]) -> Callable[..., Solution]:
    """What goes through a plan."""
    if not isinstance(given.get("engine"), Compiled):
        return follow
    if given.get("progress"):
        refuse("Compiled", "has no progress yet")
    from kutta.solvers.engines.compiled.sampling import follow_compiled  # PyTorch's compiler takes a second to import

    return follow_compiled


def planned(problem: DiffusionProblem, method: Sampler, steps: int | None, grid: Any) -> Plan:
    """All that a sampler does for a problem whose arguments are checked."""
    found = _nodes(problem, method, steps, grid)
    refuse_pure_noise(problem, float(found.t[0]))
    plan = fixed_plan(method, found)
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
    return nodes(grid, problem.schedule, steps, *span_of(problem))


def _own_nodes(problem: DiffusionProblem, method: Sampler, times: Tensor, steps: int | None, grid: Any) -> Nodes:
    """The nodes of a sampler that brings its times."""
    what = f"the sampler {type(method).__name__}, which brings its times"
    _refuse({name: one for name, one in (("steps", steps), ("grid", grid)) if one is not None}, (), what)
    own = (float(times[0]), float(times[-1]))
    if not all(
        math.isclose(one, asked, rel_tol=1e-9, abs_tol=1e-12) for one, asked in zip(own, span_of(problem), strict=True)
    ):
        raise ValueError(
            f"the times of this {type(method).__name__} lead from {own[0]:.9g} to {own[1]:.9g}, those of the problem "
            f"from {span_of(problem)[0]:.9g} to {span_of(problem)[1]:.9g}: give the problem t_span={own} and a state x "
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
    flow = flow_of(problem)
    if isinstance(given.get("save_at"), Tensor | list | tuple):
        given = {**given, "save_at": flow.clock_times(as_float64(given["save_at"]))}
    return flow.solution(solve(flow.equation, method, **given))


def _refuse(given: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in allowed:
            raise ValueError(f"{name} means nothing to {what}; leave it out")


def _grid(grid: Any, problem: DiffusionProblem) -> Any:
    """What was given, or steps that grow smaller towards the data; even ones where an end is infinitely far.

    But even ones of the time of `EDM`, which is the noise itself, would waste all but one on what is still noise.
    """
    if grid is not None:
        return grid() if isinstance(grid, type) and issubclass(grid, Grid) else grid
    ends = problem.schedule.log_snr(as_float64(span_of(problem)))
    return Rho() if isinstance(problem.schedule, EDM) or bool(torch.isfinite(ends).all()) else UniformTime()
