"""From one point to the next event or the end, for every trajectory of an ensemble.

The counterpart of `march`: it drives an `EnsembleStepper`, takes outputs off the trials, cuts steps
at events, and packs the rows when half of them have ended. It runs without a tape. What it returns
can be gone through again, on one, with the accepted step sizes: a row whose trial was rejected then
takes a step of length zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.regularizers.regularizer import Regularizer
from kutta.regularizers.sampling import EnsembleSampler
from kutta.solvers.adjoints.replay import Segment, State
from kutta.solvers.ensemble_events import Cut, EnsembleEventWatch
from kutta.solvers.ensemble_outputs import Outputs, Reading
from kutta.solvers.ensemble_stepper import EnsembleStepper, select, take
from kutta.solvers.field import EnsembleField
from kutta.solvers.march import update_penalties
from kutta.solvers.method import Method, Step
from kutta.solvers.recorder import EnsembleRecorder
from kutta.solvers.tolerance import Tolerance

# Rows are packed once at most this part of them is still running.
SPARSE = 0.5
# What is known of a trajectory when it ends.
KNOWN, COUNTED = ("t", "h", "codes"), ("steps", "rejected", "evaluations", "jacobians")


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
        samplers: draw from the accepted steps, for penalties on single steps.
        recorder: notes what the accepted steps were like.
    """

    stepper: EnsembleStepper
    start: Tensor
    save: Tensor | str | None
    watch: EnsembleEventWatch
    regularizers: tuple[Regularizer, ...] = ()
    penalties: tuple[Any, ...] = ()
    dense: bool = False
    progress: Callable[[float], None] | None = None
    samplers: Sequence[EnsembleSampler] = ()
    recorder: EnsembleRecorder | None = None


