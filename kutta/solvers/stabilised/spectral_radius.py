"""How fast the fastest mode of a right-hand side changes: a nonlinear power method.

With ``z_0`` near ``y`` and the size ``d`` of their difference kept small,

    sigma_i = |f(z_i) - f(y)| / d,      z_{i+1} = y + d (f(z_i) - f(y)) / |f(z_i) - f(y)|,

``sigma_i`` tends to the largest absolute eigenvalue of ``df/dy``, from below as a rule.

Source: Sommeijer, Shampine and Verwer, RKC: an explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88, 1998.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.method import Slopes, Time

SAFETY = 1.2
ITERATIONS = 50


def first_direction(slope: Tensor) -> Tensor:
    """The slope, and as much of all modes: from one mode alone, such as a sine, the method finds no other."""
    slope = slope.detach()
    places = torch.arange(slope.numel(), dtype=torch.float64, device=slope.device)
    mixed = torch.cos(places**2).to(slope.dtype).reshape(slope.shape)
    length = torch.linalg.vector_norm(slope)
    return slope / torch.where(length > 0.0, length, 1.0) + mixed / torch.linalg.vector_norm(mixed)


@torch.no_grad()
def estimated_radius(field: Slopes, t: Time, y: Tensor, slope: Tensor, direction: Tensor) -> tuple[float, Tensor]:
    """A bound on the spectral radius of ``df/dy`` at ``(t, y)``, and the direction in which it was found.

    Args:
        field: the right-hand side.
        t: the time.
        y: the state.
        slope: the derivative there.
        direction: where to begin: `first_direction`, or what came out before, which saves evaluations.
    """
    y, slope, direction = y.detach(), slope.detach(), direction.detach()
    eps = torch.finfo(y.dtype).eps
    size, force = read(torch.stack([torch.linalg.vector_norm(y), torch.linalg.vector_norm(slope)]))
    distance, farthest = math.sqrt(eps) * (size or 1.0), math.sqrt(eps) * max(size, 1.0)
    found = before = 0.0
    for _ in range(ITERATIONS):
        length = torch.linalg.vector_norm(direction)
        # Any direction will do where there is none.
        direction = torch.where(length > 0, direction, torch.ones_like(y))
        length = torch.where(length > 0, length, math.sqrt(y.numel()))
        change = field.derivative(t, y + direction * (distance / length)) - slope
        moved = read(torch.linalg.vector_norm(change))
        if moved <= 100.0 * eps * force and distance < farthest:
            # That is the rounding of f: so near to zero the state says nothing of its own size.
            distance = min(distance / eps**0.25, farthest)
            continue
        direction, before, found = change, found, moved / distance
        if not math.isfinite(found) or abs(found - before) <= 0.01 * found:
            break
    return SAFETY * max(found, before), direction
