"""Exponential Runge-Kutta methods: one step for every table of weights, and for every kind of linear part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import as_float
from kutta.solvers import tableaus
from kutta.solvers.exponential.functions import new_sums, stages, sums_of
from kutta.solvers.exponential.krylov import DEFAULT, Krylov
from kutta.solvers.method import Field, OfTableau, Time
from kutta.solvers.split_step import SplitStep
from kutta.solvers.tableaus.exponential import ExponentialTableau
from kutta.solvers.times import follow_output_time

# So near to the ends of a step, as times are rounded, a polynomial will do.
AT_ENDS = 1e-9


@dataclass
class ExponentialStep(SplitStep):
    """A step between whose ends the state is that of a shorter one from its start, and costs the stages of it.

    Attributes:
        method: that took it.
    """

    method: ExponentialRungeKutta | None = None

    def at(self, theta: Any) -> Tensor:
        part = as_float(theta)
        if min(part, 1.0 - part) < AT_ENDS or self.method is None or self.remainders is None:
            return super().at(theta)
        table, dt = self.method.tableau, part * self.dt
        sums = new_sums(self.field.linear, table, self.method.krylov, dt, self.y0)
        state = stages(table, sums, self.field.remainder, self.t0, self.y0, dt, self.remainders[0]).state
        return follow_output_time(self.field, self.t0 + theta * self.dt, state)


@dataclass(frozen=True)
class ExponentialRungeKutta(OfTableau):
    """An exponential Runge-Kutta method given by its table, for a `kutta.SplitODEProblem`.

    Linear problems are solved exactly, whatever the step size. What functions of the linear part are needed is computed
    once for each step size: numbers where it is diagonal in a transform (`kutta.algebra.Diagonal`), matrices where it
    is one. Of any other operator, products with its functions are computed in Krylov spaces in each step.

    Between the ends of a step the state is that of a shorter step from its start: steps are far longer than what a
    polynomial through their ends could follow. It costs the stages of one. So a dense solution calls the right-hand
    side, as it is then, whenever it is asked for a time.

    Attributes:
        tableau: the weights; see `kutta.solvers.tableaus.exponential`.
        krylov: how well those products are computed.

    Raises:
        TypeError: for a problem that does not say what its linear part is.

    Example:
        >>> import torch, kutta as kt
        >>> decay = kt.algebra.Diagonal(torch.tensor([-1.0, -1e6], dtype=torch.float64))
        >>> problem = kt.SplitODEProblem(decay, lambda t, y: y.sin(), torch.ones(2, dtype=torch.float64), (0.0, 1.0))
        >>> kt.solve(problem, kt.ExponentialRungeKutta(kt.tableaus.KROGSTAD4), controller=kt.Fixed(0.1)).stats.steps
        10
    """

    tableau: ExponentialTableau
    krylov: Krylov = DEFAULT
    kind = "exponential Runge-Kutta"
    needs_split = True
    ensembles = False
    tabulated = True

    @property
    def interpolant_order(self) -> int:
        return self.order

    @property
    def error_order(self) -> int | None:
        embedded = self.tableau.embedded_order
        return None if embedded is None else min(self.order, embedded) + 1

    def check(self, layout: Any) -> None:
        """Refuse a state in less than single precision, which transforms and exponentials do not have."""
        if layout.real_dtype not in (torch.float32, torch.float64):
            raise TypeError(f"{type(self).__name__} advances states in single or double precision; got {layout.dtype}")

    def init(self, problem: Field, t: Time, y: Tensor) -> Tensor:
        """The remainder at the start."""
        return problem.remainder(t, y)  # type: ignore[attr-defined]

    def step(self, problem: Any, t: Time, y: Tensor, dt: Time, carry: Tensor) -> tuple[ExponentialStep, Tensor]:
        table = self.tableau
        sums = sums_of(problem, table, self.krylov, dt, y)
        found = stages(table, sums, problem.remainder, t, y, dt, carry)
        error = None
        if table.error is not None:
            error = sums.leave(sums.combined(None, table.error, found.start, found.slopes))
        step = ExponentialStep(t, t + dt, dt, y, found.state, problem, error, remainders=(carry, found.remainder))
        step.method = self
        return step, found.remainder


@dataclass(frozen=True)
class ETD1(ExponentialRungeKutta):
    """The exponential Euler method, order 1: ``exp(z) y + h phi_1(z) N``, ``z = h L``. Fixed steps only."""

    tableau: ExponentialTableau = tableaus.ETD1


@dataclass(frozen=True)
class ETDRK2(ExponentialRungeKutta):
    """Cox and Matthews's method of order 2, with ETD1 as its error estimate."""

    tableau: ExponentialTableau = tableaus.ETDRK2


@dataclass(frozen=True)
class ETDRK3(ExponentialRungeKutta):
    """Cox and Matthews's method of order 3."""

    tableau: ExponentialTableau = tableaus.ETDRK3


@dataclass(frozen=True)
class ETDRK4(ExponentialRungeKutta):
    """Cox and Matthews's method of order 4, the first choice for periodic problems in a Fourier space.

    Its weights are computed without Cox and Matthews's cancellations, for real and complex linear parts.
    """

    tableau: ExponentialTableau = tableaus.ETDRK4


@dataclass(frozen=True)
class Krogstad4(ExponentialRungeKutta):
    """Krogstad's method of order 4, which keeps more of its order than ETDRK4 where the linear part is very stiff."""

    tableau: ExponentialTableau = tableaus.KROGSTAD4


@dataclass(frozen=True)
class Lawson4(ExponentialRungeKutta):
    """Lawson's integrating factor with the classical rule, order 4: cheap, and for linear parts of moderate size.

    Where ``h L`` is large its error is far larger than that of ETDRK4.
    """

    tableau: ExponentialTableau = tableaus.LAWSON4