@dataclass
class EnsembleTransition:
    """A trial as it can be made again.

    Attributes:
        field: the right-hand side of the rows, and `tolerance` their tolerances.
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
    tolerance: Tolerance
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
            states and penalties, `t1` their last times, `codes`, `steps`, `rejected`, `evaluations`,
            `jacobians` what the stepper counted, `h` their step sizes.
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
    march = _March(leg, record_every)
    while march.running:
        march.trial()
    march.end(torch.arange(len(leg.stepper.lanes), device=leg.stepper.s.device))
    return march.course


class _March:
    """A leg in progress."""

    def __init__(self, leg: EnsembleLeg, record_every: int):
        self.leg, self.stepper, self.record_every = leg, leg.stepper, record_every
        self.course, self.penalties, self.fresh = EnsembleCourse(), leg.penalties, True
        self.outputs = Outputs(leg.save, leg.stepper, patiently=leg.stepper.method.steps_alike and not record_every)
        self.waiting: list[Step] = []
        leg.stepper.exhaust()
        self.running = int(leg.stepper.running.sum())

    def trial(self) -> None:
        """One trial of every row, and all that follows from it."""
        stepper, leg, course = self.stepper, self.leg, self.course
        if self.record_every and len(course.transitions) % self.record_every == 0:
            course.starts.append(State(stepper.y, None if self.fresh else stepper.carry, self.penalties))
        field, ran = stepper.field, stepper.running
        calls, jacobians = field.evaluations, field.jacobians
        step = stepper.trial()
        self.running, due, crossed = self._read(leg.watch)
        cut = None
        if crossed:
            cut = leg.watch.cut(step, stepper)
            course.cuts.append(cut)
            step.covered = _covered(step, cut)
            self.running, due, _ = self._read(None)
        if leg.recorder is not None:
            leg.recorder.note(step, stepper.lanes, stepper.along(stepper.size))
        for sampler in leg.samplers:
            sampler.offer(step, stepper.lanes, stepper.along(stepper.size))
        reading = self._take_outputs(step, due)
        if leg.regularizers:
            updated = update_penalties(leg.regularizers, self.penalties, step)
            self.penalties = select(step.accepted, updated, self.penalties)
        if leg.dense:
            step.prepare()
            course.dense.append((step, stepper.lanes))
        stepper.carry = stepper.method.resume(step, stepper.carry)
        stepper.tally.note_calls(ran, field.evaluations - calls, field.jacobians - jacobians)
        self._release(step)
        leaving, staying = self._pack() if self.running <= SPARSE * len(stepper.lanes) else (None, None)
        if self.record_every:
            dt = torch.where(step.accepted[:, None], step.dt, 0.0)
            course.transitions.append(
                EnsembleTransition(
                    field,
                    step.tolerance,
                    step.t0,
                    dt,
                    step.t1,
                    step.accepted,
                    reading,
                    cut,
                    leaving,
                    staying,
                    self.fresh,
                )
            )
        self.fresh = stepper.jumps is not None
        if leg.progress is not None and self.running:
            leg.progress(float(stepper.t.mean()))

    def _read(self, watch: EnsembleEventWatch | None) -> tuple[int, int, int]:
        """The one transfer to the host: rows left, outputs to take, and rows with an event."""
        stepper, ripe = self.stepper, self.outputs.ripe
        counts = [stepper.running, stepper.troubled]
        counts += [self.outputs.pending(stepper)] if ripe else []
        counts += [watch.crossings(stepper)] if watch is not None and watch.events else []
        running, troubled, *others = torch.stack(counts).sum(dim=1).tolist()
        if troubled or stepper.trials >= stepper.max_steps:
            stepper.fail()
            stepper.exhaust()
            running = int(stepper.running.sum())
        return running, others[0] if ripe else 0, others[-1] if len(others) > ripe else 0

    def _take_outputs(self, step: Step, due: int) -> Reading | None:
        """Take outputs off the trials that wait, once there are enough of them or rows will be packed."""
        ripe = self.outputs.ripe
        self.outputs.note(step, self.stepper)
        if not ripe:
            if not self.outputs.wanted or self.running > SPARSE * len(self.stepper.lanes):
                return None
            due = int(self.outputs.pending(self.stepper).sum())
        taken = self.outputs.take(self.stepper, due)
        if taken is None:
            return None
        reading, values = taken
        self.course.readings.append(reading)
        self.course.values.append(values)
        return reading

    def _release(self, step: Step) -> None:
        """Let the memory of steps be used again once their outputs are taken and nobody else may keep them."""
        if self.leg.dense or self.leg.regularizers:
            return
        self.waiting.append(step)
        if not self.outputs.trials:
            for done in self.waiting:
                done.release()
            self.waiting.clear()

    def _pack(self) -> tuple[Tensor, Tensor]:
        """Take out the rows that have ended; returns them and those that go on."""
        stepper = self.stepper
        leaving, staying = torch.nonzero(~stepper.running)[:, 0], torch.nonzero(stepper.running)[:, 0]
        self.end(leaving)
        self.penalties = take(staying, self.penalties)
        self.outputs.pack(staying)
        self.leg.watch.pack(staying)
        stepper.pack(staying)
        return leaving, staying

    def end(self, rows: Tensor) -> None:
        """Note what has become of rows that leave."""
        if not len(rows):
            return
        stepper, course = self.stepper, self.course
        course.lanes.append(stepper.lanes[rows])
        course.ended.append((stepper.y[rows], take(rows, self.penalties)))
        known = {name: getattr(stepper, name)[rows] for name in KNOWN}
        course.counts.append(known | {name: getattr(stepper.tally, name)[rows] for name in COUNTED})


def _covered(step: Step, cut: Cut) -> Tensor:
    """How far each row has gone in its step."""
    whole = torch.ones_like(step.dt)
    return whole.index_put((cut.rows,), cut.theta.to(whole.dtype))


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
    # A row that was rejected stands still. Where its state is not finite, zero stands in for it, since
    # a derivative taken there would turn the gradient of what all rows share to NaN.
    kept = transition.accepted[:, None]
    still, y = y, torch.where(kept | torch.isfinite(y), y, torch.zeros_like(y))
    if transition.fresh or carry is None:
        carry = method.init(field, transition.t, y)
    carry = pytree.tree_map(_finite, carry)
    step, after = method.step(field, transition.t, y, transition.dt, carry)
    carry = select(transition.accepted, after, carry)
    step.t1, step.accepted, step.tolerance = transition.t1, transition.accepted, transition.tolerance
    outputs = [] if transition.reading is None else [transition.reading.values(step)]
    step.covered = 1.0 if transition.cut is None else _covered(step, transition.cut)
    if regularizers:
        penalties = select(transition.accepted, update_penalties(regularizers, penalties, step), penalties)
    y = torch.where(kept, step.y1, still)
    if transition.cut is not None:
        rows = transition.cut.rows
        y = y.index_put((rows,), step.rows(rows).at_exactly(transition.cut.theta))
    carry = method.resume(step, carry)
    if transition.leaving is not None:
        assert transition.staying is not None
        outputs += final_tensors(y[transition.leaving], take(transition.leaving, penalties))
        y, carry, penalties = take(transition.staying, (y, carry, penalties))
    return State(y, carry, penalties), outputs


def _finite(leaf: Any) -> Any:
    return leaf.nan_to_num(0.0, 0.0, 0.0) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf


def final_tensors(y: Tensor, penalties: tuple[Any, ...]) -> list[Tensor]:
    """The tensors that a row leaves behind."""
    return [y, *(leaf for leaf in pytree.tree_leaves(penalties) if isinstance(leaf, Tensor))]
