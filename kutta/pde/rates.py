"""How fast the modes of a discretised equation change: the eigenvalues of its Jacobian ``J``, by size.

A look at a few powers of ``J`` tells whether all rates are plainly below a limit, and is all that most solves need. The
fastest rate itself takes a power iteration that has come to rest.

The look begins with a field ``v`` of normal noise about 1. Of a mode that stands in one cell it holds, there, a normal
number of variance 1 or more, so that ``|J^k v| < rate^k / 16`` everywhere with a probability below 5 %. A mode that
spreads over many cells has less of the noise, but also neighbours that are nearly as fast, which add up, and more cells
where the largest value may be; unless it has none, as the mean, which is what the 1 is for. Even powers are looked at,
since the components of waves grow by turns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.pde.lowering.structure import random_field
from kutta.problems import ODEProblem
from kutta.solvers.stabilised.spectral_radius import SAFETY, estimated_radius

# The powers of the Jacobian that are looked at, and the part of a mode that is counted on.
_POWERS = 4
_PART = 1.0 / 16.0


@torch.no_grad()
def are_plainly_below(problem: ODEProblem, limit: float) -> bool:
    """Whether all rates at the start are below a limit, beyond reasonable doubt; if not, they may still be.

    It takes four evaluations of the right-hand side besides the slope, which tell limits from two to three times the
    fastest rate on, or two where the limit is ten times as much.

    Args:
        problem: whose initial state and time are meant.
        limit: of the rates.
    """
    t0, y0, slope = _start(problem)
    distance, direction = _distance(y0), 1.0 + random_field(y0.shape).to(y0)
    rounding = torch.finfo(y0.dtype).eps * torch.linalg.vector_norm(slope) / distance
    seen = torch.ones((), dtype=torch.bool, device=y0.device)
    for power in range(1, _POWERS + 1):
        image = _applied(problem, t0, y0, slope, direction, distance)
        seen = seen & (torch.linalg.vector_norm(image) > rounding * torch.linalg.vector_norm(direction))
        direction = image / limit
        if power % 2 == 0 and read(torch.where(seen, direction.abs().amax(), math.inf)) < _PART:
            return True
    return False


@torch.no_grad()
def fastest_rate(problem: ODEProblem) -> float:
    """How fast the fastest mode changes at the start."""
    t0, y0, slope = _start(problem)
    direction, radius = random_field(y0.shape).to(y0), 0.0
    for _ in range(3):  # each goes on until it has come to rest, for that moment
        radius, direction = estimated_radius(problem, t0, y0, slope, direction)  # type: ignore[arg-type]
    growth = _mean_growth(problem, t0, y0, slope, direction)
    return min(radius / SAFETY, growth or math.inf)  # none, where rounding hides it


def _start(problem: ODEProblem) -> tuple[Tensor, Tensor, Tensor]:
    """The initial time and state, without what derivatives know of them, and the slope."""
    y0 = problem.y0.detach()
    t0 = torch.as_tensor(problem.t_span[0]).detach().to(y0.device, y0.dtype.to_real())
    return t0, y0, problem.derivative(t0, y0)


def _mean_growth(problem: ODEProblem, t0: Tensor, y0: Tensor, slope: Tensor, direction: Tensor) -> float:
    """``sqrt(|J^2 d| / |d|)``: in systems such as that of waves a direction grows much and little by turns."""
    distance, growth = _distance(y0), torch.ones((), dtype=torch.float64, device=y0.device)
    for _ in range(2):
        length = torch.linalg.vector_norm(direction)
        direction = direction / torch.where(length > 0.0, length, 1.0)
        direction = _applied(problem, t0, y0, slope, direction, distance)
        growth = growth * torch.linalg.vector_norm(direction)
    return math.sqrt(read(growth))


def _applied(problem: ODEProblem, t0: Tensor, y0: Tensor, slope: Tensor, direction: Tensor, distance: Tensor) -> Tensor:
    """``J d``, from the slope at a distance."""
    length = torch.linalg.vector_norm(direction)
    nearby = y0 + direction * (distance / torch.where(length > 0.0, length, 1.0))
    return (problem.derivative(t0, nearby) - slope) * (length / distance)


def _distance(y0: Tensor) -> Tensor:
    """At which neither rounding nor what is not linear is felt."""
    size = torch.linalg.vector_norm(y0)
    return math.sqrt(torch.finfo(y0.dtype).eps) * torch.where(size > 0.0, size, 1.0)
