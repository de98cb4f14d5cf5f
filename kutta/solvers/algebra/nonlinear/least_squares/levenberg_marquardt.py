"""The method of Levenberg and Marquardt: ``(J^T J + damping D) d = -J^T F``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.least_squares.trust_region import TrustRegion
from kutta.solvers.algebra.nonlinear.method import LeastSquaresMethod
from kutta.solvers.tolerance import Tolerance

# The first damping after a step that gained nothing without, and the largest one.
_FIRST, _LARGEST = 1e-6, 1e16


@dataclass(frozen=True)
class LevenbergMarquardt(LeastSquaresMethod):
    """Steps of Gauss and Newton, which become shorter and turn downhill where those gain too little.

        (J^T J + damping D) d = -J^T F,    D = diag(J^T J), the largest so far

    After a step that gained ``g`` times what was foretold, the damping is multiplied by ``max(1/3, 1 - (2 g - 1)^3)``;
    after one that was not taken by 2, then by 4, by 8, and so on.

    Attributes:
        damping: the first one. With 0, the default, a linear problem is solved in one step; with 1e-3 or more first
            steps are shorter, for a beginning that is far off.

    Source: Moré, The Levenberg-Marquardt algorithm: implementation and theory, 1978, for ``D``; Nielsen, Damping
    parameter in Marquardt's method, 1999, for the damping.

    Example:
        >>> import torch, kutta as kt
        >>> t = torch.linspace(0.0, 1.0, 20, dtype=torch.float64)
        >>> data = 2.0 * torch.exp(-3.0 * t)
        >>> problem = kt.LeastSquaresProblem(lambda x: x[0] * torch.exp(-x[1] * t) - data, torch.ones(2).double())
        >>> kt.solve(problem, kt.LevenbergMarquardt()).y1
        tensor([2.0000, 3.0000], dtype=torch.float64)
    """

    damping: float = 0.0
    source = "Moré, The Levenberg-Marquardt algorithm: implementation and theory, 1978"

    def __post_init__(self) -> None:
        if isinstance(self.damping, bool) or not isinstance(self.damping, int | float) or not 0 <= self.damping < 1e16:
            raise ValueError(f"damping must be a number of at least 0; got {self.damping!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> LevenbergMarquardtIteration:
        return LevenbergMarquardtIteration(equations, tolerance, self.damping)


class LevenbergMarquardtIteration(TrustRegion):
    """The method on its way.

    Attributes:
        damping: of each problem.
        growth: by what a step that is not taken multiplies it.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, damping: float):
        super().__init__(equations, tolerance)
        self.damping = torch.full_like(self.quadratic.value, damping)
        self.growth = torch.full_like(self.damping, 2.0)

    def propose(self) -> Tensor:
        return self.quadratic.minimiser(self.damping, self.scale)

    def learn(self, gain: Tensor, d: Tensor, taken: Tensor) -> Tensor:
        bolder = self.damping * (1.0 - (2.0 * gain - 1.0) ** 3).clamp(min=1.0 / 3.0)
        more = self.growth * self.damping.clamp(min=_FIRST)
        self.damping = torch.where(taken, bolder, more)
        self.growth = torch.where(taken, 2.0, 2.0 * self.growth)
        return self.damping > _LARGEST
