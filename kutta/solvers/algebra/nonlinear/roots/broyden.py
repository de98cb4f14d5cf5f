"""Broyden's method: a derivative that learns from the steps that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.method import Goal, Outcome, Solver
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.method import RootMethod
from kutta.solvers.algebra.nonlinear.roots.descent import Descent
from kutta.solvers.tolerance import Tolerance


@dataclass(frozen=True)
class Broyden(RootMethod):
    """Steps with the derivative of the first state, changed after each step as little as explains what it has done.

    With ``H`` about the inverse of ``F'``, a step ``s`` and the change ``y`` of ``F``,

        H <- H + (s - H y) (s^T H) / (s^T H y)

    so that a derivative is taken, and a matrix factorised, once; and again where steps lead no further, or too many
    have been remembered.

    Attributes:
        memory: how many steps are remembered.

    Source: Broyden, A class of methods for solving nonlinear simultaneous equations, 1965; Kelley, Iterative methods
    for linear and nonlinear equations, 1995, chapter 7.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.RootProblem(lambda x: x**3 - 8.0, torch.full((1,), 3.0, dtype=torch.float64))
        >>> sol = kt.solve(problem, kt.Broyden())
        >>> sol.y1, sol.stats.jacobian_evaluations
        (tensor([2.0000], dtype=torch.float64), 1)
    """

    memory: int = 20
    source = "Broyden, A class of methods for solving nonlinear simultaneous equations, 1965"

    def __post_init__(self) -> None:
        if isinstance(self.memory, bool) or not isinstance(self.memory, int) or self.memory < 1:
            raise ValueError(f"memory must be a whole number of at least 1; got {self.memory!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> Learning:
        return Learning(equations, tolerance, self.memory)


class Learning(Descent):
    """The method on its way.

    Attributes:
        first: ready for the derivative that was taken.
        past: steps, and what each adds to ``H``: ``H r = H_first r``, then for each ``H r <- H r + u (s^T H r)``.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, memory: int):
        super().__init__(equations, tolerance)
        self.memory, self.first = memory, self._derivative()
        self.past: list[tuple[Tensor, Tensor]] = []

    def _derivative(self) -> Solver:
        operator = self.equations.slope(self.x)
        return default_method(operator).solver(operator, self.r, Goal())

    def solve(self, r: Tensor) -> Outcome:
        found = self.first.solve(r)
        return found._replace(x=self._learned(found.x))

    def _learned(self, x: Tensor) -> Tensor:
        for step, update in self.past:
            x = x + update * (step.conj() * x).sum(1, keepdim=True)
        return x

    def learn(self, running: Tensor, step: Tensor, change: Tensor) -> None:
        moved = self.solve(change).x
        along = (step.conj() * moved).sum(1, keepdim=True)
        update = torch.where(running[:, None] & (along != 0.0), (step - moved) / along, 0.0)
        self.past.append((step, torch.where(torch.isfinite(update), update, 0.0)))
        if len(self.past) > self.memory:
            self.first, self.past = self._derivative(), []

    def stuck(self, where: Tensor, regular: Tensor, d: Tensor) -> None:
        """Take a new derivative; where it is new, there is no way on."""
        if self.past and read(where.any().reshape(1))[0]:
            self.first, self.past = self._derivative(), []
        else:
            super().stuck(where, regular, d)
