"""From one point to the next event or the end, for every trajectory of an ensemble.

The counterpart of `march`: it drives an `EnsembleStepper`, takes outputs off the trials, cuts steps
at events, and packs the rows when half of them have ended. It runs without a tape. What it returns
can be gone through again, on one, with the accepted step sizes: a row whose trial was rejected then
takes a step of length zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.adjoints.replay import Segment, State
from kutta.solvers.ensemble_events import Cut, EnsembleEventWatch
from kutta.solvers.ensemble_stepper import EnsembleStepper, select, take
from kutta.solvers.field import EnsembleField
from kutta.solvers.march import update_penalties
from kutta.solvers.method import Method, Step

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Rows are packed once at most this part of them is still running.
SPARSE = 0.5


@dataclass
class EnsembleLeg:
    """What to do from the start of the rows of a stepper on.

    Attributes:
        stepper: stands at the start.
        start: the states there, as gradients know them.
        save: output times, sorted along the solve, ``(T, 1)`` or one column a trajectory; ``None``
            for no outputs, ``"steps"`` for every accepted step.
        watch: the events.
        regularizers: the penalties, and `penalties` their states.
        dense: whether to keep the steps.
        progress: called with the mean of the running times after each trial.
    """

    stepper: EnsembleStepper
    start: Tensor
    save: Tensor | str | None
    watch: EnsembleEventWatch
    regularizers: tuple[Regularizer, ...] = ()
    penalties: tuple[Any, ...] = ()
    dense: bool = False
    progress: Callable[[float], None] | None = None


@dataclass
class Reading:
    """Outputs taken off one trial: `rows` of it at positions `theta`, for output numbers `index`."""

    rows: Int[Tensor, " n"]
    lanes: Int[Tensor, " n"]
    index: Int[Tensor, " n"]
    theta: Float[Tensor, "n 1"]
    t: Float[Tensor, " n"]


@dataclass
class EnsembleTransition:
    """A trial as it can be made again.

    Attributes:
        field: the right-hand side of the rows.
        t: their times.
        dt: the step sizes, zero where the trial was rejected.
        t1: the nominal ends.
        accepted: which rows were kept.
        reading: the outputs taken off it.
        cut: where events ended rows.
        leaving: rows that are taken out afterwards, and `staying` those that go on.
        fresh: whether the method starts afresh here.
    """

    field: EnsembleField
    t: Tensor
    dt: Tensor
    t1: Tensor
    accepted: Tensor
    reading: Reading | None = None
    cut: Cut | None = None
    leaving: Tensor | None = None
    staying: Tensor | None = None
    fresh: bool = False


@dataclass
class EnsembleCourse:
    """What happened on a leg.

    Attributes:
        readings: what the outputs are, and `values` the states, one tensor ``(n, D)`` for each.
        lanes: the trajectories in the order in which they ended; `ended` holds tensors of their last
            states and penalties, `t1` their last times, `codes`, `steps`, `rejected`, `evaluations`
            what the stepper counted, `h` their step sizes.
        cuts: the events that ended trajectories.
        dense: the trials and the trajectories of their rows, if kept.
        transitions: the trials as they can be made again.
        starts: the states before every so many of them.
    """

    readings: list[Reading] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    lanes: list[Tensor] = field(default_factory=list)
    ended: list[tuple[Tensor, tuple[Any, ...]]] = field(default_factory=list)
    counts: list[dict[str, Tensor]] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    dense: list[tuple[Step, Tensor]] = field(default_factory=list)
    transitions: list[EnsembleTransition] = field(default_factory=list)
    starts: list[State] = field(default_factory=list)


@torch.no_grad()
def march_ensemble(leg: EnsembleLeg, record_every: int = 0) -> EnsembleCourse:
    """Go along a leg; with `record_every`, note each trial and the state before every so many."""
    stepper, course = leg.stepper, EnsembleCourse()
    outputs = _Outputs(leg)
    penalties, fresh = leg.penalties, True
    running = int(stepper.running.sum())
    while running:
        if record_every and len(course.transitions) % record_every == 0:
            course.starts.append(State(stepper.y, None if fresh else stepper.carry, penalties))
        calls, active, before = stepper.field.evaluations, stepper.running, stepper.field
        step = stepper.trial()
        running, due, crossed = _read(stepper, outputs, leg.watch)
        cut = None
        if crossed:
            cut = leg.watch.cut(step, stepper)
            course.cuts.append(cut)
            running, due, _ = _read(stepper, outputs, None)
        reading = outputs.take(step, stepper, due) if due else None
        if reading is not None:
            course.readings.append(reading)
            course.values.append(values_of(step, reading))
        if leg.regularizers:
            updated = update_penalties(leg.regularizers, penalties, step)
            penalties = select(step.accepted, updated, penalties)
        if leg.dense:
            course.dense.append((step, stepper.lanes))
        stepper.carry = stepper.method.resume(step, stepper.carry)
        stepper.evaluations = stepper.evaluations + active * (stepper.field.evaluations - calls)
        leaving = staying = None
        if running <= SPARSE * len(stepper.lanes):
            leaving, staying = _partition(stepper.running)
            _end(course, stepper, leaving, penalties)
            penalties = take(staying, penalties)
            outputs.pack(staying)
            if leg.watch.events:
                leg.watch.pack(staying)
            stepper.pack(staying)
        if record_every:
            dt = torch.where(step.accepted[:, None], step.dt, 0.0)
            course.transitions.append(
                EnsembleTransition(
                    before,
                    step.t0,
                    dt,
                    step.t1,
                    step.accepted,
                    reading,
                    cut,
                    leaving,
                    staying,
                    fresh,
                )
            )
        fresh = stepper.jumps is not None
        if leg.progress is not None and running:
            leg.progress(float(stepper.t.mean()))
    if len(stepper.lanes):
        _end(course, stepper, torch.arange(len(stepper.lanes), device=stepper.t.device), penalties)
    return course


def _read(stepper: EnsembleStepper, outputs: _Outputs, watch: EnsembleEventWatch | None) -> tuple[int, int, int]:
    """The one transfer to the host: rows left, outputs to take, and rows with an event."""
    counts = [stepper.running, stepper.troubled]
    counts += [outputs.pending(stepper)] if outputs.wanted else []
    counts += [watch.crossings(stepper, stepper.last[1])] if watch is not None and watch.events else []
    running, troubled, *others = torch.stack(counts).sum(dim=1).tolist()
    if troubled or stepper.trials >= stepper.max_steps:
        stepper.fail()
        stepper.exhaust()
        running = int(stepper.running.sum())
    due = others[0] if outputs.wanted else 0
    return running, due, others[-1] if len(others) > outputs.wanted else 0


def _partition(running: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that have ended, and those that go on."""
    return torch.nonzero(~running)[:, 0], torch.nonzero(running)[:, 0]


