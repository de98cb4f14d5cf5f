"""Exact starts for methods with a history, without a word of it in the methods.

A plan says how each state comes about. A state given from outside is one with no terms but fresh noise of weight 1,
where the states that are given are handed out as the noise.
"""

from dataclasses import replace

from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans.plan import Move
from kutta.solvers.diffusion.plans.states import states


def given(plan, count):
    """The plan with `count` states after the initial one given from outside: those at the first nodes."""
    moves = list(plan.moves)
    for state in plan.outputs[1 : count + 1]:
        moves[state - 1] = Move(moves[state - 1].level, {}, {}, 1.0)
    return replace(plan, moves=tuple(moves))


def with_exact_starts(case, sampler, count, grid, steps):
    """The end states of a sampler whose states at the first `count` nodes after the initial one are exact."""
    problem = case.problem
    found = nodes(grid, problem.schedule, steps, *problem.t_span or (problem.schedule.start, problem.schedule.end))
    plan = given(sampler.plan(found).fixed(), count)
    exact = iter(case.exact(found.t[: count + 1])[1:] if count else [])
    *_, end = states(plan, Denoiser(problem), problem.x, lambda x: next(exact))
    return end


def errors_with_exact_starts(case, sampler, count, grid, steps):
    """The errors with several numbers of steps."""
    return [case.error(with_exact_starts(case, sampler, count, grid, one)) for one in steps]
