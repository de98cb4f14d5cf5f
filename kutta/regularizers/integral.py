"""A penalty that is an integral along the solution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.method import Step

# Gauss and Legendre's points and weights on [0, 1]: exact for polynomials of degree three.
POINTS = ((0.5 - 3**0.5 / 6, 0.5), (0.5 + 3**0.5 / 6, 0.5))


@dataclass(frozen=True)
class Integral(Regularizer):
    """``int g(t, y(t)) dt`` over the accepted steps, by two Gauss points on the interpolant of each.

    The integral is no part of the state, so that it changes neither the error that the controller
    sees nor the steps.

    Attributes:
        part: picks the part of the state that counts, ``part(state)``.
    """

    part: Callable[[Any], Any] | None = field(default=None, kw_only=True)

    def restricted(self, part: Callable[[Any], Any]) -> Self:
        """The same penalty on ``part(state)``, unless it has a part of its own."""
        return self if self.part is not None else replace(self, part=part)

    def integrand(self, field: Any, t: Any, y: Tensor) -> Tensor:
        """``g(t, y)``, shape ``()``; in an ensemble ``(b,)``. ``field.derivative(t, y)`` evaluates `f`."""
        raise NotImplementedError

    def init(self, y: Tensor) -> Any:
        """Zero."""
        return torch.zeros((), dtype=y.real.dtype if y.is_complex() else y.dtype, device=y.device)

    def update(self, state: Any, step: Step) -> Any:
        """One more step."""
        return state + self.over(step)

    def value(self, state: Any) -> Tensor:
        """The integral."""
        return state

    def over(self, step: Step) -> Tensor:
        """The integral over one step, positive whatever the direction of time."""
        return by_gauss(step, lambda t, y: self.integrand(step.field, t, y))

    def mean(self, values: Tensor, field: Any) -> Tensor:
        """The mean over the entries of the state that count; in an ensemble of each trajectory."""
        return field.layout.entries(values, self.part).mean(dim=-1)


def by_gauss(step: Step, integrand: Callable[[Any, Tensor], Tensor]) -> Tensor:
    """``int integrand(t, y(t)) dt`` over the part of a step that counts."""
    total: Any = 0.0
    for point, weight in POINTS:
        theta = point * step.covered
        if isinstance(step.dt, Tensor) and not isinstance(theta, Tensor):
            theta = torch.full_like(step.dt, theta)
        total = total + weight * integrand(step.t0 + theta * step.dt, step.at(theta))
    return total * step.size
