"""Implicit-explicit methods: the linear part by linear systems, the remainder by its values.

The stages of `kutta.solvers.tableaus.imex` are ``(I - h gamma L) g_i = r_i`` with known right sides ``r_i``, and
``h L g_i = (g_i - r_i) / gamma`` costs no application of ``L``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.solution import Result
from kutta.solvers import tableaus
from kutta.solvers.algebra.automatic import default_method
from kutta.solvers.algebra.implicit import implicit, undifferentiated
from kutta.solvers.algebra.method import Goal, LinearMethod, Outcome
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal, as_matrices
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.solving import report
from kutta.solvers.method import Field, OfTableau, Time
from kutta.solvers.split_step import SplitStep
from kutta.solvers.stages import advanced_by
from kutta.solvers.tableaus.imex import ImexTableau

Solve = Callable[[Tensor, Tensor], Tensor]  # of a right-hand side and a guess


class _UnsolvedError(Exception):
    """A system of a stage has no solution, or none was found."""

    def __init__(self, result: Result):
        self.result = result


@dataclass(frozen=True)
class ImexRungeKutta(OfTableau):
    """An implicit-explicit Runge-Kutta method given by its table, for a `kutta.SplitODEProblem`. Fixed steps only.

    What solves the systems with ``I - h gamma L``, such as a factorisation, is kept from step to step.

    Attributes:
        tableau: the coefficients; see `kutta.solvers.tableaus.imex`.
        solver: how the systems are solved, such as ``kutta.CG()``; by default as `kutta.algebra.default_method` says.
            Where the operator is diagonal in a transform, there is nothing to choose.
        tolerance: relative residual of a system that is solved by iteration; in single precision 1e-6 at least.

    Raises:
        TypeError: for a problem that does not say what its linear part is.
        SolveError: for a system that is not solved, such as one with an eigenvalue ``1 / (h gamma)`` of ``L``, whose
            result is then ``SINGULAR``.

    Example:
        >>> import torch, kutta as kt
        >>> stiff = kt.algebra.Diagonal(torch.tensor([-1.0, -1e6], dtype=torch.float64))
        >>> problem = kt.SplitODEProblem(stiff, lambda t, y: y.sin(), torch.ones(2, dtype=torch.float64), (0.0, 1.0))
        >>> sol = kt.solve(problem, kt.ImexRungeKutta(kt.tableaus.ARS443), controller=kt.Fixed(0.1))
        >>> round(float(sol.y1[0]), 4), sol.stats.linear_solves
        (0.8707, 40)
    """

    tableau: ImexTableau
    solver: LinearMethod | None = None
    tolerance: float = 1e-10
    kind = "implicit-explicit Runge-Kutta"
    needs_split = True
    ensembles = False

    @property
    def linear_solves(self) -> int:
        return self.tableau.stages

    def check(self, layout: Any) -> None:
        """Refuse a state in less than single precision, in which no systems are solved."""
        if layout.real_dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"{type(self).__name__} solves linear systems in single or double precision; got {layout.dtype}"
            )

    def __post_init__(self) -> None:
        if not (self.solver is None or isinstance(self.solver, LinearMethod)):
            raise TypeError(f"solver must be a method for linear systems such as kutta.CG(); got {self.solver!r}")
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"tolerance must lie between 0 and 1; got {self.tolerance!r}")

    def init(self, problem: Field, t: Time, y: Tensor) -> Tensor:
        """The remainder at the start."""
        return problem.remainder(t, y)  # type: ignore[attr-defined]

    def step(self, problem: Any, t: Time, y: Tensor, dt: Time, carry: Tensor) -> tuple[SplitStep, Tensor]:
        try:
            return self._taken(problem, t, y, dt, carry)
        except _UnsolvedError as unsolved:
            nothing = torch.full_like(y, torch.nan)
            return SplitStep(t, t + dt, dt, y, nothing, problem, failure=unsolved.result), carry

    def _taken(self, problem: Any, t: Time, y: Tensor, dt: Time, carry: Tensor) -> tuple[SplitStep, Tensor]:
        table = self.tableau
        solve = problem.kept_for(dt, self, lambda: _system(problem.linear, float(table.gamma) * dt, self, y))
        state, slopes, moves = y, [carry], []
        for node, outer, inner in zip(table.nodes[1:], table.explicit[1:], table.implicit[1:], strict=True):
            right = advanced_by(advanced_by(y, outer, slopes, dt), inner, moves, 1.0)
            state = solve(right, state)
            moves.append((state - right) / float(table.gamma))
            slopes.append(problem.remainder(t + float(node) * dt, state))
        step = SplitStep(t, t + dt, dt, y, state, problem, remainders=(carry, slopes[-1]))
        return step, slopes[-1]


def _system(linear: LinearOperator, size: float, method: ImexRungeKutta, y: Tensor) -> Solve:
    """What solves ``(I - size L) x = b``, beginning at a guess."""
    operator = linear.shifted(1.0, -size)
    if isinstance(operator, Diagonal | BlockDiagonal):  # whose inverse is differentiable as it is
        _refuse_singular(operator)
        inverse = operator.inverse()
        return lambda b, guess: inverse(b)  # type: ignore[misc]
    by = method.solver or default_method(operator)
    by.check(operator, y)
    goal = Goal(max(method.tolerance, 8.0 * torch.finfo(y.dtype).eps))
    solver = by.solver(operator, y.detach(), goal)

    def solve(b: Tensor, guess: Tensor) -> Tensor:
        with undifferentiated():
            found = solver.solve(b.detach(), None if by.direct else guess.detach())
        _check_solved(found)
        return implicit(found.x.detach(), lambda x: b - operator.apply(x), solver, partial(report, True))

    return solve


def _check_solved(found: Outcome) -> None:
    (worst,) = read(found.codes.reshape(-1).amax(0, keepdim=True))
    # To one who solves a differential equation, MAX_STEPS would speak of its steps.
    result = Result.BREAKDOWN if worst == int(Result.MAX_STEPS) else Result(int(worst))
    if result.failed:
        raise _UnsolvedError(result)


def _refuse_singular(operator: Diagonal | BlockDiagonal) -> None:
    """Raise an error where ``1 - size lambda`` is rounding: the inverse would leave that part of the solution out."""
    if isinstance(operator, Diagonal):
        symbols = operator.symbols.detach().abs()
    else:
        values = torch.linalg.svdvals(as_matrices(operator.blocks.detach()))
        symbols = values[..., -1] / values[..., 0].clamp_min(1.0)
    if read((-symbols).amax()) >= -4.0 * torch.finfo(symbols.dtype).eps:
        raise _UnsolvedError(Result.SINGULAR)


@dataclass(frozen=True)
class ARS222(ImexRungeKutta):
    """Ascher, Ruuth and Spiteri's method of order 2, L-stable in the linear part: two systems a step."""

    tableau: ImexTableau = tableaus.ARS222


@dataclass(frozen=True)
class ARS443(ImexRungeKutta):
    """Ascher, Ruuth and Spiteri's method of order 3, L-stable in the linear part: four systems a step."""

    tableau: ImexTableau = tableaus.ARS443
