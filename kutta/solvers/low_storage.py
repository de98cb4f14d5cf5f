"""Runge-Kutta methods that keep two states, for large problems: one step for every table in Williamson's form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers import tableaus
from kutta.solvers.method import Field, OfTableau, Step, Time
from kutta.solvers.tableaus.low_storage import LowStorageTableau


@dataclass(frozen=True)
class LowStorageRungeKutta(OfTableau):
    """An explicit Runge-Kutta method in Williamson's form. Fixed steps only.

    Apart from what `f` needs and from the state at the start of a step, two states are kept, whatever the number of
    stages. With gradients the tape keeps one for every stage all the same, unless ``adjoint=kutta.Recompute()``.

    Attributes:
        tableau: the coefficients; see `kutta.solvers.tableaus.low_storage`.

    Example:
        >>> import torch, kutta as kt
        >>> method = kt.LowStorageRungeKutta(kt.tableaus.WILLIAMSON3)
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> round(float(kt.solve(problem, method, controller=kt.Fixed(0.01)).y1), 6)
        0.367879
    """

    tableau: LowStorageTableau
    kind = "low-storage Runge-Kutta"

    def step(self, problem: Field, t: Time, y: Tensor, dt: Time, carry: Any) -> tuple[Step, None]:
        table = self.tableau
        state, increment = y, torch.zeros_like(y)
        for node, a, b in zip(table.nodes, table.a, table.b, strict=True):
            increment = float(a) * increment + dt * problem.derivative(t + float(node) * dt, state)
            state = torch.add(state, increment, alpha=float(b))
        return Step(t, t + dt, dt, y, state, problem), None


@dataclass(frozen=True)
class Williamson3(LowStorageRungeKutta):
    """Williamson's method of order 3 in three stages."""

    tableau: LowStorageTableau = tableaus.WILLIAMSON3


@dataclass(frozen=True)
class CarpenterKennedy54(LowStorageRungeKutta):
    """Carpenter and Kennedy's method of order 4 in five stages, for waves and compressible flow."""

    tableau: LowStorageTableau = tableaus.CARPENTER_KENNEDY54