def _end(course: EnsembleCourse, stepper: EnsembleStepper, rows: Tensor, penalties: tuple[Any, ...]) -> None:
    """Note what has become of rows that leave."""
    course.lanes.append(stepper.lanes[rows])
    course.ended.append((stepper.y[rows], take(rows, penalties)))
    names = ("t", "h", "codes", "steps", "rejected", "evaluations")
    course.counts.append({name: getattr(stepper, name)[rows] for name in names})


def values_of(step: Step, reading: Reading) -> Tensor:
    """The outputs of a trial, exact at the ends of steps."""
    rows = step.rows(reading.rows)
    return torch.where(reading.theta == 1.0, rows.y1, rows.at(reading.theta))


class _Outputs:
    """Which outputs are still to come, for every row."""

    def __init__(self, leg: EnsembleLeg):
        stepper, save = leg.stepper, leg.save
        self.wanted, self.every_step = save is not None, isinstance(save, str)
        if isinstance(save, str):
            self.index = stepper.accepted
        elif save is not None:
            # Sorted along the solve, so that a row's next output is found by bisection.
            self.sign = stepper.direction
            columns = save[:, stepper.lanes] if save.shape[1] > 1 else save
            self.keys = (columns.T if self.sign is None else columns.T * self.sign[:, None]).contiguous()
            self.index = self._reached(stepper)

    def _reached(self, stepper: EnsembleStepper) -> Tensor:
        """How many output times have been reached."""
        if self.keys.shape[0] == 1:
            return torch.searchsorted(self.keys[0], stepper.s, right=True)
        return torch.searchsorted(self.keys, stepper.s[:, None], right=True)[:, 0]

    def pending(self, stepper: EnsembleStepper) -> Tensor:
        """How many outputs each row has passed since they were last taken."""
        self.reached = stepper.accepted if self.every_step else self._reached(stepper)
        return self.reached - self.index

    def take(self, step: Step, stepper: EnsembleStepper, total: int) -> Reading:
        """The outputs in a trial."""
        count = self.reached - self.index
        rows = torch.repeat_interleave(count, output_size=total)
        first = torch.cumsum(count, 0) - count
        index = self.index[rows] + torch.arange(total, device=rows.device) - first[rows]
        self.index = self.reached
        if self.every_step:
            t, index = stepper.t[rows], index + 1
        else:
            t = self.keys[0][index] if self.keys.shape[0] == 1 else self.keys[rows, index]
            t = t if self.sign is None else t * self.sign[rows]
        end = step.t1[rows, 0]
        theta = ((t - step.t0[rows, 0]) / stepper.along(stepper.last[3])[rows]).clamp(0.0, 1.0)
        theta = torch.where(t == end, 1.0, theta)
        return Reading(rows, stepper.lanes[rows], index, theta[:, None], t)

    def pack(self, rows: Tensor) -> None:
        """Keep only some rows."""
        if not self.wanted:
            return
        self.index = self.index[rows]
        if not self.every_step:
            self.sign = None if self.sign is None else self.sign[rows]
            self.keys = self.keys if self.keys.shape[0] == 1 else self.keys[rows]


