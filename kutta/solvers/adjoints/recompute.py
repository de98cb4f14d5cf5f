"""Backpropagation through steps that are taken once more in the backward pass.

The forward pass keeps the state before every so many accepted steps, and all step sizes. The
backward pass goes through these segments from the last to the first: it takes their steps again on
the tape, with the same sizes, and pulls the gradients of the segment's end and outputs back to its
start. What is differentiated is exactly what `Direct` differentiates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.adjoints.adjoint import Adjoint
from kutta.solvers.adjoints.inputs import Inputs
from kutta.solvers.adjoints.replay import Chain, Segment, State, replay
from kutta.solvers.march import Course, Leg, Transition, march, state_at, states_at, update_penalties
from kutta.solvers.method import Method


@dataclass(frozen=True)
class Recompute(Adjoint):
    """Keep states and step sizes only, and take each accepted step again in the backward pass.

    Gives the gradients of `Direct` at the price of one more evaluation of each step. Memory is that
    of ``steps / segment`` states and of the tape of one segment.

    Attributes:
        segment: accepted steps from one stored state to the next. Longer segments store fewer states,
            and tape more steps at once.
    """

    segment: int = 4

    def __post_init__(self) -> None:
        if self.segment < 1:
            raise ValueError(f"segment must be at least 1; got {self.segment}")

    def go(self, leg: Leg, inputs: Inputs) -> Course:
        stepper, start = leg.stepper, State(leg.start, None, leg.penalties)
        with torch.no_grad():
            course = march(leg, record_every=self.segment)
        blocks = [course.transitions[i : i + self.segment] for i in range(0, len(course.transitions), self.segment)]
        segments = [_segment(block, stepper.method, stepper.field, leg) for block in blocks]
        chain = Chain(segments, course.starts, State(course.y1, None, course.penalties), course.values)
        end, course.values = replay(chain, start, inputs)
        stepper.y, course.y1, course.penalties = end.y, end.y, end.penalties
        return course

    @property
    def block(self) -> int:
        return self.segment

    def through(self, chain: Chain, start: State, inputs: Inputs) -> tuple[State, list[Tensor]]:
        return replay(chain, start, inputs)


def _segment(block: Sequence[Transition], method: Method, field: Any, leg: Leg) -> Segment:
    """A run of accepted steps as a function of the state before it."""

    def run(state: State) -> tuple[State, list[Tensor]]:
        y, carry, penalties = state
        outputs: list[Tensor] = []
        for transition in block:
            if transition.fresh or carry is None:
                carry = method.init(field, transition.t, y)
            step, carry = method.step(field, transition.t, y, transition.dt, carry)
            step.t1, step.tolerance = transition.t1, leg.stepper.tolerance
            if transition.thetas:
                outputs.append(states_at(step, transition.thetas))
            step.covered = 1.0 if transition.cut is None else transition.cut
            penalties = update_penalties(leg.regularizers, penalties, step)
            y = step.y1 if transition.cut is None else state_at(step, transition.cut)
            carry = method.resume(step, carry)
        return State(y, carry, penalties), outputs

    return run
