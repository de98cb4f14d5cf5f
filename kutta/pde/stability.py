"""Steps that no luck can save: what the Courant-Friedrichs-Lewy condition says of explicit methods.

A Runge-Kutta method multiplies a mode with rate ``lambda`` by ``R(dt lambda)`` in a step, where ``R`` is a polynomial.
Beyond some distance from zero ``|R| > 1`` in all directions. A step that takes the fastest rate there grows without
bound, whatever kind of mode it is.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.autodiff import as_float, read
from kutta.problems import ODEProblem
from kutta.solvers.controllers import Fixed
from kutta.solvers.runge_kutta import RungeKutta
from kutta.solvers.stabilised.spectral_radius import SAFETY, estimated_radius
from kutta.solvers.tableaus.tableau import Tableau

# A power iteration that has not come to rest may be this far above the radius.
_SURELY = 1.1


def check_step(problem: Any, method: Any, controller: Any) -> None:
    """Refuse a given step size that is surely too large for an explicit Runge-Kutta method.

    Raises:
        ValueError: with the largest step size that is not.
    """
    if not (isinstance(controller, Fixed) and isinstance(method, RungeKutta) and isinstance(problem, ODEProblem)):
        return
    y0 = problem.y0.detach()
    if y0.is_complex() or torch.compiler.is_compiling():
        return
    with torch.no_grad():
        t0 = torch.as_tensor(problem.t_span[0], dtype=y0.dtype)
        slope = problem.derivative(t0, y0)
        noise = torch.randn(y0.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        radius, direction = estimated_radius(problem, t0, y0, slope, noise.to(y0))  # type: ignore[arg-type]
        rate = min(radius / SAFETY, _mean_growth(problem, t0, y0, slope, direction))
    reach = farthest_stable(method.tableau)
    if rate * abs(as_float(controller.dt)) > _SURELY * reach:
        raise ValueError(
            f"controller=Fixed({as_float(controller.dt):.3g}) violates the Courant-Friedrichs-Lewy condition: the "
            f"fastest mode of this equation on this grid changes at the rate {rate:.3g}, for which "
            f"{type(method).__name__} needs steps below {reach / rate:.3g}; take such steps, leave the controller out, "
            "or use a method for stiff problems such as kutta.ROCK4() or kutta.ETDRK4()"
        )


def _mean_growth(problem: ODEProblem, t0: Tensor, y0: Tensor, slope: Tensor, direction: Tensor) -> float:
    """``sqrt(|J^2 d| / |d|)``: in systems such as that of waves a direction grows much and little by turns."""
    size, product = torch.linalg.vector_norm(y0), 1.0
    distance = math.sqrt(torch.finfo(y0.dtype).eps) * torch.where(size > 0, size, 1.0)
    for _ in range(2):
        length = torch.linalg.vector_norm(direction)
        nearby = y0 + direction * (distance / torch.where(length > 0, length, 1.0))
        direction = (problem.derivative(t0, nearby) - slope) / distance
        product *= read(torch.linalg.vector_norm(direction))
    return math.sqrt(product)


@cache
def farthest_stable(tableau: Tableau) -> float:
    """The largest ``|z|`` in the left half plane with ``|R(z)| <= 1``."""
    weights, row = np.array(tableau.b, dtype=float), np.ones(len(tableau.b))
    matrix = np.zeros((len(row), len(row)))
    for stage, entries in enumerate(tableau.a):
        matrix[stage, : len(entries)] = [float(entry) for entry in entries]
    powers = [1.0]
    for _ in row:
        powers.append(float(weights @ row))
        row = matrix @ row
    angles = np.exp(1j * np.linspace(np.pi / 2, np.pi, 181))
    radii = np.linspace(0.0, 4.0 * len(powers) ** 2, 8001)[1:]
    values = np.abs(np.polyval(powers[::-1], np.outer(radii, angles)))
    return float(radii[np.nonzero((values <= 1.0 + 1e-9).any(axis=1))[0][-1]])
