"""From a plan to a `Solution`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.diffusion.failures import ON_A_GRID
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.states import states


def follow(
    problem: DiffusionProblem,
    plan: Plan,
    *,
    every: bool,
    noise: Callable[[Tensor], Tensor],
    watch: Callable[[float], None],
    throw: bool,
) -> Solution:
    """Go through a plan.

    Args:
        problem: what is sampled; its state is checked.
        plan: what is done, with Python numbers.
        every: whether the states at all nodes are returned, and not only the last one.
        noise: fresh noise like a state.
        watch: called with the time after every step of the grid.
        throw: raise `SolveError` where the samples are not finite.
    """
    denoiser = Denoiser(problem)
    x = denoiser.start
    wanted, kept, sums, state = set(plan.outputs), [x], [x.detach().sum()], x
    for number, state in enumerate(states(folded(plan, problem.prediction), denoiser, x, noise), 1):
        if number in wanted:
            watch(plan.levels[number].t)
            sums.append(state.detach().sum())
            kept = [*kept, state] if every else kept
    ys = torch.stack(kept if every else [state])
    return solution_of(problem, plan, Sampled(ys, sums, denoiser.evaluations), throw)


class Sampled(NamedTuple):
    """What came of a plan.

    Attributes:
        ys: the states at all nodes, or at the last one, ``(n, *x.shape)``.
        sums: of the entries of the states at all nodes.
        evaluations: of the model.
        engine: what ran the loop.
    """

    ys: Tensor
    sums: Sequence[Tensor]
    evaluations: int
    engine: str = "eager"


def solution_of(problem: DiffusionProblem, plan: Plan, found: Sampled, throw: bool) -> Solution:
    """The `Solution`; or an error if the last state is not finite and `throw` is true."""
    times = [plan.levels[one].t for one in plan.outputs]
    ts = torch.tensor(times[-len(found.ys) :], dtype=torch.float64)
    ys = found.ys.to(problem.x.dtype)
    broken = _first_broken(found.sums, ys[-1])
    solution = Solution(
        ts=ts,
        ys=ys,
        y1=ys[-1],
        t1=ts[-1],
        stats=Stats(len(times) - 1, len(times) - 1, 0, found.evaluations, engine=found.engine),
        result=Result.SUCCESS if broken is None else Result.NON_FINITE,
    )
    if broken is not None and throw:
        t, step = times[broken - 1], times[broken] - times[broken - 1]
        raise SolveError(Result.NON_FINITE, t, step, solution=solution, advice=ON_A_GRID)
    return solution


def _first_broken(sums: Sequence[Tensor], y1: Tensor) -> int | None:
    """The first node at which the state is infinite or NaN, if the last one is: the only time that the host waits.

    Args:
        sums: of the entries of the states at the nodes. One that is infinite though the entries are finite, as they are
            huge, means nothing.
        y1: the last state.
    """
    finite = torch.isfinite(torch.stack([*sums, y1.detach().sum()])).tolist()
    if finite[-1] or bool(torch.isfinite(y1.detach()).all()):
        return None
    return next((node for node in range(1, len(sums)) if not finite[node]), len(sums) - 1)
