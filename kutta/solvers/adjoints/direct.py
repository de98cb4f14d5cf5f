"""Backpropagation through the solver's own operations."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.adjoints.adjoint import Adjoint
from kutta.solvers.adjoints.inputs import Input
from kutta.solvers.march import Course, Leg, march


@dataclass(frozen=True)
class Direct(Adjoint):
    """Differentiate the accepted steps as they were taken: exact, fast, memory grows with the steps.

    Step sizes are constants. Works with double backward and, for problems with one step size,
    under ``torch.func`` transformations. The default.
    """

    tapes = True

    def go(self, leg: Leg, inputs: Input) -> Course:
        return march(leg)
