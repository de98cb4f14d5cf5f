"""Problems as `kutta.solve` takes them: what is iterated on, and of what the solution is a root.

    roots              r = -F(x)              -dr/dx = F'
    fixed points       r = T(x) - x           -dr/dx = I - T'
    least squares      r = -J^T F             -dr/dx = J^T J + sum_i F_i F_i''
    constrained        r = -(grad L, c)       -dr/dx = [H G^T; G 0], of the unknowns and the multipliers

That is all that derivatives of solutions need, whatever was iterated on; see `kutta.solvers.algebra.implicit`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.problems import ConstrainedProblem, FixedPointProblem, LeastSquaresProblem, RootProblem
from kutta.solvers.algebra.nonlinear.constrained.exact_augmented_lagrangian import ExactAugmentedLagrangian
from kutta.solvers.algebra.nonlinear.constrained.optimality import Optimality
from kutta.solvers.algebra.nonlinear.equations import (
    Changes,
    Equations,
    SquareEquations,
    check_callable,
    check_real,
)
from kutta.solvers.algebra.nonlinear.fixed_points.anderson import Anderson
from kutta.solvers.algebra.nonlinear.least_squares.levenberg_marquardt import LevenbergMarquardt
from kutta.solvers.algebra.nonlinear.method import (
    ConstrainedMethod,
    FixedPointMethod,
    LeastSquaresMethod,
    NonlinearMethod,
    RootMethod,
)
from kutta.solvers.algebra.nonlinear.roots.newton import Newton
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


class Posed:
    """A problem of one kind.

    Attributes:
        methods: that solve it.
        default: the one that does if none is named.
        symmetric: whether ``dr/dx`` is.
        equations: what is iterated on.
    """

    methods: ClassVar[tuple[type[NonlinearMethod], ...]]
    default: ClassVar[NonlinearMethod]
    symmetric: ClassVar[bool] = False
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

    def besides(self, x: Tensor) -> dict[str, Any]:
        """What a `kutta.Solution` holds besides the unknowns, by its names there."""
        return {}


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
        """An operator of the user's; not a matrix, which may be one that only leads to the solution."""
        found = None if self.equations.given is None else self.equations.slope(x)
        return None if isinstance(found, Dense) else found


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
    symmetric = True

    def __init__(self, problem: LeastSquaresProblem):
        given = problem.x0, problem.args, problem.batched, problem.jacobian
        self.equations = Equations("residual", problem.residual, *given)
        check_real("LeastSquaresProblem", self.equations.layout.dtype)
        self.curvature = problem.curvature
        if self.curvature is not None:
            check_callable("curvature", self.curvature)

    def residual(self, x: Tensor) -> Tensor:
        r, pull = torch.func.vjp(self.equations.image, x)  # pyright: ignore[reportAssignmentType]
        return -pull(r)[0]

    def slope(self, x: Tensor) -> LinearOperator | None:
        """``J^T J + sum_i F_i F_i''``, where the problem says what the sum is."""
        if self.curvature is None:
            return None
        equations = self.equations
        found = equations.square_matrix("curvature", self.curvature(equations.shaped(x), *equations.args), x)
        jacobian = equations.dense_jacobian(x)
        return Dense(jacobian.mT @ jacobian + found, symmetric=True)

    def without_curvature(self, x: Tensor) -> Posed:
        return WithoutCurvature(self.equations, x)


class WithoutCurvature(Posed):
    """``J^T F = 0`` with the Jacobian of one place, as if it depended on nothing."""

    symmetric = True

    def __init__(self, equations: Equations, x: Tensor):
        self.equations = equations
        self.transposed = equations.dense_jacobian(x).detach().mT

    def residual(self, x: Tensor) -> Tensor:
        return -(self.transposed @ self.equations.image(x).unsqueeze(-1)).squeeze(-1)


class Constrained(Posed):
    """``grad L = 0`` and ``c = 0``, of the unknowns and the multipliers together."""

    methods = (ConstrainedMethod,)
    default = ExactAugmentedLagrangian()
    symmetric = True
    equations: Optimality

    def __init__(self, problem: ConstrainedProblem):
        self.equations = Optimality(problem.f, problem.constraints, problem.x0, problem.args, problem.batched)

    def residual(self, x: Tensor) -> Tensor:
        return -self.equations.image(x)

    def besides(self, x: Tensor) -> dict[str, Any]:
        multipliers = self.equations.multipliers(x)
        return {"multipliers": multipliers if self.equations.single.batch is not None else multipliers[0]}


_KINDS: dict[type, type[Posed]] = {
    RootProblem: Roots,
    FixedPointProblem: FixedPoints,
    LeastSquaresProblem: LeastSquares,
    ConstrainedProblem: Constrained,
}


def posed(problem: RootProblem | FixedPointProblem | LeastSquaresProblem | ConstrainedProblem) -> Posed:
    """A problem of whatever kind."""
    return next(posed for kind, posed in _KINDS.items() if isinstance(problem, kind))(problem)  # type: ignore[call-arg]
