"""What ``engine="auto"`` runs: the kernel for ensembles of small systems, and otherwise the eager engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kutta.problems import EnsembleProblem
from kutta.solution import Solution, SolveError
from kutta.solvers.engines.eager import solve_ode
from kutta.solvers.engines.ensemble import solve_ensemble
from kutta.solvers.engines.kernel.build import CompilerFailed
from kutta.solvers.engines.kernel.engine import Kernel, solve_kernel
from kutta.solvers.engines.refusal import Unsuited
from kutta.solvers.options import Options
from kutta.state import Layout

# From this many trajectories on, the second that a compiler may take is soon saved.
MANY = 1_000
# Numbers that a lane carries, the state and its derivatives, up to which a kernel is surely the faster one.
SMALL = 100


def solve_eagerly(problem: Any, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve one trajectory or an ensemble in Python, one tensor operation after the other."""
    run: Any = solve_ensemble if isinstance(problem, EnsembleProblem) else solve_ode
    return run(problem, layout, options, throw)


def solve_by_choice(problem: Any, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve with the engine that fits, saying in ``sol.stats.reason`` why it was taken."""
    case = (problem, layout, options, throw)
    why = _against_a_kernel(layout)
    if why is None:
        try:
            return saying(f"{layout.batch:,} small systems", solve_kernel, Kernel(), *case, SMALL)
        except (Unsuited, CompilerFailed) as refusal:
            why = refusal.reason
    return saying(why, solve_eagerly, *case)


def _against_a_kernel(layout: Layout) -> str | None:
    if layout.batch is None:
        return "one step size for all"
    if layout.device.type != "cpu":
        return "kernels on a GPU are only made when asked for"
    if layout.batch < MANY:
        return f"fewer than {MANY:,} trajectories, for which a kernel may not be worth compiling"
    return None


def saying(why: str, run: Callable[..., Solution], *arguments: Any) -> Solution:
    """Run, and note why in the statistics, also in those of a failure."""

    def noted(solution: Any) -> Any:
        return replace(solution, stats=replace(solution.stats, reason=why))

    try:
        return noted(run(*arguments))
    except SolveError as failure:
        if failure.solution is not None:
            failure.solution = noted(failure.solution)
        raise
