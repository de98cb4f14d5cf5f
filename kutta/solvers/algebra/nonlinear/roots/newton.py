"""Newton's method, ``F'(x) d = -F(x)``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome, Solver
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.method import RootMethod
from kutta.solvers.algebra.nonlinear.roots.descent import Descent
from kutta.solvers.tolerance import Tolerance


@dataclass(frozen=True)
class Newton(RootMethod):
    """Newton's steps, or as far along them as ``|F|`` falls.

        F'(x) d = -F(x),    x <- x + s d

    ``F'`` is a dense matrix, by differentiation, unless the problem says more of it.

    Attributes:
        linear: the method for ``d``; by default `kutta.algebra.default_method`.

    Source: Dennis and Schnabel, Numerical methods for unconstrained optimization and nonlinear equations, 1983.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.RootProblem(lambda x, a: x**2 - a, torch.ones(3).double(), (torch.tensor([1.0, 4.0, 9.0]),))
        >>> kt.solve(problem, kt.Newton()).y1
        tensor([1.0000, 2.0000, 3.0000], dtype=torch.float64)
    """

    linear: LinearMethod | None = None
    source = "Dennis and Schnabel, Numerical methods for unconstrained optimization and nonlinear equations, 1983"

    def __post_init__(self) -> None:
        if self.linear is not None and not isinstance(self.linear, LinearMethod):
            raise TypeError(f"linear must be a method such as kutta.LU(); got {self.linear!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> NewtonIteration:
        return NewtonIteration(equations, tolerance, self.linear)


class NewtonIteration(Descent):
    """The method on its way.

    Attributes:
        linear: the method for steps.
        solver: ready for the derivative at the last state.
    """

    solver: Solver

    def __init__(self, equations: Equations, tolerance: Tolerance, linear: LinearMethod | None):
        super().__init__(equations, tolerance)
        self.linear = linear

    def renew(self, running: Tensor) -> None:
        operator = self.equations.slope(self.x)
        method = default_method(operator) if self.linear is None else self.linear
        method.check(operator, self.r)
        self.solver = method.solver(operator, self.r, Goal())

    def solve(self, r: Tensor) -> Outcome:
        return self.solver.solve(r)