def segments_of(course: EnsembleCourse, leg: EnsembleLeg, method: Method, every: int) -> list[Segment]:
    """The trials of a course as functions that can be run again, `every` at a time."""
    return [
        _segment(course.transitions[start : start + every], method, leg.regularizers)
        for start in range(0, len(course.transitions), every)
    ]


def _segment(block: list[EnsembleTransition], method: Method, regularizers: tuple[Regularizer, ...]) -> Segment:
    def run(state: State) -> tuple[State, list[Tensor]]:
        outputs: list[Tensor] = []
        for transition in block:
            state, values = _again(transition, method, regularizers, state)
            outputs += values
        return state, outputs

    return run


def _again(
    transition: EnsembleTransition, method: Method, regularizers: tuple[Regularizer, ...], state: State
) -> tuple[State, list[Tensor]]:
    """A trial made again: the state after it, and the outputs, final states and penalties within it."""
    (y, carry, penalties), field = state, transition.field.again()
    if transition.fresh or carry is None:
        carry = method.init(field, transition.t, y)
    step, after = method.step(field, transition.t, y, transition.dt, carry)
    carry = select(transition.accepted, after, carry)
    step.t1, step.accepted = transition.t1, transition.accepted
    outputs = [] if transition.reading is None else [values_of(step, transition.reading)]
    if regularizers:
        penalties = select(transition.accepted, update_penalties(regularizers, penalties, step), penalties)
    y = step.y1
    if transition.cut is not None:
        rows = transition.cut.rows
        y = y.index_put((rows,), step.rows(rows).at(transition.cut.theta))
    carry = method.resume(step, carry)
    if transition.leaving is not None:
        assert transition.staying is not None
        outputs += final_tensors(y[transition.leaving], take(transition.leaving, penalties))
        y, carry, penalties = take(transition.staying, (y, carry, penalties))
    return State(y, carry, penalties), outputs


def final_tensors(y: Tensor, penalties: tuple[Any, ...]) -> list[Tensor]:
    """The tensors that a row leaves behind."""
    return [y, *(leaf for leaf in pytree.tree_leaves(penalties) if isinstance(leaf, Tensor))]
