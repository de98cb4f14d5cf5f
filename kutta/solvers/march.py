"""From one point to the next event or the end, for a problem with one step size.

`march` drives a `Stepper` and lets the watchers read each accepted step. What it returns is a plain
record; how gradients pass through it is the business of an adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.regularizers.regularizer import Regularizer
from kutta.regularizers.sampling import Pick, Sampler
from kutta.solvers.adjoints.replay import State
from kutta.solvers.events import EventWatch, Hit
from kutta.solvers.method import Step
from kutta.solvers.recorder import Recorder
from kutta.solvers.stepper import Stepper


@dataclass
class Leg:
    """What to do between two points in time.

    Attributes:
        stepper: stands at the start.
        start: the state there, as gradients know it.
        save: output times after the start, in the direction of the solve; ``"steps"`` for every
            accepted step.
        watch: the events.
        regularizers: the penalties, and `penalties` their states.
        dense: whether to keep the steps.
        progress: called with the time after each step.
        after: the event that ended the leg before.
        samplers: draw from the accepted steps, for penalties on single steps.
        recorder: notes what the accepted steps were like.
        drawn: how many states they have asked for before this leg.
    """

    stepper: Stepper
    start: Tensor
    save: Sequence[float] | str
    watch: EventWatch
    regularizers: tuple[Regularizer, ...] = ()
    penalties: tuple[Any, ...] = ()
    dense: bool = False
    progress: Callable[[float], None] = lambda t: None
    after: Hit | None = None
    samplers: Sequence[Sampler] = ()
    recorder: Recorder | None = None
    drawn: int = 0


@dataclass
class Transition:
    """An accepted step as it can be taken again.

    Attributes:
        t: its start.
        dt: its size.
        t1: its nominal end.
        thetas: positions of the outputs in it.
        cut: position at which an event ended it.
        fresh: whether the method starts afresh here.
    """

    t: float
    dt: float
    t1: float
    thetas: list[float]
    cut: float | None = None
    fresh: bool = False


@dataclass
class Course:
    """What happened on a leg.

    Attributes:
        times: the output times.
        values: the states then, one tensor a step that had outputs, each ``(n, *shape)``.
        drawn: which of the outputs are there for a sampler only.
        t1: where the leg ended.
        y1: the state there.
        hit: the event that ended it.
        penalties: states of the regularisers.
        steps: the accepted steps, if kept.
        transitions: the accepted steps as they can be taken again, if recorded.
        starts: the states before every so many of them, as the recorder asked for.
    """

    times: list[float] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    t1: float = 0.0
    y1: Tensor = field(default_factory=lambda: torch.empty(0))
    hit: Hit | None = None
    penalties: tuple[Any, ...] = ()
    steps: list[Step] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    starts: list[State] = field(default_factory=list)


def march(leg: Leg, record_every: int = 0) -> Course:
    """Go along a leg; with `record_every`, note each transition and the state before every so many."""
    stepper, course = leg.stepper, Course(penalties=leg.penalties)
    if leg.watch.events:
        leg.watch.start(stepper.t, stepper.y, leg.after)
        stepper.probe = leg.watch.probe
    pending = _Pending(leg.save, stepper.stops.direction, leg.drawn)
    fresh = True
    while not stepper.done:
        start = State(stepper.y, None if fresh else stepper.carry, course.penalties)
        step = stepper.advance()
        if step is None:
            break
        course.hit = leg.watch.first(step, stepper.probed) if leg.watch.events else None
        cut = None if course.hit is None else course.hit.theta
        step.covered = 1.0 if cut is None else cut
        if leg.recorder is not None:
            leg.recorder.note(step)
        picks = [pick for sampler in leg.samplers for pick in sampler.offer(step)]
        thetas = pending.read(step, course, course.hit, picks)
        course.penalties = update_penalties(leg.regularizers, course.penalties, step)
        if record_every:
            if len(course.transitions) % record_every == 0:
                course.starts.append(start)
            course.transitions.append(Transition(step.t0, step.dt, step.t1, thetas, cut, fresh))
        if leg.dense:
            step.prepare()
            course.steps.append(step)
            step.t1 = step.t1 if course.hit is None else course.hit.t
        fresh = course.hit is None and step.t1 in stepper.stops.jumps
        leg.progress(step.t1)
        if course.hit is not None:
            stepper.t, stepper.y = course.hit.t, state_at(step, course.hit.theta)
            break
        if not fresh:
            stepper.carry = stepper.method.resume(step, stepper.carry)
        if not (leg.dense or leg.regularizers):
            step.release()
    course.t1, course.y1 = stepper.t, stepper.y
    return course


def state_at(step: Step, theta: float) -> Tensor:
    """The state at a position of a step, exact at its ends."""
    return step.y1 if theta == 1.0 else step.y0 if theta == 0.0 else step.at(theta)


def states_at(step: Step, thetas: list[float]) -> Tensor:
    """The states at several positions, stacked, exact at the step's end."""
    if 0.0 in thetas:
        return torch.stack([state_at(step, theta) for theta in thetas])
    inside = [theta for theta in thetas if theta < 1.0]
    if len(inside) == len(thetas):
        return step.many(thetas)
    end = step.y1[None].expand(len(thetas) - len(inside), *step.y1.shape)
    return torch.cat([step.many(inside), end]) if inside else end.clone()


def update_penalties(regularizers: Sequence[Regularizer], states: tuple[Any, ...], step: Step) -> tuple[Any, ...]:
    """The states of all regularisers after one more accepted step."""
    return tuple(one.update(state, step) for one, state in zip(regularizers, states, strict=True))


class _Pending:
    """The outputs still to come."""

    def __init__(self, save: Sequence[float] | str, direction: float, drawn: int):
        self.every_step = isinstance(save, str)
        self.times: Sequence[float] = () if isinstance(save, str) else save
        self.direction, self.next, self.drawn = direction, 0, drawn

    def read(self, step: Step, course: Course, hit: Hit | None, picks: Sequence[Pick]) -> list[float]:
        """Take the outputs that lie in a step, up to where it is cut; returns their positions."""
        end, length = step.t1 if hit is None else hit.t, step.t1 - step.t0
        last = 1.0 if hit is None else hit.theta
        if self.every_step:
            wanted: list[tuple[float, float, Pick | None]] = [(last, end, None)]
        else:
            times = self._passed(end)
            wanted = [(1.0 if t == step.t1 else max((t - step.t0) / length, 0.0), t, None) for t in times]
        for pick in picks:
            wanted.append((pick.theta, step.t0 + pick.theta * length, pick))
        if not wanted:
            return []
        wanted.sort(key=lambda output: output[0])
        for _, t, pick in wanted:
            course.times.append(t)
            course.drawn.append(pick is not None)
            if pick is not None:
                pick.t, pick.output, self.drawn = t, self.drawn, self.drawn + 1
        thetas = [theta for theta, _, _ in wanted]
        course.values.append(states_at(step, thetas))
        return thetas

    def _passed(self, end: float) -> Sequence[float]:
        """The output times up to a time, once each."""
        first = self.next
        while self.next < len(self.times) and self.direction * self.times[self.next] <= self.direction * end:
            self.next += 1
        return self.times[first : self.next]
