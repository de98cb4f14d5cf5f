"""One step of an explicit Runge-Kutta method as a function of tensors alone, and the sums behind its outputs.

Unlike `kutta.solvers.runge_kutta`, times and step sizes are 0-dimensional float64 tensors, nothing is kept
from one step to the next but what is returned, and no sum is written in place: a compiler fuses them all.

Every method here ends with the slope at the end of the step, which is the first of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from kutta.solvers.runge_kutta import combined_error
from kutta.solvers.tableaus.tableau import Tableau

Derivative = Callable[[Tensor, Tensor], Tensor]


def combination(weights: Sequence[float | Fraction | Tensor], slopes: Sequence[Tensor]) -> Tensor:
    """``sum_i w_i k_i`` over the weights that are not zero."""
    terms = [
        slope * (weight if isinstance(weight, Tensor) else float(weight))
        for weight, slope in zip(weights, slopes, strict=False)
        if isinstance(weight, Tensor) or weight
    ]
    return sum(terms[1:], terms[0]) if terms else torch.zeros_like(slopes[0])


def advance(
    tableau: Tableau, f: Derivative, t: Tensor, y: Tensor, dt: Tensor, slope: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The state after a step, and all slopes: those of the stages, and the one at the end.

    Args:
        tableau: the method.
        f: the right-hand side.
        t: start of the step.
        y: the state there.
        dt: its size, with the sign of the direction of time.
        slope: the derivative there.
    """
    slopes, h = [slope], dt.to(y.dtype)
    for row, node in list(zip(tableau.a, tableau.c, strict=True))[1 : explicit_stages(tableau)]:
        slopes.append(f(t + float(node) * dt, y + h * combination(row, slopes)))
    y1 = y + h * combination(tableau.b, slopes)
    return y1, [*slopes, f(t + dt, y1)]


def explicit_stages(tableau: Tableau) -> int:
    """The number of stages before the slope at the end of the step, and of evaluations that a trial costs."""
    return tableau.stages - tableau.first_same_as_last


def error_estimate(tableau: Tableau, dt: Tensor, slopes: Sequence[Tensor]) -> Tensor:
    """The estimate of the local error."""
    rows = [row for row in (tableau.error, tableau.second_error) if row is not None]
    return combined_error([dt.to(slopes[0].dtype) * combination(row, slopes) for row in rows])


def extra_slopes(
    tableau: Tableau, f: Derivative, t: Tensor, y: Tensor, dt: Tensor, slopes: Sequence[Tensor]
) -> list[Tensor]:
    """The slopes that only the interpolant needs."""
    dense, slopes, h = tableau.interpolant, list(slopes), dt.to(y.dtype)
    known = len(slopes)
    if dense is not None:
        for row, node in zip(dense.extra_a, dense.extra_c, strict=True):
            slopes.append(f(t + float(node) * dt, y + h * combination(row, slopes)))
    return slopes[known:]


def interpolation_weights(tableau: Tableau, theta: Tensor) -> list[Tensor]:
    """``P_i(theta)`` in float64, such that ``y(t + theta dt) = y + dt sum_i P_i(theta) k_i``."""
    weights = []
    for row in tableau.interpolation_weights:
        value = torch.zeros_like(theta)
        for coefficient in reversed(row):
            value = theta * (value + float(coefficient))
        weights.append(value)
    return weights
