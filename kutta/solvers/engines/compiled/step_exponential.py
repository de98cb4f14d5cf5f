"""One step of an exponential Runge-Kutta method as a function of tensors alone; see `step`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from kutta.solvers.engines.compiled.step import OutputWeights
from kutta.solvers.exponential.functions import Sums, stages
from kutta.solvers.tableaus.exponential import ExponentialTableau


class SplitSlopes(Protocol):
    """A right-hand side ``L y + f(t, y)``; its derivative is that of the remainder `f` alone."""

    sums: Sums

    def derivative(self, t: Tensor, y: Tensor) -> Tensor:
        """``f(t, y)``."""
        ...

    def linear(self, y: Tensor) -> Tensor:
        """``L y``."""
        ...


@dataclass(frozen=True, eq=False)
class Exponential:
    """The `Scheme` of an exponential method: its slopes are the remainders at both ends of a step.

    Outputs also need the whole derivatives there, for the cubic Hermite polynomial.
    """

    tableau: ExponentialTableau
    slopes = 2
    extras = 2
    extra_evaluations = 0

    @property
    def evaluations(self) -> int:
        return len(self.tableau.nodes) - 1

    def advance(
        self, field: SplitSlopes, t: Tensor, y: Tensor, dt: Tensor, slope: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        found = stages(self.tableau, field.sums, field.derivative, t, y, dt, slope)
        return found.state, [slope, found.remainder]

    def extra_slopes(
        self, field: SplitSlopes, t: Tensor, y: Tensor, y1: Tensor, dt: Tensor, slopes: Sequence[Tensor]
    ) -> list[Tensor]:
        return [field.linear(y) + slopes[0], field.linear(y1) + slopes[1]]

    def error_estimate(self, dt: Tensor, slopes: Sequence[Tensor]) -> Any:
        raise NotImplementedError("steps of one size need no estimate of their errors")

    def output_weights(self, theta: Tensor, dt: Tensor) -> OutputWeights:
        rest = 1.0 - theta
        start, end = rest * rest * (1.0 + 2.0 * theta), theta * theta * (3.0 - 2.0 * theta)
        inner = dt * theta * rest
        return start, end, [0, 0, inner * rest, -inner * theta]
