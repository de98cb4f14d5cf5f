"""Derivatives of solutions: options, and the linear system that they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.implicit import Report, undifferentiated
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome, Solver, Watch
from kutta.solvers.algebra.nonlinear.jacobians import Rows, by_rows, products
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator
from kutta.solvers.algebra.operators.matrix_free import MatrixFree

# Up to so many unknowns the system of a derivative is a dense matrix, which is factorised once.
LARGEST_DENSE = 256

_WAY = "the system that its derivatives lead to"


@dataclass(frozen=True)
class Implicit:
    """Derivatives of the solution of nonlinear equations by the implicit function theorem: an `adjoint` of `solve`.

    At ``r(x, theta) = 0`` with ``A = -dr/dx`` they are ``dx = A^-1 dr/dtheta``. However `x` was found, they cost one
    system with ``A``, or ``A^T`` in reverse mode; they are as exact as `x` is.

    Attributes:
        orders: how many derivatives there are: by default 2. Each takes one more evaluation of ``r``.
        linear: the method for these systems; by default what suits the structure that the problem says ``A`` has, else
            `LU` of a dense matrix of up to 256 unknowns, and for more `MINRES` where ``A`` is symmetric and `GMRES`
            elsewhere, without matrices, which `torch.func` differentiates once only.
        rtol: of such iterations.
        ridge: is added to the diagonal of ``A``, for one that is singular or nearly so; by default 0.
        curvature: of least squares: whether the Jacobian depends on anything. Without, as Gauss and Newton have it,
            ``A = J^T J`` and ``dr = -J^T dF``, which is wrong by as much as the residual is large.

    Source: Blondel et al., Efficient and modular implicit differentiation, 2022.

    Example:
        >>> import torch, kutta as kt
        >>> def root(a):
        ...     one = torch.ones((), dtype=torch.float64)
        ...     return kt.solve(kt.RootProblem(lambda x: x**3 - a, one), adjoint=kt.Implicit(orders=3)).y1
        >>> third = torch.func.grad(torch.func.grad(torch.func.grad(root)))
        >>> third(torch.tensor(8.0, dtype=torch.float64))  # of a^(1/3): 10 / 27 a^(-8/3)
        tensor(0.0014, dtype=torch.float64)
    """

    orders: int = 2
    linear: LinearMethod | None = None
    rtol: float = 1e-10
    ridge: float = 0.0
    curvature: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.orders, bool) or not isinstance(self.orders, int) or not 1 <= self.orders <= 3:
            raise ValueError(f"orders must be 1, 2 or 3; got {self.orders!r}")
        if isinstance(self.rtol, bool) or not isinstance(self.rtol, int | float) or not 0.0 < self.rtol < 1.0:
            raise ValueError(f"rtol must be a number between 0 and 1; got {self.rtol!r}")
        if isinstance(self.ridge, bool) or not isinstance(self.ridge, int | float) or not 0.0 <= self.ridge < math.inf:
            raise ValueError(f"ridge must be a number of at least 0; got {self.ridge!r}")
        if self.linear is not None and not isinstance(self.linear, LinearMethod):
            raise TypeError(f"linear must be a method such as kutta.GMRES(); got {self.linear!r}")


class AtSolution(Solver):
    """A solver for ``-dr/dx`` at a solution, which is made when something is found to be differentiated.

    Attributes:
        residual: ``r``.
        x: the solutions, ``(B, n)``.
        solved: which of them are; the others have no derivatives.
        rule: the options.
        report: told of the solution of one system, where a factorisation may have found the matrix to be singular.
        slope: ``x -> -dr/dx``, or nothing where it is not known.
        symmetric: whether the operator is.
    """

    def __init__(
        self,
        residual: Rows,
        x: Tensor,
        solved: Tensor,
        rule: Implicit,
        report: Report,
        slope: Callable[[Tensor], LinearOperator | None] = lambda x: None,
        symmetric: bool = False,
    ):
        self.residual, self.x, self.solved = residual, x, solved
        self.rule, self.report, self.slope, self.symmetric = rule, report, slope, symmetric

    @cached_property
    def ready(self) -> Solver:
        """The solver, ready for the operator."""
        operator = self._operator()
        method = default_method(operator) if self.rule.linear is None else self.rule.linear
        method.check(operator, self.x)
        solver = method.solver(operator, self.x, Goal(rtol=self.rule.rtol))
        if solver.inverse is not None:
            self.report(solver.solve(torch.ones_like(self.x)), _WAY)
        return solver

    def _operator(self) -> LinearOperator:
        with undifferentiated():
            known = self.slope(self.x)
        if known is not None and not isinstance(known, Dense) and read(self.solved.all(0, keepdim=True))[0]:
            return known if self.rule.ridge == 0.0 else known.shifted(self.rule.ridge, 1.0)
        direct = self.rule.linear is not None and self.rule.linear.direct
        if isinstance(known, Dense):
            return self._dense(known.matrix)
        if direct or self.x.shape[1] <= LARGEST_DENSE:
            return self._dense(by_rows(lambda x: -self.residual(x), self.x, self.x.shape[1])[1].detach())
        return self._matrix_free()

    def _dense(self, matrix: Tensor) -> LinearOperator:
        eye = torch.eye(self.x.shape[1], dtype=matrix.dtype, device=matrix.device)
        return Dense(torch.where(self.solved[:, None, None], matrix + self.rule.ridge * eye, eye), self.symmetric)

    def _matrix_free(self) -> LinearOperator:
        of, ridge = products(self.residual, self.x), self.rule.ridge
        _, pull = torch.func.vjp(self.residual, self.x)  # pyright: ignore[reportAssignmentType]
        return MatrixFree(
            lambda v: ridge * v - of(v)[1].detach(),
            1,
            lambda v: ridge * v - pull(v)[0].detach(),
            symmetric=self.symmetric,
        )

    @property
    def operator(self) -> LinearOperator:  # type: ignore[override]
        return self.ready.operator

    @property
    def inverse(self) -> Inverse | None:  # type: ignore[override]
        return self.ready.inverse

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        return self.ready.solve(b, guess, floor, watch)

    def transposed(self) -> Solver:
        return self.ready.transposed()
