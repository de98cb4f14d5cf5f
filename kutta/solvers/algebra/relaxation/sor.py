"""Successive over-relaxation, as a solver and as a preconditioner.

With ``A = D + L + U``, its diagonal and its lower and upper triangles, a sweep

    x <- x + (D / omega + L)^-1 (b - A x)

goes through the unknowns in their order and takes each ``omega`` times as far as would fulfil its equation.
The symmetric method adds a sweep in the reverse order, ``x <- x + (D / omega + U)^-1 (b - A x)``; the two together are

    x <- x + M^-1 (b - A x),    M^-1 = (2 - omega) / omega (D / omega + U)^-1 D (D / omega + L)^-1.

Source: Young, Iterative Solution of Large Linear Systems, 1971.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.krylov.iteration import Recurrence
from kutta.solvers.algebra.krylov.krylov import Iterative
from kutta.solvers.algebra.krylov.system import System, norm
from kutta.solvers.algebra.method import LARGEST_WRITTEN_OUT, Goal, LinearMethod, Solver
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.relaxation.triangles import is_written_out, triangles


@dataclass(frozen=True)
class SOR(LinearMethod):
    """Successive over-relaxation, by triangular solves with a dense or sparse matrix.

    With ``omega = 1`` it is the method of Gauss and Seidel. It converges for symmetric definite matrices and ``omega``
    between 0 and 2. For a consistently ordered one, such as the five-point Laplacian, the best is
    ``omega = 2 / (1 + sqrt(1 - beta^2))`` where ``beta`` is the spectral radius of ``I - D^-1 A``.

    As a preconditioner it is one sweep from zero; with ``symmetric=True`` that is a symmetric operator, for `CG` and
    `MINRES`.

    Attributes:
        omega: the relaxation, between 0 and 2.
        symmetric: whether each sweep is followed by one in the reverse order (SSOR).

    Example:
        >>> import torch, kutta as kt
        >>> bands = torch.tensor([[-1.0], [2.0], [-1.0]], dtype=torch.float64).expand(3, 40)
        >>> problem = kt.LinearProblem(kt.algebra.Banded(bands, (-1, 0, 1), definite=True), torch.ones_like(bands[0]))
        >>> [kt.solve(problem, kt.SOR(omega), rtol=1e-8).stats.steps for omega in (1.0, 1.86)]
        [3120, 142]
    """

    omega: float = 1.0
    symmetric: bool = False
    source = "Young 1971"

    def __post_init__(self) -> None:
        if isinstance(self.omega, bool) or not isinstance(self.omega, int | float) or not 0.0 < self.omega < 2.0:
            raise ValueError(f"omega must be a number between 0 and 2, where SOR can converge; got {self.omega!r}")

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        n = operator.state_shape(b).numel()
        if is_written_out(operator) and n > LARGEST_WRITTEN_OUT:
            raise ValueError(
                "SOR sweeps through dense and sparse matrices, and writes out operators of up to "
                f"{LARGEST_WRITTEN_OUT} unknowns as dense ones; got a {type(operator).__name__} operator of {n}: use "
                "kutta.CG() or kutta.GMRES(), or give the operator as kutta.algebra.Sparse"
            )

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        sweep = self.preconditioner(operator, b)
        return Iterative(Stationary, operator, sweep, goal)

    def preconditioner(self, operator: LinearOperator, b: Tensor) -> LinearOperator:
        diagonal = operator.diagonal(b).detach()
        diagonal = torch.where(diagonal == 0, 1.0, diagonal)  # of rows of zeros, whose residuals are zero, too
        forth, back = triangles(operator, b, diagonal / self.omega)
        if not self.symmetric:
            return Sweep(operator, forth[0], forth[1])
        factor = (2.0 - self.omega) / self.omega * diagonal

        def symmetric(r: Tensor) -> Tensor:
            return back[0](factor * forth[0](r))

        def transposed(r: Tensor) -> Tensor:
            return forth[1](factor * back[1](r))

        return Sweep(operator, symmetric, transposed, symmetric=operator.symmetric)


class Sweep(LinearOperator):
    """What one sweep from zero does with a residual; nothing of it is in the null space.

    Attributes:
        sweep, back: it and its transposed.
    """

    def __init__(
        self,
        operator: LinearOperator,
        sweep: Callable[[Tensor], Tensor],
        back: Callable[[Tensor], Tensor],
        symmetric: bool = False,
    ):
        self.operator, self.sweep, self.back = operator, sweep, back
        self.axes, self.batch, self.symmetric = operator.axes, operator.batch, symmetric

    def apply(self, x: Tensor) -> Tensor:
        return self.operator.compatible(self.sweep(self.operator.compatible(x)))

    def transposed(self) -> LinearOperator:
        return Sweep(self.operator.transposed(), self.back, self.sweep, self.symmetric)


class Stationary(Recurrence):
    """``x <- x + M^-1 (b - A x)``."""

    def __init__(self, system: System, x: Tensor, residual: Tensor):
        self.system, self.x, self.r, self.norm = system, x, residual, norm(residual)
        self.broken = torch.zeros_like(self.norm, dtype=torch.bool)

    def advance(self, running: Tensor) -> None:
        step = torch.where(running, self.system.precondition(self.r), 0.0)
        self.x, self.r = self.x + step, self.r - self.system.apply(step)
        self.norm = norm(self.r)

    def solution(self) -> Tensor:
        return self.x
