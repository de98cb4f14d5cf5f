"""Conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.krylov.iteration import Begin, Recurrence
from kutta.solvers.algebra.krylov.krylov import KrylovMethod
from kutta.solvers.algebra.krylov.system import System, inner, norm, over
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True)
class CG(KrylovMethod):
    """Conjugate gradients, for symmetric definite operators.

    Iterate ``k`` is the best in the norm ``sqrt(e^T A e)`` of the error among ``x_0 + span(r_0, ..., A^{k-1} r_0)``, so
    that the error falls at least like ``2 ((sqrt(K) - 1) / (sqrt(K) + 1))^k`` with the condition number ``K``. The
    operator may be positive or negative definite (complex: Hermitian), or semidefinite where the system has a solution;
    for another one the result is ``INDEFINITE``, and `MINRES` will do.

    Attributes:
        preconditioner: symmetric and definite, such as ``kutta.SOR(1.5, symmetric=True)``.

    Example:
        >>> import torch, kutta as kt
        >>> def poisson(u):
        ...     padded = torch.nn.functional.pad(u, (1, 1))
        ...     return 2.0 * u - padded[..., 2:] - padded[..., :-2]
        >>> operator = kt.algebra.MatrixFree(poisson, axes=1, symmetric=True, definite=True)
        >>> sol = kt.solve(kt.LinearProblem(operator, torch.ones(9, dtype=torch.float64)), kt.CG(), rtol=1e-10)
        >>> sol.stats.steps, sol.y1[:5]
        (5, tensor([ 4.5000,  8.0000, 10.5000, 12.0000, 12.5000], dtype=torch.float64))
    """

    source = "Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems, 1952"

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        require_symmetric("CG", operator)

    def begin(self) -> Begin:
        return _Conjugate


class _Conjugate(Recurrence):
    failure = int(Result.INDEFINITE)

    def __init__(self, system: System, x: Tensor, residual: Tensor):
        self.system, self.x, self.r = system, x, residual
        self.p = system.precondition(residual)
        self.rho, self.norm = inner(residual, self.p), norm(residual)
        self.sign: Tensor | None = None

    def advance(self, running: Tensor) -> None:
        image = self.system.apply(self.p)
        curvature = inner(self.p, image)
        self.sign = curvature.sign() if self.sign is None else self.sign
        # A definite operator bends all directions to the same side, and a definite preconditioner as well.
        self.broken = (curvature * self.sign <= 0.0) | (self.rho == 0.0)
        running = running & ~self.broken
        step = over(self.rho, curvature, running)
        self.x, self.r = torch.addcmul(self.x, step, self.p), torch.addcmul(self.r, step, image, value=-1)
        z = self.system.precondition(self.r)
        before, self.rho = self.rho, inner(self.r, z)
        self.p = torch.addcmul(z, over(self.rho, before, running), self.p)
        self.norm = norm(self.r)

    def solution(self) -> Tensor:
        return self.x


def require_symmetric(name: str, operator: LinearOperator) -> None:
    """Refuse an operator that does not say that it is symmetric."""
    if not operator.symmetric:
        raise ValueError(
            f"{name} needs a symmetric operator, and this {type(operator).__name__} does not say that it is one: give "
            "it symmetric=True, or use kutta.GMRES() or kutta.BiCGSTAB()"
        )
