"""Picard's iteration, ``x <- x + damping (T(x) - x)``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import Iteration, chosen, distance
from kutta.solvers.algebra.nonlinear.method import FixedPointMethod
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance


@dataclass(frozen=True)
class Picard(FixedPointMethod):
    """``x <- x + damping (T(x) - x)``, which converges where that is a contraction.

    If every step is ``q`` times as long as the last one, what is left is ``q / (1 - q)`` times the last one: it ends
    where that is tolerated.

    Attributes:
        damping: 1 for ``x <- T(x)``; less may converge where that overshoots.

    Source: Picard, Mémoire sur la théorie des équations aux dérivées partielles, 1890.

    Example:
        >>> import torch, kutta as kt
        >>> kt.solve(kt.FixedPointProblem(torch.cos, torch.ones((), dtype=torch.float64)), kt.Picard()).y1
        tensor(0.7391, dtype=torch.float64)
    """

    damping: float = 1.0
    source = "Picard, Mémoire sur la théorie des équations aux dérivées partielles, 1890"

    def __post_init__(self) -> None:
        if isinstance(self.damping, bool) or not isinstance(self.damping, int | float) or not 0 < self.damping <= 1:
            raise ValueError(f"damping must lie above 0 and be at most 1; got {self.damping!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> Iteration:
        return PicardIteration(equations, tolerance, self.damping)


class PicardIteration(Iteration):
    """The method on its way.

    Attributes:
        r: ``T(x) - x``.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, damping: float):
        super().__init__(equations.start)
        self.equations, self.tolerance, self.damping = equations, tolerance, damping
        self.r = equations(self.x)
        self.step = distance(tolerance, damping * self.r, self.x)
        self.size = norm(self.r)
        self.error = torch.where(self.size == 0.0, 0.0, torch.inf)

    def advance(self, running: Tensor) -> None:
        self.x = chosen(running, self.x + self.damping * self.r, self.x)
        r = self.equations(self.x)
        step = distance(self.tolerance, self.damping * r, self.x)
        rate = step / self.step
        error = torch.where(rate < 1.0, step / (1.0 - rate), torch.inf)
        self.error = torch.where(running, torch.where(step == 0.0, 0.0, error), self.error)
        rounding = norm(r) <= 8.0 * torch.finfo(step.dtype).eps * norm(self.x)
        self.breaks(running & rounding & (rate >= 1.0), int(Result.STAGNATION))
        self.r, self.step = chosen(running, r, self.r), torch.where(running, step, self.step)
        self.size = norm(self.r)
