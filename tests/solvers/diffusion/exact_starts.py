"""Samplers of one move a step, with exact states in place of their first ones."""

from dataclasses import replace

import torch

import kutta as kt
from kutta.solvers.diffusion.denoiser import Denoiser
from kutta.solvers.diffusion.grids import nodes
from kutta.solvers.diffusion.plan import Move
from kutta.solvers.diffusion.sampling import states
from tests.solvers.diffusion.problems import F64


def nodes_of(problem, steps, grid=None):
    """The nodes of a grid along a problem; that of Karras by default."""
    return nodes(grid or kt.diffusion.Rho(7), problem.schedule, steps, problem.schedule.start, problem.schedule.end)


def end_from_exact(case, sampler, steps, count):
    """The end states of a sampler whose first `count` states, the initial one included, lie on the exact flow."""
    found = nodes_of(case.problem, steps)
    plan = sampler.plan(found).fixed()
    assert len(plan.moves) == steps
    exact = iter(case.exact(found.t[:count])[1:])
    placed = [Move(move.level, {}, {}, noise=1.0) for move in plan.moves[: count - 1]]  # the noise is the exact state
    plan = replace(plan, moves=(*placed, *plan.moves[count - 1 :]))
    with torch.no_grad():
        *_, last = states(plan, Denoiser(case.problem, F64), case.problem.x, lambda x: next(exact))
    return last
