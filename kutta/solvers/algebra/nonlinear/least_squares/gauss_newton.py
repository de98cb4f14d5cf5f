"""The method of Gauss and Newton: ``J^T J d = -J^T F``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.least_squares.trust_region import TrustRegion
from kutta.solvers.algebra.nonlinear.method import LeastSquaresMethod
from kutta.solvers.tolerance import Tolerance

# Of a step to the minimum: parts that are shorter lead nowhere.
_SHORTEST = 1e-10


@dataclass(frozen=True)
class GaussNewton(LeastSquaresMethod):
    """Steps to the minimum of the quadratic, or a part of the way there where the sum of squares does not fall.

    The part is halved after a step that was not taken, and doubled after one that was. It converges fast where the
    residual at the solution is small; `LevenbergMarquardt` and `Dogleg` also do where the Jacobian loses its rank.

    Source: Nocedal and Wright, Numerical optimization, 2006, section 10.3.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.LeastSquaresProblem(lambda x: torch.exp(x) - 2.0, torch.zeros(1, dtype=torch.float64))
        >>> kt.solve(problem, kt.GaussNewton()).y1
        tensor([0.6931], dtype=torch.float64)
    """

    source = "Nocedal and Wright, Numerical optimization, 2006, section 10.3"

    def begin(self, equations: Equations, tolerance: Tolerance) -> GaussNewtonIteration:
        return GaussNewtonIteration(equations, tolerance)


class GaussNewtonIteration(TrustRegion):
    """The method on its way.

    Attributes:
        part: of the way to the minimum, of each problem.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance):
        super().__init__(equations, tolerance)
        self.part = torch.ones_like(self.quadratic.value)

    def propose(self) -> Tensor:
        return self.part[:, None] * self.quadratic.nearest

    def learn(self, gain: Tensor, d: Tensor, taken: Tensor) -> Tensor:
        self.part = torch.where(taken, (2.0 * self.part).clamp(max=1.0), 0.5 * self.part)
        return self.part < _SHORTEST
