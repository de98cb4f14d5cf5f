"""Problems as `kutta.solve` takes them: what is iterated on, and of what the solution is a root.

    roots              r = -F(x)              -dr/dx = F'
    fixed points       r = T(x) - x           -dr/dx = I - T'
    least squares      r = -J^T F             -dr/dx = J^T J + sum_i F_i F_i''

That is all that derivatives of solutions need, whatever was iterated on; see `kutta.solvers.algebra.implicit`.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from kutta.problems import FixedPointProblem, LeastSquaresProblem, RootProblem
from kutta.solvers.algebra.nonlinear.equations import Changes, Equations, SquareEquations
from kutta.solvers.algebra.nonlinear.fixed_points.anderson import Anderson
from kutta.solvers.algebra.nonlinear.least_squares.levenberg_marquardt import LevenbergMarquardt
from kutta.solvers.algebra.nonlinear.method import FixedPointMethod, LeastSquaresMethod, NonlinearMethod, RootMethod
from kutta.solvers.algebra.nonlinear.roots.newton import Newton
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class Posed:
    """A problem of one kind.

    Attributes:
        methods: that solve it.
        default: the one that does if none is named.
        equations: what is iterated on.
    """

    methods: ClassVar[tuple[type[NonlinearMethod], ...]]
    default: ClassVar[NonlinearMethod]
    equations: Equations

    def residual(self, x: Tensor) -> Tensor:
        """``r(x)``, ``(B, n)``, by differentiable operations."""
        raise NotImplementedError

    def slope(self, x: Tensor) -> LinearOperator | None:
        """``-dr/dx``, where the problem says what it is."""
        return None

    def without_curvature(self, x: Tensor) -> Posed:
        """The same with the Jacobian at `x` everywhere, for least squares."""
        raise NotImplementedError


class Roots(Posed):
    """``F(x) = 0``."""

    methods = (RootMethod,)
    default = Newton()

    def __init__(self, problem: RootProblem):
        given = problem.x0, problem.args, problem.batched, problem.jacobian
        self.equations = SquareEquations("f", problem.f, *given)

    def residual(self, x: Tensor) -> Tensor:
        return -self.equations.image(x)

    def slope(self, x: Tensor) -> LinearOperator | None:
        return None if self.equations.given is None else self.equations.slope(x)


class FixedPoints(Posed):
    """``T(x) - x = 0``."""

    methods = (FixedPointMethod, RootMethod)
    default = Anderson()

    def __init__(self, problem: FixedPointProblem):
        self.equations = Changes("f", problem.f, problem.x0, problem.args, problem.batched)

    def residual(self, x: Tensor) -> Tensor:
        return self.equations.image(x)


class LeastSquares(Posed):
    """``J^T F = 0``."""

    methods = (LeastSquaresMethod,)
    default = LevenbergMarquardt()

    def __init__(self, problem: LeastSquaresProblem):
        given = problem.x0, problem.args, problem.batched, problem.jacobian
        self.equations = Equations("residual", problem.residual, *given)
        if self.equations.layout.dtype.is_complex:
            raise TypeError(
                f"x0 of a LeastSquaresProblem must be real; got {self.equations.layout.dtype}: take real and imaginary "
                "parts as unknowns, such as torch.view_as_real(x0)"
            )

    def residual(self, x: Tensor) -> Tensor:
        r, pull = torch.func.vjp(self.equations.image, x)  # pyright: ignore[reportAssignmentType]
        return -pull(r)[0]

    def without_curvature(self, x: Tensor) -> Posed:
        return WithoutCurvature(self.equations, x)


class WithoutCurvature(Posed):
    """``J^T F = 0`` with the Jacobian of one place, as if it depended on nothing."""

    def __init__(self, equations: Equations, x: Tensor):
        self.equations = equations
        self.transposed = equations.linearised(x)[1].detach().mT

    def residual(self, x: Tensor) -> Tensor:
        return -(self.transposed @ self.equations.image(x).unsqueeze(-1)).squeeze(-1)


def posed(problem: RootProblem | FixedPointProblem | LeastSquaresProblem) -> Posed:
    """A problem of whatever kind."""
    if isinstance(problem, RootProblem):
        return Roots(problem)
    if isinstance(problem, FixedPointProblem):
        return FixedPoints(problem)
    return LeastSquares(problem)
