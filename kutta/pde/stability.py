"""Steps that no luck can save: what the Courant-Friedrichs-Lewy condition says of explicit methods.

Of ``y' = lambda y`` an explicit method with the step ``dt`` makes ``y_n = R_n(dt lambda) y_0`` with a polynomial
``R_n``. Beyond some distance of ``dt lambda`` from zero it grows with ``n`` in all directions of the left half plane. A
step that takes the fastest rate there grows without bound, whatever kind of mode it is.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import as_float, read
from kutta.pde.lowering.structure import random_field
from kutta.problems import ODEProblem
from kutta.solvers.controllers import Fixed
from kutta.solvers.field import VectorField
from kutta.solvers.low_storage import LowStorageRungeKutta
from kutta.solvers.method import Method
from kutta.solvers.multistep import AdamsBashforth, AdamsBashforthMoulton
from kutta.solvers.runge_kutta import RungeKutta
from kutta.solvers.stabilised.spectral_radius import SAFETY, estimated_radius
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
    if not (isinstance(controller, Fixed) and has_limit(method) and isinstance(problem, ODEProblem)):
        return
    dt = as_float(controller.dt)
    if torch.compiler.is_compiling() or _only_starts(method, problem, dt):
        return
    rate, reach = fastest_rate(problem), farthest_stable(method)
    if rate * dt > _SURELY * reach:
        raise ValueError(
            f"controller=Fixed({dt:.3g}) violates the Courant-Friedrichs-Lewy condition: the "
            f"fastest mode of this equation on this grid changes at the rate {rate:.3g}, for which "
            f"{type(method).__name__} needs steps below {reach / rate:.3g}; take such steps, leave the controller out, "
            "or use a method for stiff problems such as kutta.ROCK4() or kutta.ETDRK4()"
        )


def _only_starts(method: Method, problem: ODEProblem, dt: float) -> bool:
    """Whether a multistep method comes to its end before it has taken a step that is not one of Runge and Kutta's."""
    t0, t1 = problem.t_span
    return not method.steps_alike and abs(as_float(t1) - as_float(t0)) < method.order * dt


def largest_step(problem: ODEProblem, method: Method) -> float:
    """Beyond which an explicit method is not stable at the start; infinite where nothing changes."""
    rate = fastest_rate(problem)
    return farthest_stable(method) / rate if rate > 0.0 else math.inf


def fastest_rate(problem: ODEProblem) -> float:
    """How fast the fastest mode changes at the start."""
    y0 = problem.y0.detach()
    with torch.no_grad():
        t0 = torch.as_tensor(problem.t_span[0]).detach().to(y0.device, y0.dtype.to_real())
        slope = problem.derivative(t0, y0)
        direction, radius = random_field(y0.shape).to(y0), 0.0
        for _ in range(3):  # each goes on until it has come to rest, for that moment
            radius, direction = estimated_radius(problem, t0, y0, slope, direction)  # type: ignore[arg-type]
        return min(radius / SAFETY, _mean_growth(problem, t0, y0, slope, direction))


def _mean_growth(problem: ODEProblem, t0: Tensor, y0: Tensor, slope: Tensor, direction: Tensor) -> float:
    """``sqrt(|J^2 d| / |d|)``: in systems such as that of waves a direction grows much and little by turns."""
    size, product = torch.linalg.vector_norm(y0), torch.ones((), dtype=torch.float64, device=y0.device)
    distance = math.sqrt(torch.finfo(y0.dtype).eps) * torch.where(size > 0, size, 1.0)
    for _ in range(2):
        length = torch.linalg.vector_norm(direction)
        nearby = y0 + direction * (distance / torch.where(length > 0, length, 1.0))
        direction = (problem.derivative(t0, nearby) - slope) / distance
        product = product * torch.linalg.vector_norm(direction)
    return math.sqrt(read(product))


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
