"""Broyden's method: a derivative that learns from the steps that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.method import Goal, Outcome
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

    def begin(self, equations: Equations, tolerance: Tolerance) -> BroydenIteration:
        return BroydenIteration(equations, tolerance, self.memory)


class BroydenIteration(Descent):
    """The method on its way.

    Attributes:
        first_solver: ready for the derivative that was taken.
        fresh: problems that have not moved since.
        again: whether some problem needs a new one.
        past: steps, and what each adds to ``H``: ``H r = H_first r``, then for each ``H r <- H r + u (s^T H r)``.
    """

    again = False

    def __init__(self, equations: Equations, tolerance: Tolerance, memory: int):
        super().__init__(equations, tolerance)
        self.memory = memory
        self._begin()

    def _begin(self) -> None:
        """With the derivative at the present state."""
        operator = self.equations.slope(self.x)
        self.first_solver = default_method(operator).solver(operator, self.r, Goal())
        self.past: list[tuple[Tensor, Tensor]] = []
        self.fresh = torch.ones_like(self.broken)

    def solve(self, r: Tensor) -> Outcome:
        found = self.first_solver.solve(r)
        return found._replace(x=self._learned(found.x))

    def _learned(self, x: Tensor) -> Tensor:
        for step, update in self.past:
            x = x + update * (step.conj() * x).sum(1, keepdim=True)
        return x

    def learn(self, moved: Tensor, step: Tensor, change: Tensor) -> None:
        self.fresh = self.fresh & ~moved
        if len(self.past) == self.memory or self.again:
            self.again = False
            self._begin()
            return
        image = self.solve(change).x
        along = (step.conj() * image).sum(1, keepdim=True)
        update = torch.where(moved[:, None] & (along != 0.0), (step - image) / along, 0.0)
        self.past.append((step, torch.where(torch.isfinite(update), update, 0.0)))

    def stuck(self, where: Tensor, why: Tensor) -> None:
        """Where the derivative is new there is no way on; elsewhere take a new one."""
        super().stuck(where & (self.fresh | (why < int(Result.MAX_STEPS))), why)
        self.again = bool(read((where & ~self.broken).any().reshape(1))[0])
