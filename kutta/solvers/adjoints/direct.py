"""Backpropagation through the solver's own operations."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kutta.solvers.adjoints.adjoint import Adjoint
from kutta.solvers.adjoints.inputs import Inputs
from kutta.solvers.adjoints.replay import Chain, State
from kutta.solvers.march import Course, Leg, march


@dataclass(frozen=True)
class Direct(Adjoint):
    """Differentiate the accepted steps as they were taken: exact, fast, memory grows with the steps.

    Step sizes are constants. Works with double backward and under ``torch.func`` transformations.
    The default. An ensemble is solved without a tape first; then its accepted steps are taken on the
    tape, so that a rejected step of one trajectory is never on it.
    """

    tapes = True

    def go(self, leg: Leg, inputs: Inputs) -> Course:
        return march(leg)

    def through(self, chain: Chain, start: State, inputs: Inputs) -> tuple[State, list[Tensor]]:
        state, outputs = start, []
        for segment in chain.segments:
            state, values = segment(state)
            outputs += values
        return state, outputs
