"""Steps along which ``|F|`` falls, from whatever says where to go."""

from __future__ import annotations

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.method import Outcome
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.iteration import LARGEST_RATE, Iteration, distance
from kutta.solvers.algebra.nonlinear.line_search import search
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance


class Descent(Iteration):
    """An iteration ``x <- x - s H F(x)``, where ``H`` is about the inverse of ``F'``.

    After a whole step the same ``H`` tells what is left: ``H F(x)`` is the distance to the solution but for the square
    of what is small, and ``q`` times as long as the step, after which there come ``q^2``, ``q^3`` and so on; see
    Deuflhard, Newton methods for nonlinear problems, 2004, section 2.1.

    Attributes:
        r: ``F(x)``.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance):
        super().__init__(equations.start)
        self.equations, self.tolerance = equations, tolerance
        self.r = equations(self.x)
        self.size = self.first = norm(self.r)
        self.error = torch.where(self.size == 0.0, 0.0, torch.inf)

    def renew(self, running: Tensor) -> None:
        """Look at the state from which a step begins."""

    def solve(self, r: Tensor) -> Outcome:
        """``H r``."""
        raise NotImplementedError

    def left(self, r: Tensor, d: Tensor, running: Tensor) -> Tensor:
        """About what remains of the way after a step `d`, to where ``F`` is `r`."""
        return self.solve(r).x

    def learn(self, moved: Tensor, step: Tensor, change: Tensor) -> None:
        """See what the steps of those that have moved have changed ``F`` by."""

    def advance(self, running: Tensor) -> None:
        self.renew(running)
        found = self.solve(self.r)
        solved = torch.isfinite(found.x).all(1) & (found.codes < int(Result.MAX_STEPS))
        d = torch.where(solved[:, None], -found.x, 0.0)
        reached = search(self.equations, self.x, self.r, d, running & solved)
        self._estimate(running, d, self.left(reached.r, d, running), reached.part)
        unsolved = torch.where(found.codes < int(Result.MAX_STEPS), int(Result.SINGULAR), found.codes)
        self.stuck(running & ~reached.gained, torch.where(solved, self._why(d), unsolved))
        step, change = reached.x - self.x, reached.r - self.r
        self.x, self.r, self.size = reached.x, reached.r, norm(reached.r)
        self.learn(running & reached.gained, step, change)

    def stuck(self, where: Tensor, why: Tensor) -> None:
        """No step was taken, and why."""
        self.breaks(where, why)

    def _why(self, d: Tensor) -> Tensor:
        """Rounding keeps a short step from gaining, where little is left of what there was; or no step gains."""
        half = torch.finfo(d.dtype).eps ** 0.5
        rounding = (norm(d) <= half * norm(self.x)) & (self.size <= half * self.first)
        return torch.where(rounding, int(Result.STAGNATION), int(Result.NOT_CONVERGED))

    def _estimate(self, running: Tensor, d: Tensor, left: Tensor, part: Tensor) -> None:
        """What the unknowns are off by where the whole step was taken."""
        step, after = distance(self.tolerance, d, self.x), distance(self.tolerance, left, self.x)
        error = after / (1.0 - (after / step).clamp(max=LARGEST_RATE))
        error = torch.where(after == 0.0, 0.0, torch.where(part == 1.0, error, torch.inf))
        self.error = torch.where(running, error, self.error)
