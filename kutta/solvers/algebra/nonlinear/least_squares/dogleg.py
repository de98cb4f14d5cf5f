"""Powell's dogleg: steps within a radius, downhill first and then towards the minimum of the quadratic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.least_squares.trust_region import TrustRegion
from kutta.solvers.algebra.nonlinear.method import LeastSquaresMethod
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance

# Gains below and above which the radius shrinks and grows.
_POOR, _GOOD = 0.25, 0.75


@dataclass(frozen=True)
class Dogleg(LeastSquaresMethod):
    """The longest step within a radius on the way down the gradient, to its least point, and on to the minimum.

    Lengths are measured in units of the largest norms that the columns of the Jacobian had so far. The radius becomes
    half the step after one that gained less than a quarter of what was foretold, and twice the step at least after one
    that gained more than three quarters.

    Attributes:
        radius: the first one, in units of the length of the first step to the minimum: with 1, the default, a linear
            problem is solved in one step.

    Source: Powell, A hybrid method for nonlinear equations, 1970; Nocedal and Wright, Numerical optimization, 2006,
    section 4.1.

    Example:
        >>> import torch, kutta as kt
        >>> def rosenbrock(x):
        ...     return torch.stack([10.0 * (x[1] - x[0] ** 2), 1.0 - x[0]])
        >>> problem = kt.LeastSquaresProblem(rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64))
        >>> kt.solve(problem, kt.Dogleg()).y1
        tensor([1.0000, 1.0000], dtype=torch.float64)
    """

    radius: float = 1.0
    source = "Powell, A hybrid method for nonlinear equations, 1970"

    def __post_init__(self) -> None:
        if isinstance(self.radius, bool) or not isinstance(self.radius, int | float) or not 0 < self.radius < 1e16:
            raise ValueError(f"radius must be a positive number; got {self.radius!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> DoglegIteration:
        return DoglegIteration(equations, tolerance, self.radius)


class DoglegIteration(TrustRegion):
    """The method on its way.

    Attributes:
        radius: of each problem.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, radius: float):
        super().__init__(equations, tolerance)
        length = norm(self.scale * self._minimum())
        self.radius = radius * torch.where(length > 0.0, length, 1.0)

    def _minimum(self) -> Tensor:
        """The step to the minimum of the quadratic; where it has none, a very long one down the gradient."""
        step = self.quadratic.nearest
        return torch.where(torch.isfinite(step), step, 1e8 * self._downhill())

    def _downhill(self) -> Tensor:
        """The step down the gradient, in units of `scale`, to where the quadratic is least."""
        direction = -self.quadratic.gradient / self.scale.square()
        slope = -(self.quadratic.gradient * direction).sum(1)
        bend = self.quadratic.bend(direction)
        return torch.where(bend > 0.0, slope / bend, 0.0)[:, None] * direction

    def propose(self) -> Tensor:
        first, last = self.scale * self._downhill(), self.scale * self._minimum()
        within = torch.minimum(self.radius / norm(first), torch.ones_like(self.radius))
        leg = last - first
        # |first + s leg| = radius
        a, b = leg.square().sum(1), (first * leg).sum(1)
        c = first.square().sum(1) - self.radius.square()
        root = (b.square() - a * c).clamp(min=0.0).sqrt()
        part = torch.where(b > 0.0, -c / (b + root), (root - b) / a).clamp(0.0, 1.0)
        part = torch.where((within < 1.0) | ~torch.isfinite(part), 0.0, part)
        return (within[:, None] * first + part[:, None] * leg) / self.scale

    def learn(self, gain: Tensor, d: Tensor, taken: Tensor) -> Tensor:
        length = norm(self.scale * d)
        grown = torch.where(gain > _GOOD, torch.maximum(self.radius, 2.0 * length), self.radius)
        self.radius = torch.where(gain < _POOR, 0.5 * torch.minimum(length, self.radius), grown)
        size = norm(self.scale * self.x)
        return self.radius <= torch.finfo(size.dtype).eps * size * 1e-4
