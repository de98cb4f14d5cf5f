"""The second-order Runge-Kutta-Chebyshev method.

With the Chebyshev polynomials ``T_j``, ``w0 = 1 + eps / s^2``, ``w1 = T_s'(w0) / T_s''(w0)`` and
``b_j = T_j''(w0) / T_j'(w0)^2``, ``b_0 = b_1 = b_2``, the stages are those of the stability polynomials
``a_j + b_j T_j(w0 + w1 z)``: as differences ``d_j = g_j - y`` from the start,

    d_0 = 0,   d_1 = b_1 w1 h f(y),
    d_j = mu_j d_{j-1} + nu_j d_{j-2} + m_j h (f(g_{j-1}) - a_{j-1} f(y)),
    mu_j = 2 w0 b_j / b_{j-1},   nu_j = -b_j / b_{j-2},   m_j = mu_j w1 / w0,   a_j = 1 - b_j T_j(w0).

The stability region reaches to about ``-2/3 (s^2 - 1) (1 - 2/15 eps)`` on the real axis.

Source: Sommeijer, Shampine and Verwer, RKC: an explicit solver for parabolic PDEs, J. Comput. Appl. Math. 88, 1998.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kutta.solvers.method import Time
from kutta.solvers.stabilised.stabilised import Ending, Stabilised

DAMPING = 2.0 / 13.0


class Stage(NamedTuple):
    """One line of the recurrence: ``d_j = last d_{j-1} + before d_{j-2} + new h f(g_{j-1}) + first h f(y)``.

    Attributes:
        node: where ``g_{j-1}`` is, as a part of the step.
        last, before, new, first: the coefficients.
    """

    node: float
    last: float
    before: float
    new: float
    first: float


@lru_cache(maxsize=16)  # a recurrence holds as many lines as stages, which may be thousands
def recurrence(stages: int) -> tuple[float, tuple[Stage, ...]]:
    """The weight of ``h f(y)`` in ``d_1``, and the lines for ``j = 2 ... s``."""
    w0 = 1.0 + DAMPING / stages**2
    values, slopes, bends = [1.0, w0], [0.0, 1.0], [0.0, 0.0]
    for _ in range(2, stages + 1):
        bends.append(2.0 * w0 * bends[-1] - bends[-2] + 4.0 * slopes[-1])
        slopes.append(2.0 * w0 * slopes[-1] - slopes[-2] + 2.0 * values[-1])
        values.append(2.0 * w0 * values[-1] - values[-2])
    w1 = slopes[stages] / bends[stages]
    b = [0.0, 0.0, *(bends[j] / slopes[j] ** 2 for j in range(2, stages + 1))]
    b[0] = b[1] = b[2]
    start = b[1] * w1
    nodes, lines = [0.0, start], []
    for j in range(2, stages + 1):
        last, before = 2.0 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2]
        new = last * w1 / w0
        first = -new * (1.0 - b[j - 1] * values[j - 1])
        lines.append(Stage(nodes[j - 1], last, before, new, first))
        nodes.append(last * nodes[j - 1] + before * nodes[j - 2] + new + first)
    return start, tuple(lines)


@dataclass(frozen=True)
class RKC2(Stabilised):
    """The Runge-Kutta-Chebyshev method of order 2, for diffusion on fine grids: explicit, without linear systems.

    It takes as many stages as are stable, ``s = 1 + sqrt(1 + 1.54 |h| spectral_radius)``, where Euler's method would
    need a number of steps that grows as ``s^2``. Memory is that of a few states (with gradients, of all stages).

    Example:
        >>> import torch, kutta as kt
        >>> n = 100
        >>> x = torch.linspace(0, 1, n + 1, dtype=torch.float64)[1:-1]
        >>> def heat(t, u):
        ...     padded = torch.nn.functional.pad(u, (1, 1))
        ...     return n**2 * (padded[2:] - 2 * u + padded[:-2])
        >>> problem = kt.ODEProblem(heat, torch.sin(torch.pi * x), (0.0, 0.1))
        >>> sol = kt.solve(problem, kt.RKC2(), rtol=1e-4)
        >>> round(float(sol.y1[49]), 3), sol.stats.function_evaluations < 1000  # exp(-pi^2 / 10)
        (0.373, True)
    """

    order = 2
    error_order = 3
    source = "B. P. Sommeijer, L. F. Shampine, J. G. Verwer, J. Comput. Appl. Math. 88 (1998) 315-326"

    def stages(self, stiffness: float) -> int:
        return max(2, 1 + int(math.sqrt(1.54 * stiffness + 1.0)))

    def advanced(self, problem: Any, t: Time, y: Tensor, dt: Time, slope: Tensor, stages: int) -> Ending:
        start, lines = recurrence(stages)
        before, move = torch.zeros_like(y), start * dt * slope
        for line in lines:
            ahead = problem.derivative(t + line.node * dt, y + move)
            following = torch.add(line.last * move, before, alpha=line.before)
            following = torch.add(following, ahead, alpha=line.new * dt)
            before, move = move, torch.add(following, slope, alpha=line.first * dt)
        y1 = y + move
        end = problem.derivative(t + dt, y1)
        return Ending(y1, end, 0.4 * dt * (slope + end) - 0.8 * move)
