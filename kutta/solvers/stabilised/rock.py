"""The fourth-order orthogonal Runge-Kutta-Chebyshev method."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.method import Time
from kutta.solvers.stabilised.stabilised import Ending, Stabilised
from kutta.solvers.stages import advanced_by
from kutta.solvers.tableaus.rock import rock4


@dataclass(frozen=True)
class ROCK4(Stabilised):
    """Abdulle's stabilised method of order 4, for diffusion on fine grids and tolerances from about 1e-4 down.

    The stages are as many as are stable, ``0.353 s^2 - 3 > |h| spectral_radius``. The last of them magnify rounding
    errors of the fastest modes by ``(h spectral_radius)^4 / 100``; a step is gone in equal parts, where that would cost
    more than half of the digits: from 286 in double precision, 29 stages, and from 23 in single precision. Beyond that
    the cost grows as ``h spectral_radius`` itself: near a steady state, and for stiff problems in single precision,
    `RKC2` takes far fewer evaluations.

    Use it with error control. The last stages magnify a force on the fastest modes too, which the error estimate sees:
    with `Fixed` steps, ``y' = -1000 (y - cos t) - sin t`` is wrong by 15 for ``h = 0.1`` and by 1 for ``h = 0.05``.

    Example:
        >>> import torch, kutta as kt
        >>> n = 100
        >>> x = torch.linspace(0, 1, n + 1, dtype=torch.float64)[1:-1]
        >>> def heat(t, u):
        ...     padded = torch.nn.functional.pad(u, (1, 1))
        ...     return n**2 * (padded[2:] - 2 * u + padded[:-2])
        >>> problem = kt.ODEProblem(heat, torch.sin(torch.pi * x), (0.0, 0.1))
        >>> sol = kt.solve(problem, kt.ROCK4(), rtol=1e-6)
        >>> round(float(sol.y1[49]), 3), sol.stats.function_evaluations < 1000
        (0.373, True)
    """

    order = 4
    error_order = 4
    source = "A. Abdulle, SIAM J. Sci. Comput. 23 (2002) 2041-2054"

    def stiffest(self, precision: float) -> float:
        return (100.0 / math.sqrt(precision)) ** 0.25

    def stages(self, stiffness: float) -> int:
        available = list(rock4())
        return available[bisect_left(available, 1 + int(math.sqrt((3.0 + stiffness) / 0.353)))]

    def advanced(self, problem: Any, t: Time, y: Tensor, dt: Time, slope: Tensor, stages: int) -> Ending:
        table = rock4()[stages]
        before, move = torch.zeros_like(y), table.start * dt * slope
        node_before, node = 0.0, table.start
        for mu, kappa in table.recurrence:
            ahead = problem.derivative(t + node * dt, y + move)
            following = torch.add((1.0 + kappa) * move, before, alpha=-kappa)
            before, move = move, torch.add(following, ahead, alpha=mu * dt)
            node_before, node = node, mu + (1.0 + kappa) * node - kappa * node_before
        slopes: list[Tensor] = []
        for row in table.a:
            slopes.append(problem.derivative(t + (node + sum(row)) * dt, y + advanced_by(move, row, slopes, dt)))
        y1 = y + advanced_by(move, table.b, slopes, dt)
        end = problem.derivative(t + dt, y1)
        excess = [-weight for weight in table.embedded]
        for stage, weight in enumerate(table.b):
            excess[stage] += weight
        return Ending(y1, end, advanced_by(torch.zeros_like(y), excess, [*slopes, end], dt))
