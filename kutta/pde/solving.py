"""`kutta.solve` for a `PDEProblem`: lower it, solve, and return fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import as_float
from kutta.pde.choice import default_method
from kutta.pde.grids.given import filled
from kutta.pde.grids.space import Space, in_words
from kutta.pde.lowering.forms import Forms, Lowered
from kutta.pde.lowering.watching import shown_fields
from kutta.pde.problem import PDEProblem
from kutta.pde.schemes.pseudo_spectral import PseudoSpectral
from kutta.pde.stability import check_step, has_limit, largest_step, outrun
from kutta.solution import Result, Solution, SolveError
from kutta.solvers.controllers import Fixed
from kutta.solvers.low_storage import LowStorageRungeKutta
from kutta.solvers.method import Method
from kutta.solvers.runge_kutta import RungeKutta

# What looks at states in the middle of a solve needs them at the points of the grid.
_WATCHERS = ("events", "penalties", "diagnostics", "adjoint")


def solve_pde(problem: PDEProblem, method: Any, given: dict[str, Any], solve: Callable[..., Solution]) -> Solution:
    """Solve a partial differential equation.

    Args:
        problem: as the user wrote it.
        method: a `Method`; by default `default_method`. An explicit one that estimates no error takes steps by
            `PDEProblem.cfl` where the equation says its speeds and no others are given.
        given: the arguments of `kutta.solve` that are not at their defaults.
        solve: `kutta.solve`, for ordinary problems.
    """
    forms = Forms(problem)
    method = default_method(forms, given) if method is None else method
    if _takes_given_steps(method) and not {"controller", "dt0"} & given.keys() and problem.says_speeds:
        given = {**given, "controller": problem.cfl()}
    lowered = _lowered(forms, method, given)
    controller = _controller(problem, method, lowered, given)
    check_step(lowered.problem, method, controller)
    try:
        solution = solve(lowered.problem, method, **shown_fields(problem.grid, problem.t_span[0], given))
    except SolveError as failure:
        if failure.solution is None:
            raise
        reached = _fields(problem, method, lowered, failure.solution)
        advice = "; ".join(filter(None, [failure.advice, *_known(problem, method, controller, lowered, failure)]))
        raise SolveError(failure.result, failure.t, failure.dt, solution=reached, advice=advice) from None
    return _fields(problem, method, lowered, solution)


def _controller(problem: PDEProblem, method: Any, lowered: Lowered, given: dict[str, Any]) -> Any:
    """The one that is given, or that a first step size stands for.

    Raises:
        ValueError: for an explicit method that estimates no error, and has no step size either.
    """
    controller, first = given.get("controller"), given.get("dt0")
    if controller is not None or not has_limit(method) or method.error_order is not None:
        return controller
    if first is not None:
        with suppress(TypeError, ValueError):  # which `kutta.solve` refuses
            return Fixed(abs(as_float(first)))
        return None
    limit = largest_step(lowered.problem, method)  # type: ignore[arg-type]
    waves = ", or controller=problem.cfl(number) with a Courant number for it" if problem.says_speeds else ""
    raise ValueError(
        f"{type(method).__name__} estimates no error, so its step size must be given: at the start it is stable on "
        f"this grid with steps up to about {limit:.3g}, so pass controller=kutta.Fixed({0.9 * limit:.2g}) or a smaller "
        f"one{waves}; or leave the method out, and one that chooses its steps is taken"
    )


def _takes_given_steps(method: Any) -> bool:
    """Whether it is an explicit method that estimates no error."""
    return isinstance(method, RungeKutta | LowStorageRungeKutta) and method.error_order is None


def _lowered(forms: Forms, method: Any, given: dict[str, Any]) -> Lowered:
    if not (isinstance(method, Method) and method.needs_split):
        return forms.whole
    steps_are_given = isinstance(given.get("controller"), Fixed) and not any(name in given for name in _WATCHERS)
    waves_will_do = isinstance(forms.problem.scheme, PseudoSpectral) and steps_are_given
    return forms.waves if waves_will_do else forms.split


def _known(problem: PDEProblem, method: Any, controller: Any, lowered: Lowered, failure: SolveError) -> Iterator[str]:
    """What the equation knows of such failures, and whether it outran its steps."""
    solution: Solution = failure.solution  # type: ignore[assignment]
    if failure.result in (Result.NON_FINITE, Result.STEP_UNDERFLOW):
        yield problem.equation.advice(problem.grid, _fields(problem, method, lowered, solution).y1)
    if failure.result == Result.NON_FINITE:
        outran = outrun(lowered.problem, method, controller, solution)
        by_waves = ", or controller=problem.cfl(), which follows the fastest wave" if problem.says_speeds else ""
        yield f"{outran}: take smaller ones{by_waves}, or leave the controller out" if outran else ""


def _fields(problem: PDEProblem, method: Any, lowered: Lowered, solution: Solution) -> Solution:
    def shown(t: Any, states: Tensor) -> Tensor:
        return filled(problem.grid, lowered.shown(states), t)

    ys = [shown(t, y) for t, y in zip(solution.ts, solution.ys, strict=True)]
    inside = solution.interpolant

    def interpolant(t: Any) -> Tensor:
        found = inside(t)  # type: ignore[misc]
        times = torch.as_tensor(t)
        return torch.stack([shown(*one) for one in zip(times, found, strict=True)]) if times.dim() else shown(t, found)

    events = tuple(replace(one, y=shown(one.t, one.y)) for one in solution.events)
    draws = {
        name: one and replace(one, y=torch.stack([shown(t, y) for t, y in zip(one.t, one.y, strict=True)]))
        for name, one in solution.draws.items()
    }
    parts = {"equation": problem.equation, "scheme": problem.scheme, "method": method}
    settings = {name: in_words(part) for name, part in parts.items()}
    return replace(
        solution,
        ys=torch.stack(ys) if ys else lowered.shown(solution.ys),
        y1=shown(solution.t1, solution.y1),
        interpolant=None if inside is None else interpolant,
        events=events,
        draws=draws,
        space=Space(problem.grid, problem.equation.components, type(problem.equation).__name__, settings),
    )
