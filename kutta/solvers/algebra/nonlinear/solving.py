"""`kutta.solve` for nonlinear equations: check the arguments, iterate, and make what was found differentiable."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import is_mapped
from kutta.solution import NonlinearSolveError, Result, Results, Solution, Stats
from kutta.solvers.algebra.checking import checked_max_steps
from kutta.solvers.algebra.implicit import implicit, undifferentiated
from kutta.solvers.algebra.nonlinear.derivatives import AtSolution, Implicit
from kutta.solvers.algebra.nonlinear.iteration import Found, chosen, iterate
from kutta.solvers.algebra.nonlinear.method import NonlinearMethod
from kutta.solvers.algebra.nonlinear.posed import LeastSquares, Posed, posed
from kutta.solvers.algebra.solving import report
from kutta.solvers.algebra.unsolved import error_of, some_failed
from kutta.solvers.engines.compiled import Compiled
from kutta.solvers.engines.kernel.engine import Kernel
from kutta.solvers.engines.refusal import refuse
from kutta.solvers.progress import progress_bar
from kutta.solvers.tolerance import Tolerance

_OPTIONS = ("rtol", "atol", "max_steps", "adjoint", "progress", "engine", "throw")
_MOST_STEPS = 200


def solve_nonlinear(problem: Any, method: Any, given: dict[str, Any]) -> Solution:
    """Solve nonlinear equations.

    Args:
        problem: as the user wrote it.
        method: how; by default what suits its kind.
        given: the arguments of `kutta.solve` that are not at their defaults.
    """
    name = type(problem).__name__
    _check_options(name, given)
    max_steps = checked_max_steps(given, _MOST_STEPS)
    kind = posed(problem)
    rule = _rule(given.get("adjoint"), kind)
    method = _checked_method(method, kind, name)
    equations, layout = kind.equations, kind.equations.layout
    throw = given.get("throw", True)
    with torch.autocast(layout.device.type, enabled=False):
        with progress_bar(given.get("progress", False), 0.0, 1.0) as watch, undifferentiated():
            tolerance = Tolerance(*_tolerances(given, layout.real_dtype), None, layout)
            iteration = method.begin(equations, tolerance)
            found = iterate(iteration, max_steps, watch if given.get("progress") else None)
        x = _differentiable(kind, found, rule, throw)
    solution = _solution(kind, x, found)
    if some_failed(found.codes) and throw:
        batched = equations.single.batch is not None
        raise error_of(NonlinearSolveError, found.codes, found.iterations, found.size, batched, solution)
    return solution


def _differentiable(kind: Posed, found: Found, rule: Implicit, throw: bool) -> Tensor:
    """What was found, with derivatives where it is a solution."""
    solved = found.codes < int(Result.MAX_STEPS)
    # Elsewhere it is not known that anything is finite but at the beginning.
    x = chosen(solved, found.x, kind.equations.start).detach()
    kind = kind if rule.curvature else kind.without_curvature(x)
    told = partial(report, throw)
    solver = AtSolution(kind.residual, x, solved, rule, told, kind.slope, kind.symmetric)

    def residual(x: Tensor) -> Tensor:
        r = kind.residual(x)
        return chosen(solved, r, torch.zeros_like(r))

    return chosen(solved, implicit(x, residual, solver, told, rule.orders), found.x.detach())


def _check_options(name: str, given: dict[str, Any]) -> None:
    for option in given:
        if option not in _OPTIONS:
            raise ValueError(f"{option} means nothing to a {name}; leave it out")
    if isinstance(given.get("engine"), Kernel | Compiled):
        refuse(type(given["engine"]).__name__, f"solves differential equations; got a {name}")


def _rule(adjoint: Any, kind: Posed) -> Implicit:
    if adjoint is None:
        return Implicit()
    if not isinstance(adjoint, Implicit):
        raise TypeError(f"adjoint of nonlinear equations must be kutta.Implicit(); got {adjoint!r}")
    if not (adjoint.curvature or isinstance(kind, LeastSquares)):
        raise ValueError("curvature=False is for a LeastSquaresProblem; leave it out")
    return adjoint


def _checked_method(method: Any, kind: Posed, name: str) -> NonlinearMethod:
    if method is None:
        return kind.default
    if isinstance(method, type) and issubclass(method, NonlinearMethod):
        raise TypeError(f"method must be an instance: write {method.__name__}() with its parentheses")
    if not isinstance(method, kind.methods):
        raise TypeError(f"method for a {name} must be such as kutta.{kind.default!r}; got {method!r}")
    return method


def _tolerances(given: dict[str, Any], dtype: torch.dtype) -> tuple[Any, Any]:
    """Of the unknowns: about half of the digits of their dtype, unless the user says otherwise."""
    rtol, atol = (1e-8, 1e-10) if dtype == torch.float64 else (1e-5, 1e-7)
    return given.get("rtol", rtol), given.get("atol", atol)


def _solution(kind: Posed, x: Tensor, found: Found) -> Solution:
    equations = kind.equations
    shaped = equations.shaped(x)
    single = equations.single.batch is None
    results: Any = Results(found.codes)
    counts: Any = found.iterations
    sizes: Any = found.size
    if single and not is_mapped(found.codes):
        results, counts, sizes = Result(int(found.codes[0])), int(found.iterations[0]), float(found.size[0])
    return Solution(
        ts=torch.zeros(1, dtype=torch.float64),
        ys=pytree.tree_map(lambda leaf: leaf.unsqueeze(0), shaped),
        y1=shaped,
        t1=torch.zeros((), dtype=torch.float64),
        stats=Stats(
            counts,
            counts,
            function_evaluations=equations.evaluations,
            jacobian_evaluations=equations.jacobians,
            residual_norms=sizes,
            reason="it solves nonlinear equations",
        ),
        result=results,
        **kind.besides(x),
    )
