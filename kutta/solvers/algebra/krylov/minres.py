"""Minimal residuals for symmetric operators."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.krylov.cg import require_symmetric
from kutta.solvers.algebra.krylov.iteration import Begin, Recurrence
from kutta.solvers.algebra.krylov.krylov import KrylovMethod
from kutta.solvers.algebra.krylov.system import System, inner, norm, over
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


@dataclass(frozen=True)
class MINRES(KrylovMethod):
    """Minimal residuals, for symmetric operators that need not be definite.

    Iterate ``k`` has the smallest residual of ``x_0 + span(r_0, A r_0, ..., A^{k-1} r_0)``, by Lanczos' three-term
    recurrence and one plane rotation an iteration (complex: for Hermitian operators). With a preconditioner the
    residual is smallest in its norm.

    Attributes:
        preconditioner: symmetric and positive definite, also where the operator is not.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
        >>> b = torch.tensor([2.0, 3.0], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(kt.algebra.Dense(A, symmetric=True), b), kt.MINRES(), rtol=1e-12).y1
        tensor([3., 2.], dtype=torch.float64)
    """

    source = "Paige and Saunders, Solution of sparse indefinite systems of linear equations, 1975"

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        require_symmetric("MINRES", operator)

    def begin(self) -> Begin:
        return _Minimal


class _Minimal(Recurrence):
    """Lanczos' vectors ``v`` and their images in the space of residuals, rotations, and directions of the solution.

    With ``A V_k = V_{k+1} T_k`` each column of ``T_k`` is rotated by ``(c, s)`` to ``(epsilon, delta, gamma)``, and
    the part ``phi`` of the rotated right-hand side that it receives is a step along
    ``d = (v - delta d' - epsilon d'') / gamma``.
    """

    def __init__(self, system: System, x: Tensor, residual: Tensor):
        self.system, self.x, self.residual, self.norm = system, x, residual, norm(residual)
        self.image = self.previous = residual
        self.z = system.precondition(residual)
        squared = inner(residual, self.z)
        self.indefinite, self.scale = squared < 0.0, torch.zeros_like(squared)
        self.beta = self.before = squared.clamp_min(0.0).sqrt()
        self.rest = self.beta
        self.directions = torch.zeros_like(x), torch.zeros_like(x)
        zero = torch.zeros_like(self.beta)
        self.c, self.s, self.delta_bar, self.epsilon, self.first = zero - 1.0, zero, zero, zero, True

    def advance(self, running: Tensor) -> None:
        running = running & (self.beta > 0.0)
        v = over(torch.ones_like(self.beta), self.beta, running) * self.z
        image = self.system.apply(v)
        if not self.first:
            image = torch.addcmul(image, over(self.beta, self.before, running), self.previous, value=-1)
        alpha = inner(v, image)
        image = torch.addcmul(image, over(alpha, self.beta, running), self.image, value=-1)
        self.previous, self.image, self.first = self.image, image, False
        self.z = self.system.precondition(image)
        squared = inner(image, self.z)
        self.before, self.beta = self.beta, squared.clamp_min(0.0).sqrt()
        self._rotate(v, alpha, running, squared)

    def _rotate(self, v: Tensor, alpha: Tensor, running: Tensor, squared: Tensor) -> None:
        epsilon, delta = self.epsilon, self.c * self.delta_bar + self.s * alpha
        gamma_bar = self.s * self.delta_bar - self.c * alpha
        self.epsilon, self.delta_bar = self.s * self.beta, -self.c * self.beta
        gamma = torch.hypot(gamma_bar, self.beta)
        self.scale = torch.maximum(self.scale, torch.hypot(alpha, self.beta))
        self.indefinite = self.indefinite | (squared < 0.0)
        self.failure = torch.where(self.indefinite, int(Result.INDEFINITE), int(Result.SINGULAR))
        # |A r| is the rest times this slope. Where that is nothing beside |A| |r|, and a step takes nothing from the
        # residual, what is left of it is in the null space.
        slope, rounding = torch.hypot(gamma_bar, self.delta_bar), torch.finfo(gamma.dtype).eps
        stuck = (slope <= 4.0 * rounding**0.5 * self.scale) & (gamma_bar.abs() <= 4.0 * rounding**0.5 * gamma)
        exhausted = stuck | (gamma <= 4.0 * rounding * self.scale) | (self.before == 0.0)
        self.broken = exhausted | self.indefinite
        running = running & ~self.broken
        self.c, self.s = over(gamma_bar, gamma, running), over(self.beta, gamma, running)
        step, self.rest = self.c * self.rest, torch.where(running, self.s * self.rest, self.rest)
        older, old = self.directions
        direction = over(torch.ones_like(gamma), gamma, running) * (v - epsilon * older - delta * old)
        self.directions = old, direction
        self.x = torch.addcmul(self.x, step, direction)
        # The residual without another product: r_k = s^2 r_{k-1} - (phi / gamma) times the next image.
        share = over(step, gamma, running)
        kept = torch.where(running, self.s.square(), 1.0)
        self.residual = torch.addcmul(kept * self.residual, share, self.image, value=-1)
        self.norm = norm(self.residual)

    def solution(self) -> Tensor:
        return self.x
