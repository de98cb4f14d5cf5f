"""Steps that no luck can save: what the Courant-Friedrichs-Lewy condition says of explicit methods.

Of ``y' = lambda y`` an explicit method with the step ``dt`` makes ``y_n = R_n(dt lambda) y_0`` with a polynomial
``R_n``. Beyond some distance of ``dt lambda`` from zero it grows with ``n`` in all directions of the left half plane. A
step that takes the fastest rate there grows without bound, whatever kind of mode it is.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import as_float, read
from kutta.pde.rates import are_plainly_below, fastest_rate
from kutta.problems import ODEProblem
from kutta.solution import Solution
from kutta.solvers.controllers import Fixed
from kutta.solvers.field import VectorField
from kutta.solvers.low_storage import LowStorageRungeKutta
from kutta.solvers.method import Method
from kutta.solvers.multistep import AdamsBashforth, AdamsBashforthMoulton
from kutta.solvers.runge_kutta import RungeKutta
from kutta.state import layout_of

# A power iteration that has not come to rest may be this far above the radius.
_SURELY = 1.1
# Methods that go on from their last slopes show in so many steps whether they grow.
_STEPS = 256


def has_limit(method: Any) -> bool:
    """Whether it is explicit, with a stability region that its steps do not choose for themselves."""
    return isinstance(method, RungeKutta | LowStorageRungeKutta | AdamsBashforth | AdamsBashforthMoulton)


def check_step(problem: Any, method: Any, controller: Any) -> None:
    """Refuse a given step size that is surely too large for an explicit method.

    Under ``torch.func.vmap`` the fastest member of the batch counts, whose steps are those of all.

    Args:
        problem: an ordinary one.
        method: any.
        controller: only `Fixed` says a step size.

    Raises:
        ValueError: with the largest step size that is not.
    """
    if not _is_bound(problem, method, controller):
        return
    dt, reach = as_float(controller.dt), farthest_stable(method)
    if torch.compiler.is_compiling() or _only_starts(method, problem, dt):
        return
    rate = _rate_beyond(problem, _SURELY * reach / dt)
    if rate is not None:
        raise ValueError(
            f"controller=Fixed({dt:.3g}) violates the Courant-Friedrichs-Lewy condition: the "
            f"fastest mode of this equation on this grid changes at the rate {rate:.3g}, for which "
            f"{type(method).__name__} needs steps below {reach / rate:.3g}; take such steps, leave the controller out, "
            "or use a method for stiff problems such as kutta.ROCK4() or kutta.ETDRK4()"
        )


def outrun(problem: Any, method: Any, controller: Any, solution: Solution) -> str:
    """What a second look says of a solve that came to infinite values: whether the equation outran a given step.

    Such as that of Burgers, whose waves grow steeper and then faster, or one with a source that varies. Of the states
    that were saved, the first one is named for which the step was too large, by bisection; by default there is none but
    the last finite one.

    Args:
        problem: an ordinary one, from its start.
        method: any.
        controller: only `Fixed` says a step size.
        solution: of that problem, as far as it came.

    Returns:
        a clause for an error message; it is empty where the step was small enough, or nothing can be said.
    """
    if not _is_bound(problem, method, controller):
        return ""
    states = [*zip(solution.ts, solution.ys, strict=True), (solution.t1, solution.y1)]
    later = [replace(problem, y0=_in_range(y.detach()), t_span=(t, problem.t_span[1])) for t, y in states]
    dt, reach = as_float(controller.dt), farthest_stable(method)
    if _rate_beyond(later[-1], _SURELY * reach / dt) is None:
        return ""
    place = bisect_left(later, True, key=lambda one: _rate_beyond(one, _SURELY * reach / dt) is not None)
    t, y = states[place]
    return (
        f"the step was too large for what the equation had become: at t = {as_float(t):.6g}, where the largest value "
        f"is {read(y.detach().abs().amax()):.3g}, {type(method).__name__} is stable with steps up to about "
        f"{largest_step(later[place], method):.2g}, and at the start it was with up to "
        f"{largest_step(problem, method):.2g}"
    )


def _in_range(y: Tensor) -> Tensor:
    """A state, or that part of it whose norms can be told; for a linear equation its rates are the same."""
    farthest, largest = torch.finfo(y.dtype).max ** 0.25, y.abs().amax()
    return y * torch.where(largest > farthest, farthest / largest, 1.0)


def _is_bound(problem: Any, method: Any, controller: Any) -> bool:
    """Whether an explicit method takes steps of a given size."""
    return isinstance(controller, Fixed) and has_limit(method) and isinstance(problem, ODEProblem)


def _rate_beyond(problem: ODEProblem, limit: float) -> float | None:
    """The fastest rate at the start, if it is beyond a limit."""
    if are_plainly_below(problem, limit / _SURELY):
        return None
    rate = fastest_rate(problem)
    return rate if rate > limit else None


def _only_starts(method: Method, problem: ODEProblem, dt: float) -> bool:
    """Whether a multistep method comes to its end before it has taken a step that is not one of Runge and Kutta's."""
    t0, t1 = problem.t_span
    return not method.steps_alike and abs(as_float(t1) - as_float(t0)) < method.order * dt


def largest_step(problem: ODEProblem, method: Method) -> float:
    """Beyond which an explicit method is not stable at the start; infinite where nothing changes."""
    rate = fastest_rate(problem)
    return farthest_stable(method) / rate if rate > 0.0 else math.inf


@cache
def farthest_stable(method: Method) -> float:
    """The largest ``|z|`` in the left half plane for which ``y' = z y`` does not grow with steps of size 1."""
    coarse = _largest_stable(method, np.geomspace(1e-3, 1e3, 601))
    return _largest_stable(method, np.linspace(coarse, 1e6 ** (1 / 600) * coarse, 24)[:-1])


def _largest_stable(method: Method, radii: np.ndarray) -> float:
    angles = np.exp(1j * np.linspace(np.pi / 2, np.pi, 61))
    sizes = _after_steps(method, torch.from_numpy(np.outer(radii, angles))).abs().amin(1)
    return float(radii[np.asarray(read(sizes)) <= 1.0 + 1e-9][-1])


@torch.no_grad()
def _after_steps(method: Method, z: Tensor) -> Tensor:
    """What becomes of ``y = 1`` in ``y' = z y``: in one step of size 1, or in many where these are not alike."""
    y = torch.ones_like(z)
    problem = ODEProblem(lambda t, y: z * y, y, (0.0, math.inf))
    field = VectorField(problem, layout_of(y, ensemble=False))
    carry = method.init(field, 0.0, y)
    for number in range(1 if method.steps_alike else _STEPS):
        step, carry = method.step(field, float(number), y, 1.0, carry)
        y = step.y1
    return y
