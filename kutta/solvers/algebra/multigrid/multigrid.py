"""Geometric multigrid, as a solver and as a preconditioner.

What a smoother leaves of an error is smooth, and is found on a coarser grid at a part of the cost; that grid does the
same. A cycle

    u <- smoothed u;    u <- u + P (coarser cycle for P^T (f - K u));    u <- smoothed u

takes a part of the error away that does not depend on the number of points, at a cost in proportion to it.

Source: Brandt, Multi-level adaptive solutions to boundary-value problems, 1977; Trottenberg, Oosterlee and Schueller,
Multigrid, 2001.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.algebra.krylov.iteration import Recurrence, iterate
from kutta.solvers.algebra.krylov.krylov import Iterative
from kutta.solvers.algebra.krylov.system import System
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome, Solver, Watch
from kutta.solvers.algebra.multigrid.cycles import SHAPES, Cycles
from kutta.solvers.algebra.multigrid.hierarchy import Hierarchy
from kutta.solvers.algebra.multigrid.smoothers.chebyshev import Chebyshev
from kutta.solvers.algebra.multigrid.smoothers.red_black import RedBlack
from kutta.solvers.algebra.multigrid.smoothers.smoother import Smoother
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.network_operator import NetworkOperator, Similar
from kutta.solvers.algebra.relaxation.sor import Stationary

# So many cycles in a row that do not bring the residual below this part of the least one are the end.
PATIENCE, PROGRESS = 10, 0.9


@dataclass(frozen=True)
class Multigrid(LinearMethod):
    """Cycles through ever coarser grids, for `kutta.pde.Elliptic` operators.

    Alone it solves Poisson's equation in a few cycles. Where coefficients jump, ``kutta.CG(kutta.Multigrid())`` is the
    better way: one cycle from zero as the preconditioner. That one is symmetric when ``pre`` equals ``post`` and the
    cycle is no F cycle, and nodes have no `Neumann` or `Robin` sides, for which there is
    ``kutta.GMRES(kutta.Multigrid())``.

    Axes are coarsened where couplings along them are strong. What lies between coarse points follows the coefficient;
    see `kutta.solvers.algebra.multigrid.coarsening`. Any number of points will do.

    Attributes:
        cycle: ``"V"``, ``"W"``, two cycles on each coarser grid, or ``"F"``, an F and a V cycle there.
        pre: sweeps of the smoother before the coarser grid.
        post: sweeps after it, in the reverse order.
        smoother: `RedBlack`, `DampedJacobi`, `Chebyshev` or `Lines`, of ``kutta.algebra``. By default ``RedBlack()``
            alone, and ``Chebyshev(2)`` as a preconditioner, where red points after black ones help less.
        full: whether it begins with full multigrid, from the coarsest grid to the finest, where there is no guess.

    Raises:
        TypeError, ValueError: for options that are none.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((64, 64), boundary=kt.pde.Dirichlet())
        >>> x, y = grid.points()
        >>> f = torch.sin(torch.pi * x) * torch.sin(torch.pi * y)
        >>> sol = kt.solve(kt.LinearProblem(kt.pde.Elliptic(grid), f), kt.Multigrid(), rtol=1e-8)
        >>> bool((sol.y1 - f / (2 * torch.pi**2)).abs().max() < 1e-4)
        True
    """

    cycle: str = "V"
    pre: int = 1
    post: int = 1
    smoother: Smoother | None = None
    full: bool = True
    source = "Brandt 1977"

    def __post_init__(self) -> None:
        if self.cycle not in SHAPES:
            raise ValueError(f"cycle must be one of {', '.join(map(repr, SHAPES))}; got {self.cycle!r}")
        for name in ("pre", "post"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name} must be a whole number of at least 0; got {value!r}")
        if self.pre + self.post == 0:
            raise ValueError("pre and post must not both be 0: a coarser grid alone does not converge")
        if isinstance(self.smoother, type):
            raise TypeError(f"smoother must be an instance: write {self.smoother.__name__}() with its parentheses")
        if not (self.smoother is None or isinstance(self.smoother, Smoother)):
            raise TypeError(f"smoother must be such as kutta.algebra.RedBlack(); got {self.smoother!r}")
        if not isinstance(self.full, bool):
            raise TypeError(f"full must be True or False; got {self.full!r}")

    def check(self, operator: LinearOperator, b: Tensor) -> None:
        if not isinstance(operator, NetworkOperator):
            raise ValueError(
                "Multigrid needs an operator on a grid, such as kutta.pde.Elliptic(grid, coefficient, shift); got a "
                f"{type(operator).__name__} operator: use kutta.CG() or kutta.GMRES()"
            )
        if b.is_complex():
            raise TypeError(f"Multigrid solves real systems; got b of {b.dtype}: solve for its two parts in a batch")
        if self.smoother is not None:
            self.smoother.check(operator.network())

    def solver(self, operator: LinearOperator, b: Tensor, goal: Goal) -> Solver:
        assert isinstance(operator, NetworkOperator)
        return _Iterated(operator, self._cycles(operator, b, mirrored=False), goal, self.full)

    def preconditioner(self, operator: LinearOperator, b: Tensor) -> LinearOperator:
        assert isinstance(operator, NetworkOperator)
        return OneCycle(operator, self._cycles(operator, b, mirrored=True), self.pre == self.post and self.cycle != "F")

    def _cycles(self, operator: NetworkOperator, b: Tensor, mirrored: bool) -> Cycles:
        smoother = self.smoother or (Chebyshev() if mirrored else RedBlack())
        hierarchy = Hierarchy(operator.network(), smoother, b.detach())
        return Cycles(hierarchy, self.cycle, self.pre, self.post, mirrored)


class OneCycle(LinearOperator):
    """One cycle from zero, as a linear operator."""

    def __init__(self, operator: NetworkOperator, cycles: Cycles, balanced: bool):
        self.operator, self.cycles = operator, cycles
        self.axes, self.batch, self.symmetric = operator.axes, operator.batch, operator.symmetric and balanced

    def apply(self, x: Tensor) -> Tensor:
        f = self.operator.gathered(x)
        u = torch.zeros_like(f)
        self.cycles.cycle_(u, f, zero=True)
        return self.operator.scattered(u, x)

    def transposed(self) -> LinearOperator:
        weights = self.operator.weights
        return self if weights is None else Similar(self, weights)


class _Iterated(Solver):
    """Cycles until the residual is small."""

    operator: NetworkOperator

    def __init__(self, operator: NetworkOperator, cycles: Cycles, goal: Goal, full: bool):
        self.operator, self.cycles, self.goal, self.full = operator, cycles, goal, full

    def solve(
        self, b: Tensor, guess: Tensor | None = None, floor: Tensor | None = None, watch: Watch | None = None
    ) -> Outcome:
        b = self.operator.compatible(b)
        if guess is None and self.full:
            guess = self.operator.scattered(self.cycles.first_guess(self.operator.gathered(b)), b)
        system = System(self.operator, None, b)

        def begin(system: System, x: Tensor, residual: Tensor) -> Recurrence:
            return _Cycling(self.operator, self.cycles, system, x)

        at = None if guess is None else system.flat(guess)
        return iterate(begin, system, at, self.goal, None if floor is None else floor.unsqueeze(-1), watch)

    def transposed(self) -> Solver:
        if self.operator.weights is None:
            return self
        cycle = OneCycle(self.operator, self.cycles, balanced=False).transposed()
        return Iterative(Stationary, self.operator.transposed(), cycle, self.goal)


class _Cycling(Recurrence):
    """Cycles on their way, in the memory of one iterate."""

    def __init__(self, operator: NetworkOperator, cycles: Cycles, system: System, x: Tensor):
        self.operator, self.cycles, self.system = operator, cycles, system
        self.b = system.shaped(system.b)
        self.f, self.u = operator.gathered(self.b), operator.unknowns(system.shaped(x)).clone()
        self.least = torch.full([*system.lead, 1], math.inf, dtype=x.dtype, device=x.device)
        self.in_vain = torch.zeros_like(self.least)

    def advance(self, running: Tensor) -> None:
        before = self.u.clone() if self.system.lead else None
        self.cycles.cycle_(self.u, self.f)
        if before is not None:
            running = running.reshape(*self.system.lead, *[1] * self.operator.axes)
            self.u = torch.where(running, self.u, before)
        residual = self.operator.unweighted(self.cycles.residual(self.u, self.f))
        self.norm = torch.linalg.vector_norm(residual, dim=self.operator.dims).unsqueeze(-1)
        better = self.norm < PROGRESS * self.least
        self.least, self.in_vain = torch.where(better, self.norm, self.least), torch.where(better, 0, self.in_vain + 1)
        self.broken = self.in_vain >= PATIENCE

    def solution(self) -> Tensor:
        return self.system.flat(self.operator.scattered(self.u, self.b))
