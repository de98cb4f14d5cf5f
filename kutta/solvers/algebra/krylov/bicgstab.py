"""Stabilised biconjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.krylov.iteration import Begin, Recurrence
from kutta.solvers.algebra.krylov.krylov import KrylovMethod
from kutta.solvers.algebra.krylov.system import System, dot, norm, over


@dataclass(frozen=True)
class BiCGSTAB(KrylovMethod):
    """Stabilised biconjugate gradients, for any operator: two products an iteration and the memory of seven vectors.

    Its residuals do not fall steadily, and it can break down where `GMRES` does not; but iterations do not grow dearer.
    The preconditioner is at the right, so that the residual is the true one.

    Attributes:
        preconditioner: any linear one.

    Example:
        >>> import torch, kutta as kt
        >>> A = torch.tensor([[2.0, 1.0], [-1.0, 1.0]], dtype=torch.float64)
        >>> b = torch.tensor([4.0, 1.0], dtype=torch.float64)
        >>> kt.solve(kt.LinearProblem(A, b), kt.BiCGSTAB(), rtol=1e-12).y1
        tensor([1.0000, 2.0000], dtype=torch.float64)
    """

    source = "van der Vorst, Bi-CGSTAB, 1992"

    def begin(self) -> Begin:
        return _Stabilised


class _Stabilised(Recurrence):
    def __init__(self, system: System, x: Tensor, residual: Tensor):
        self.system, self.x, self.r, self.shadow, self.p = system, x, residual, residual, residual
        self.norm = self.first = norm(residual)
        self.rho = dot(residual, residual)

    def advance(self, running: Tensor) -> None:
        smallest = torch.finfo(self.norm.dtype).eps
        direction = self.system.precondition(self.p)
        image = self.system.apply(direction)
        shadowed = dot(self.shadow, image)
        self.broken = shadowed.abs() <= smallest * self.first * norm(image)
        running = running & ~self.broken
        alpha = over(self.rho, shadowed, running)
        middle = torch.addcmul(self.r, alpha, image, value=-1)
        correction = self.system.precondition(middle)
        turned = self.system.apply(correction)
        squared = dot(turned, turned).real
        omega = over(dot(turned, middle), squared, running & (squared > 0.0))
        self.x = torch.addcmul(torch.addcmul(self.x, alpha, direction), omega, correction)
        self.r = torch.where(running, torch.addcmul(middle, omega, turned, value=-1), self.r)
        self.norm = norm(self.r)
        before, self.rho = self.rho, dot(self.shadow, self.r)
        self.broken = self.broken | (self.rho.abs() <= smallest * self.first * self.norm) | (running & (omega == 0.0))
        beta = over(self.rho, before, running) * over(alpha, omega, running & (omega != 0.0))
        self.p = torch.addcmul(self.r, beta, torch.addcmul(self.p, omega, image, value=-1))

    def solution(self) -> Tensor:
        return self.x
