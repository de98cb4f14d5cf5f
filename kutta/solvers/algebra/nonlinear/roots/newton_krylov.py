"""Newton's method whose steps an iteration finds, and no more exactly than they are worth."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.algebra.krylov.gmres import GMRES
from kutta.solvers.algebra.krylov.krylov import KrylovMethod
from kutta.solvers.algebra.method import Goal, Outcome, Solver
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import distance
from kutta.solvers.algebra.nonlinear.jacobians import products
from kutta.solvers.algebra.nonlinear.method import RootMethod
from kutta.solvers.algebra.nonlinear.roots.descent import Descent
from kutta.solvers.algebra.operators.matrix_free import MatrixFree
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance

# The largest part of the residual that a step may leave, and a part of what the last step has left.
_LARGEST, _SMALLEST, _SAFETY = 0.5, 1e-10, 0.9
# Of the system that confirms a solution.
_CONFIRMED = 1e-3


@dataclass(frozen=True)
class NewtonKrylov(RootMethod):
    """Newton's steps from products ``F'(x) v`` only, each a derivative in forward mode: for many unknowns.

    What is stiff, such as second differences on many points, needs a preconditioner.

    The iteration for a step ends at ``|F + F' d| <= eta |F|``, with ``eta = 0.9 (|F| / |F before|)^2``, at most 1/2: as
    exact as the step is worth, so that the steps together converge as Newton's do.

    Attributes:
        linear: the method for steps, with a preconditioner where there is one; `GMRES` by default.

    Source: Eisenstat and Walker, Choosing the forcing terms in an inexact Newton method, 1996; Knoll and Keyes,
    Jacobian-free Newton-Krylov methods, 2004.

    Example:
        >>> import torch, kutta as kt
        >>> def bratu(x):
        ...     inside = torch.nn.functional.pad(x, (1, 1))
        ...     return (inside[2:] - 2.0 * x + inside[:-2]) * 33.0**2 + torch.exp(x)
        >>> problem = kt.RootProblem(bratu, torch.zeros(32).double())
        >>> round(float(kt.solve(problem, kt.NewtonKrylov()).y1.max()), 4)
        0.1404
    """

    linear: KrylovMethod = field(default_factory=GMRES)
    source = "Knoll and Keyes, Jacobian-free Newton-Krylov methods, 2004"

    def __post_init__(self) -> None:
        if not isinstance(self.linear, KrylovMethod):
            raise TypeError(f"linear must be a Krylov method such as kutta.GMRES(); got {self.linear!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> NewtonKrylovIteration:
        return NewtonKrylovIteration(equations, tolerance, self.linear)


class NewtonKrylovIteration(Descent):
    """The method on its way.

    Attributes:
        linear: the method for steps.
        before: ``|F|`` where the last step began.
    """

    solver: Solver

    def __init__(self, equations: Equations, tolerance: Tolerance, linear: KrylovMethod):
        super().__init__(equations, tolerance)
        self.linear, self.before = linear, self.size

    def renew(self, running: Tensor) -> None:
        of = products(self.equations.image, self.x)
        rate = torch.where(running, self.size / self.before, 1.0).amin().reshape(1)
        eta = min(_LARGEST, max(_SMALLEST, _SAFETY * read(rate)[0] ** 2))
        self.before = self.size
        self.solver = self.linear.solver(MatrixFree(lambda v: of(v)[1], axes=1), self.r, Goal(rtol=eta))

    def solve(self, r: Tensor) -> Outcome:
        return self.solver.solve(r)

    def left(self, r: Tensor, d: Tensor, running: Tensor) -> Tensor:
        """As long as the step by as much as the residual has become smaller; where that is tolerated, one more system.

        A step that leaves a part of the residual may know nothing of some unknowns.
        """
        about = d * (norm(r) / self.size)[:, None]
        near = running & (distance(self.tolerance, about, self.x) <= 1.0)
        if not read(near.any().reshape(1))[0]:
            return about
        return self.linear.solver(self.solver.operator, r, Goal(rtol=_CONFIRMED)).solve(r).x
