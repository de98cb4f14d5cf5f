"""Multistep rules from exact starting values, and one step at a time."""

import torch

import kutta as kt
from kutta.solvers.diffusion.denoiser import Denoiser
from kutta.solvers.diffusion.grids import nodes
from kutta.solvers.diffusion.plan import Draft
from kutta.solvers.diffusion.sampling import states
from tests.solvers.diffusion.problems import F64


def from_exact_starts(case, steps, count, write, grid=None):
    """The end states of a rule whose first `count` states lie on the exact flow.

    Args:
        case: the problem.
        steps: of the grid.
        count: how many exact states, the initial one included.
        write: ``write(draft, n)`` writes the step from node ``n``.
        grid: that of Karras by default.
    """
    schedule = case.problem.schedule
    found = nodes(grid or kt.diffusion.Rho(7), schedule, steps, schedule.start, schedule.end)
    exact = iter(case.exact(found.t[:count])[1:]) if count > 1 else iter(())
    draft = Draft(found)
    for n in range(1, count):
        draft.arrive(n, {}, noise=1.0)  # what takes the place of noise is the exact state
    for n in range(count - 1, steps):
        write(draft, n)
    with torch.no_grad():
        plan = draft.plan().fixed()
        *_, last = states(plan, Denoiser(case.problem, F64), case.problem.x, lambda x: next(exact))
    return last
