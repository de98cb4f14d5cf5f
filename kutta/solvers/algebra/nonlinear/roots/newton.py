"""Newton's method, ``F'(x) d = -F(x)``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import Iteration, distance
from kutta.solvers.algebra.nonlinear.line_search import search
from kutta.solvers.algebra.nonlinear.method import RootMethod
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
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
        tensor([1., 2., 3.], dtype=torch.float64)
    """

    linear: LinearMethod | None = None
    source = "Dennis and Schnabel, Numerical methods for unconstrained optimization and nonlinear equations, 1983"

    def __post_init__(self) -> None:
        if self.linear is not None and not isinstance(self.linear, LinearMethod):
            raise TypeError(f"linear must be a method such as kutta.LU(); got {self.linear!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> Linearised:
        return Linearised(equations, tolerance, self.linear)


class Linearised(Iteration):
    """The method on its way.

    After a whole step the old matrix tells what is left, ``q d`` with ``F'(x_old) q d = -F(x)``, which is the distance
    to the solution but for the square of what is small; see Deuflhard, Newton methods for nonlinear problems, 2004.

    Attributes:
        r: ``F(x)``.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, linear: LinearMethod | None):
        super().__init__(equations.start)
        self.equations, self.tolerance, self.linear = equations, tolerance, linear
        self.r = equations(self.x)
        self.size = _norm(self.r)
        self.error = torch.where(self.size == 0.0, 0.0, torch.inf)

    def advance(self, running: Tensor) -> None:
        solve = self._solver(self.equations.slope(self.x))
        found = solve(self.r)
        regular = torch.isfinite(found.x).all(1) & (found.codes < int(Result.MAX_STEPS))
        d = torch.where(regular[:, None], -found.x, 0.0)
        reached = search(self.equations, self.x, self.r, d, -self.r.square().sum(1), running & regular)
        self._estimate(running, d, solve(reached.r).x, reached.part)
        self._break(running & ~reached.gained, regular, d)
        self.x, self.r = reached.x, reached.r
        self.size = _norm(self.r)

    def _solver(self, operator: LinearOperator) -> Callable[[Tensor], Outcome]:
        method = default_method(operator) if self.linear is None else self.linear
        method.check(operator, self.r)
        return method.solver(operator, self.r, Goal()).solve

    def _estimate(self, running: Tensor, d: Tensor, left: Tensor, part: Tensor) -> None:
        """What the unknowns are off by where the whole step was taken."""
        step, after = distance(self.tolerance, d, self.x), distance(self.tolerance, left, self.x)
        error = after / (1.0 - (after / step).clamp(max=0.99))
        error = torch.where(after == 0.0, 0.0, torch.where(part == 1.0, error, torch.inf))
        self.error = torch.where(running, error, self.error)

    def _break(self, stuck: Tensor, regular: Tensor, d: Tensor) -> None:
        """Say why no step was taken."""
        near = _norm(d) <= torch.finfo(d.dtype).eps ** 0.5 * _norm(self.x)
        why = torch.where(near, int(Result.STAGNATION), int(Result.NOT_CONVERGED))
        self.breaks(stuck, torch.where(regular, why, int(Result.SINGULAR)))


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=1)
