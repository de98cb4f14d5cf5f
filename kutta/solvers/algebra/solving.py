"""`kutta.solve` for a `LinearProblem`: check the arguments, choose what was left open, solve."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import is_mapped
from kutta.problems import LinearProblem
from kutta.solution import LinearSolveError, Result, Results, Solution, Stats
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.checking import checked, checked_method, goal_of
from kutta.solvers.algebra.implicit import implicit, undifferentiated
from kutta.solvers.algebra.method import Outcome
from kutta.solvers.algebra.unsolved import error_of, some_failed
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel
from kutta.solvers.engines.refusal import refuse
from kutta.solvers.progress import progress_bar


def solve_linear(problem: LinearProblem, method: Any, given: dict[str, Any]) -> Solution:
    """Solve a linear system.

    Args:
        problem: as the user wrote it.
        method: how; by default what `default_method` says.
        given: the arguments of `kutta.solve` that are not at their defaults.
    """
    problem = checked(problem)
    operator, b = problem.operator, problem.b
    chosen = method is None
    method = checked_method(default_method(operator) if chosen else method, problem)
    goal, throw = goal_of(method, given, chosen), given.get("throw", True)
    if isinstance(given.get("engine"), Kernel | Compiled):
        refuse(type(given["engine"]).__name__, "solves differential equations; got a LinearProblem")
    with torch.autocast(b.device.type, enabled=False):
        with progress_bar(given.get("progress", False), 0.0, 1.0) as watch, undifferentiated():
            solver = method.solver(operator, b.detach(), goal)
            found = solver.solve(b.detach(), problem.guess, watch=watch if given.get("progress") else None)
        x = implicit(found.x.detach(), lambda x: b - operator.apply(x), solver, partial(report, throw))
    solution = _solution(x, found)
    failed = some_failed(found.codes)
    if failed and throw:
        raise _error(found, solution)
    return solution


def _solution(x: Tensor, found: Outcome) -> Solution:
    single = not found.codes.dim() and not is_mapped(found.codes)
    counts, residuals = (int(found.iterations), float(found.norm)) if single else (found.iterations, found.norm)
    return Solution(
        ts=torch.zeros(1, dtype=torch.float64),
        ys=x.unsqueeze(0),
        y1=x,
        t1=torch.zeros((), dtype=torch.float64),
        stats=Stats(
            counts,
            counts,
            linear_solves=1 if single else torch.ones_like(found.codes),
            residual_norms=residuals,
            reason="it solves linear systems",
        ),
        result=Result(int(found.codes)) if single else Results(found.codes.reshape(-1)),
    )


def report(throw: bool, found: Outcome, way: str) -> None:
    """A derivative is wrong where its system was not solved, and no solution tells it."""
    if some_failed(found.codes):
        wrong = _error(found, None, way)
        if throw:
            raise wrong
        warnings.warn(f"a derivative of a linear solve is not accurate: {wrong}", RuntimeWarning, stacklevel=2)


def _error(found: Outcome, solution: Solution | None, way: str | None = None) -> LinearSolveError:
    batched = found.codes.dim() > 0
    return error_of(LinearSolveError, found.codes, found.iterations, found.norm, batched, solution, way)
