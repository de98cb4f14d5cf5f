"""Outputs of an ensemble: which trajectory has passed which output times, and its states then.

Finding and evaluating outputs takes some tens of small tensor operations. They are therefore taken
off several trials together, unless the trials are recorded one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from kutta.solvers.ensemble_stepper import EnsembleStepper
from kutta.solvers.method import Step

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Most trials whose outputs wait. Tensors of at most this many numbers are worked on by one thread:
# waking a second one costs more than these small operations.
PATIENCE, SMALL = 16, 2**15


@dataclass
class Reading:
    """Outputs taken off the rows of a step (or of several).

    Attributes:
        rows: the row of each output in its step.
        lanes: the trajectory.
        index: which of its outputs.
        theta: the position in the step, ``(n, 1)``.
        t: the time.
    """

    rows: Int[Tensor, " n"]
    lanes: Int[Tensor, " n"]
    index: Int[Tensor, " n"]
    theta: Float[Tensor, "n 1"]
    t: Float[Tensor, " n"]

    def values(self, step: Step) -> Float[Tensor, "n D"]:
        """The states, exact at the ends of steps."""
        return step.rows(self.rows).at_exactly(self.theta)


class Trial(NamedTuple):
    """A trial whose outputs wait: the signed step sizes in the precision of time, and the times after it."""

    step: Step
    move: Tensor
    s: Tensor


class Outputs:
    """The outputs still to come, for every row of a stepper.

    Args:
        save: output times, sorted along the solve, ``(T, 1)`` or one column a trajectory; ``None`` for
            no outputs, ``"steps"`` for every accepted step.
        stepper: stands at the start.
        patiently: whether outputs may be taken off several trials together.
    """

    def __init__(self, save: Tensor | str | None, stepper: EnsembleStepper, patiently: bool):
        self.wanted, self.every_step = save is not None, isinstance(save, str)
        self.trials: list[Trial] = []
        numbers = stepper.y.numel() * 8
        self.patience = max(1, min(PATIENCE, SMALL // numbers)) if patiently and not self.every_step else 1
        if isinstance(save, str):
            self.index = _accepted(stepper)
        elif save is not None:
            # Sorted along the solve, so that a row's next output is found by bisection.
            self.sign = stepper.direction
            columns = save[:, stepper.lanes] if save.shape[1] > 1 else save
            self.keys = (columns.T if self.sign is None else columns.T * self.sign[:, None]).contiguous()
            self.index = self._reached(stepper)

    def note(self, step: Step, stepper: EnsembleStepper) -> None:
        """Remember a trial, for the outputs in it."""
        if self.wanted:
            self.trials.append(Trial(step, stepper.along(stepper.size), stepper.s))

    @property
    def ripe(self) -> bool:
        """Whether it is time to take the outputs off the trials that wait, this one included."""
        return self.wanted and len(self.trials) + 1 >= self.patience

    def pending(self, stepper: EnsembleStepper) -> Int[Tensor, " b"]:
        """How many outputs each row has passed since they were last taken."""
        self.reached = _accepted(stepper) if self.every_step else self._reached(stepper)
        return self.reached - self.index

    def _reached(self, stepper: EnsembleStepper) -> Int[Tensor, " b"]:
        if stepper.s.shape[0] * self.keys.shape[1] <= SMALL:
            return (self.keys <= stepper.s[:, None]).sum(dim=1)
        if self.keys.shape[0] == 1:
            return torch.searchsorted(self.keys[0], stepper.s, right=True)
        return torch.searchsorted(self.keys, stepper.s[:, None], right=True)[:, 0]

    def take(self, stepper: EnsembleStepper, total: int) -> tuple[Reading, Tensor] | None:
        """The `total` pending outputs, and their states."""
        trials, self.trials = self.trials, []
        if not total:
            self.index = self.reached
            return None
        rows, index = self._pairs(total)
        if self.every_step:
            # Past a jump the row stands a rounding behind the step's end; at an event, before it.
            ends = stepper.along(trials[0].step.t1[:, 0])
            along, index = torch.minimum(stepper.s, ends)[rows], index + 1
        else:
            along = self.keys[0][index] if self.keys.shape[0] == 1 else self.keys[rows, index]
        t = along if stepper.direction is None else along * stepper.direction[rows]
        if len(trials) == 1:
            step, move = trials[0].step.rows(rows), trials[0].move[rows]
        else:
            # A row's times only grow, so an output lies in the first trial that ends at or after it.
            which = (torch.stack([trial.s for trial in trials], dim=1)[rows] < along[:, None]).sum(dim=1)
            step = trials[0].step.among([trial.step for trial in trials], which, rows)
            move = torch.stack([trial.move for trial in trials])[which, rows]
        theta = ((t - step.t0[:, 0]) / move).clamp(0.0, 1.0)
        theta = torch.where(t == step.t1[:, 0], 1.0, theta)
        reading = Reading(rows, stepper.lanes[rows], index, theta[:, None], t)
        return reading, step.at_exactly(reading.theta)

    def _pairs(self, total: int) -> tuple[Tensor, Tensor]:
        """Row and number of each pending output."""
        count = self.reached - self.index
        first = torch.cumsum(count, 0) - count
        # Each row marks where its outputs begin; the marks passed so far tell the row.
        marks = torch.zeros(total + 1, dtype=torch.int64, device=count.device)
        rows = marks.index_add(0, first, torch.ones_like(first)).cumsum(0)[:total] - 1
        index = (self.index - first)[rows] + torch.arange(total, device=rows.device)
        self.index = self.reached
        return rows, index

    def pack(self, rows: Tensor) -> None:
        """Keep only some rows."""
        if not self.wanted:
            return
        self.index = self.index[rows]
        if not self.every_step:
            self.sign = None if self.sign is None else self.sign[rows]
            self.keys = self.keys if self.keys.shape[0] == 1 else self.keys[rows]


def _accepted(stepper: EnsembleStepper) -> Int[Tensor, " b"]:
    return stepper.tally.steps - stepper.tally.rejected
