"""One step of an explicit Runge-Kutta method as a function of tensors alone, and the sums behind its outputs.

Unlike `kutta.solvers.runge_kutta`, times and step sizes are 0-dimensional float64 tensors, nothing is kept
from one step to the next but what is returned, and no sum is written in place: a compiler fuses them all.

Every method here ends with the slope at the end of the step, which is the first of the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor

from kutta.solvers.method import Slopes
from kutta.solvers.runge_kutta import combined_error
from kutta.solvers.tableaus.tableau import Tableau

# Of the state at the start of a step, that at its end, and the slopes; a tensor, or the number 0 for what is not used.
OutputWeights = tuple[Any, Any, Sequence[Any]]


class Scheme(Protocol):
    """The steps of a method.

    Attributes:
        tableau: its coefficients.
        evaluations: of the right-hand side that a trial costs.
        slopes: how many of them `advance` returns.
        extras: how many more an output needs.
        extra_evaluations: what these cost.
    """

    @property
    def tableau(self) -> Any: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def slopes(self) -> int: ...
    @property
    def extras(self) -> int: ...
    @property
    def extra_evaluations(self) -> int: ...

    def advance(self, field: Any, t: Tensor, y: Tensor, dt: Tensor, slope: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The state after a step, and the slopes, the last of which is the one at the end.

        Args:
            field: the right-hand side.
            t: start of the step.
            y: the state there.
            dt: its size, with the sign of the direction of time.
            slope: the derivative there.
        """
        ...

    def extra_slopes(
        self, field: Any, t: Tensor, y: Tensor, y1: Tensor, dt: Tensor, slopes: Sequence[Tensor]
    ) -> list[Tensor]:
        """The slopes that only the interpolant needs."""
        ...

    def error_estimate(self, dt: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """The estimate of the local error."""
        ...

    def output_weights(self, theta: Tensor, dt: Tensor) -> OutputWeights:
        """What the state at a position of the step is a sum of, with weights in float64."""
        ...


def combination(weights: Sequence[float | Fraction | Tensor], slopes: Sequence[Tensor]) -> Tensor:
    """``sum_i w_i k_i`` over the weights that are not zero."""
    terms = [
        slope * (weight if isinstance(weight, Tensor) else float(weight))
        for weight, slope in zip(weights, slopes, strict=False)
        if isinstance(weight, Tensor) or weight
    ]
    return sum(terms[1:], terms[0]) if terms else torch.zeros_like(slopes[0])


@dataclass(frozen=True, eq=False)
class Explicit:
    """The `Scheme` of an explicit Runge-Kutta method; the slope at the end of a step is one of its slopes."""

    tableau: Tableau

    @property
    def evaluations(self) -> int:
        return self.tableau.stages - self.tableau.first_same_as_last

    @property
    def slopes(self) -> int:
        return self.evaluations + 1

    @property
    def extras(self) -> int:
        return 0 if self.tableau.interpolant is None else len(self.tableau.interpolant.extra_c)

    @property
    def extra_evaluations(self) -> int:
        return self.extras

    def advance(self, field: Slopes, t: Tensor, y: Tensor, dt: Tensor, slope: Tensor) -> tuple[Tensor, list[Tensor]]:
        tableau, slopes, h = self.tableau, [slope], dt.to(y.dtype)
        for row, node in list(zip(tableau.a, tableau.c, strict=True))[1 : self.evaluations]:
            slopes.append(field.derivative(t + float(node) * dt, y + h * combination(row, slopes)))
        y1 = y + h * combination(tableau.b, slopes)
        return y1, [*slopes, field.derivative(t + dt, y1)]

    def extra_slopes(
        self, field: Slopes, t: Tensor, y: Tensor, y1: Tensor, dt: Tensor, slopes: Sequence[Tensor]
    ) -> list[Tensor]:
        dense, slopes, h = self.tableau.interpolant, list(slopes), dt.to(y.dtype)
        known = len(slopes)
        if dense is not None:
            for row, node in zip(dense.extra_a, dense.extra_c, strict=True):
                slopes.append(field.derivative(t + float(node) * dt, y + h * combination(row, slopes)))
        return slopes[known:]

    def error_estimate(self, dt: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        rows = [row for row in (self.tableau.error, self.tableau.second_error) if row is not None]
        return combined_error([dt.to(slopes[0].dtype) * combination(row, slopes) for row in rows])

    def output_weights(self, theta: Tensor, dt: Tensor) -> OutputWeights:
        """``y(t + theta dt) = y + dt sum_i P_i(theta) k_i``."""
        weights = []
        for row in self.tableau.interpolation_weights:
            value = torch.zeros_like(theta)
            for coefficient in reversed(row):
                value = theta * (value + float(coefficient))
            weights.append(dt * value)
        return torch.ones_like(theta), 0, weights
