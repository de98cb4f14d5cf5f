"""Anderson's acceleration of Picard's iteration, with a safeguard for each problem."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.algebra.nonlinear.equations import Equations
from kutta.solvers.algebra.nonlinear.fixed_points.mixing import mixed
from kutta.solvers.algebra.nonlinear.iteration import LARGEST_RATE, Iteration, chosen, distance
from kutta.solvers.algebra.nonlinear.method import FixedPointMethod
from kutta.solvers.magnitude import norm
from kutta.solvers.tolerance import Tolerance

# A residual that grows by more than this throws its problem back to its best state so far.
_GROWTH = 2.0
# How much bolder a problem gets when its residual falls, and how cautious it can become when not.
_RECOVERY, _CAUTION = 1.25, 1.0 / 64.0
# A residual that has not fallen for so many iterations will not fall any more.
_PATIENCE = 50


@dataclass(frozen=True)
class Anderson(FixedPointMethod):
    """Picard's iteration, mixed with what was learned from the last steps.

    With the residual ``r = T(x) - x``, the differences ``dR`` of the last residuals and ``dX`` of their states, the
    next state is

        x - dX g + c (r - dR g),    g = argmin |r - dR g|

    with ``c = 1`` as long as all goes well. A problem whose residual does not fall takes half of ``c`` from then on,
    and more again when it does. One whose residual grows much goes back to its best state, and forgets its past.

    Attributes:
        memory: how many differences are kept; 5 by default, as is usual.

    Source: Anderson, Iterative procedures for nonlinear integral equations, 1965; Walker and Ni, Anderson acceleration
    for fixed-point iterations, 2011.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.FixedPointProblem(lambda x: 3.0 * torch.cos(x), torch.ones((), dtype=torch.float64))
        >>> kt.solve(problem, kt.Anderson()).y1  # where Picard's iteration goes round and round
        tensor(1.1701, dtype=torch.float64)
    """

    memory: int = 5
    source = "Anderson, Iterative procedures for nonlinear integral equations, 1965"

    def __post_init__(self) -> None:
        if isinstance(self.memory, bool) or not isinstance(self.memory, int) or self.memory < 1:
            raise ValueError(f"memory must be a whole number of at least 1; got {self.memory!r}")

    def begin(self, equations: Equations, tolerance: Tolerance) -> Iteration:
        return AndersonIteration(equations, tolerance, self.memory)


class AndersonIteration(Iteration):
    """The method on its way.

    Attributes:
        r: the residual at `x`.
        best: where the smallest residual was found, that residual, and its norm.
        damping: ``c``.
        moves, changes: differences of states and of residuals, ``(B, memory, n)``; zeros where there are none.
        along, across: ``r - dR g`` and ``dX g``, what the next move is made of.
        idle: iterations since the smallest residual was found.
    """

    def __init__(self, equations: Equations, tolerance: Tolerance, memory: int):
        super().__init__(equations.start)
        self.equations, self.tolerance = equations, tolerance
        self.r = equations(self.x)
        self.size = norm(self.r)
        self.best = self.x, self.r, self.size
        self.damping, self.idle = torch.ones_like(self.size), torch.zeros_like(self.size)
        self.moves = self.changes = self.x.new_zeros(self.x.shape[0], memory, self.x.shape[1])
        self.along, self.across = self.r, torch.zeros_like(self.r)
        self.error = torch.where(self.size == 0.0, 0.0, torch.inf)

    def advance(self, running: Tensor) -> None:
        x = self.x + self.damping[:, None] * self.along - self.across
        before = self.size
        self._remember(running, x, self.equations(x))
        self.size = norm(self.r)
        self._estimate(running, self.size / before)
        tiny = self.size <= torch.finfo(x.dtype).eps ** 0.75 * norm(self.x)
        why = torch.where(tiny, int(Result.STAGNATION), int(Result.NOT_CONVERGED))
        self.breaks(running & (self.idle >= _PATIENCE), why)

    def _estimate(self, running: Tensor, rate: Tensor) -> None:
        """The next whole move is about what the state is off by, as far as the past knows, the rate tells the rest."""
        self.along, self.across = mixed(self.moves, self.changes, self.r)
        error = distance(self.tolerance, self.along - self.across, self.x) / (1.0 - rate.clamp(max=LARGEST_RATE))
        error = torch.where(rate < 1.0, error, torch.inf)
        self.error = torch.where(running, torch.where(self.size == 0.0, 0.0, error), self.error)

    def _remember(self, running: Tensor, x: Tensor, r: Tensor) -> None:
        """Go on to a new state, or back to the best one without a past."""
        size, (best, best_r, least) = norm(r), self.best
        goes_on, better = running & (size <= _GROWTH * least), running & (size < least)
        back = running & ~goes_on
        moves = torch.cat([self.moves[:, 1:], (x - self.x)[:, None]], 1)
        changes = torch.cat([self.changes[:, 1:], (r - self.r)[:, None]], 1)
        self.moves = chosen(back, torch.zeros_like(moves), chosen(goes_on, moves, self.moves))
        self.changes = chosen(back, torch.zeros_like(changes), chosen(goes_on, changes, self.changes))
        self.x, self.r = (
            chosen(goes_on, new, chosen(back, safe, old)) for new, safe, old in ((x, best, self.x), (r, best_r, self.r))
        )
        self.best = chosen(better, x, best), chosen(better, r, best_r), torch.where(better, size, least)
        self.idle = torch.where(better, 0.0, self.idle + running.to(size.dtype))
        damping = torch.where(better, _RECOVERY * self.damping, 0.5 * self.damping).clamp(_CAUTION, 1.0)
        self.damping = torch.where(running, damping, self.damping)
