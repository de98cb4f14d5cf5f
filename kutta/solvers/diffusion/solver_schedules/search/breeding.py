"""New solver schedules from old ones: mutation, crossover, and what makes the result valid again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from kutta.solvers.diffusion.levels.schedules import as_float64
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis
from kutta.solvers.diffusion.solver_schedules.solver_schedule import CORRECTORS, SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_schedules.taylor import OF_FIRST, SCALINGS, SEARCHED, Estimate

# Standard deviation of a changed time, as a part of the axis, and of a changed coefficient.
JITTER = 0.03
# How likely each order is when one is drawn anew.
ORDERS = (0.2, 0.4, 0.3, 0.1)
# The closest that two nodes may come, as a part of the axis.
GAP = 1e-3


@dataclass(frozen=True)
class Breeder:
    """Makes children with one number of evaluations.

    Attributes:
        axis: of their times.
        evaluations: how many they have.
    """

    axis: Axis
    evaluations: int

    def child(self, parents: Sequence[SolverSchedule], numbers: np.random.Generator) -> SolverSchedule:
        """A child of one parent or two, mutated."""
        first, second = (parents[index] for index in numbers.integers(len(parents), size=2))
        child = _Child.of(first, self.axis)
        if numbers.random() < 0.5:
            child = child.crossed(_Child.of(second, self.axis), numbers)
        changed = False
        while not changed:
            for mutate, rate in MUTATIONS.items():
                if numbers.random() < rate:
                    mutate(child, numbers)
                    changed = True
        return self.repaired(child, numbers)

    def repaired(self, child: _Child, numbers: np.random.Generator) -> SolverSchedule:
        """The nearest schedule that can be followed, with the right number of evaluations."""
        child.steps[-1] = _uncorrected(child.steps[-1])
        while child.evaluations > self.evaluations:
            delete(child, numbers)
        while child.evaluations < self.evaluations:
            insert(child, numbers)
        places = np.sort(np.clip(child.places, 0.0, 1.0))
        places = (places + GAP * np.arange(1, len(places) + 1)) / (1.0 + GAP * (len(places) + 1))
        inner = self.axis.time(as_float64(torch.from_numpy(places))).tolist()
        times = [*inner, self.axis.end]
        first_has_slope = bool(torch.isfinite(self.axis.schedule.log_snr(as_float64(self.axis.start))))
        steps = [
            replace(_fitted(step, index, index if first_has_slope else index - 1), t=t)
            for index, (step, t) in enumerate(zip(child.steps, times, strict=True))
        ]
        return SolverSchedule(self.axis.start, tuple(steps), child.analytic_start).on(self.axis.schedule)


@dataclass
class _Child:
    """A schedule that is being changed.

    Attributes:
        places: those of its inner nodes on the axis, one less than steps.
        steps: their times do not count.
        analytic_start: as in the schedule.
    """

    places: np.ndarray
    steps: list[SolverStep]
    analytic_start: bool

    @classmethod
    def of(cls, found: SolverSchedule, axis: Axis) -> _Child:
        return cls(axis.place(found.times[1:-1]).numpy().copy(), list(found.steps), found.analytic_start)

    @property
    def evaluations(self) -> int:
        implicit = sum(step.corrector == "implicit" for step in self.steps)
        return len(self.steps) - self.analytic_start + implicit

    def crossed(self, other: _Child, numbers: np.random.Generator) -> _Child:
        """Its own times; either some of the steps of the other, or one field of all of them."""
        count = min(len(self.steps), len(other.steps))
        steps = list(self.steps)
        if numbers.random() < 0.5:
            for index in np.flatnonzero(numbers.random(count) < 0.5):
                steps[index] = other.steps[index]
        else:
            names = _FIELDS[numbers.integers(len(_FIELDS))]
            for index in range(count):
                steps[index] = replace(steps[index], **{name: getattr(other.steps[index], name) for name in names})
        return _Child(self.places.copy(), steps, self.analytic_start)


# What is inherited together.
_FIELDS = (("back",), ("prediction", "linear", "growth"), ("estimates",), ("corrector", "corrections"))


def insert(child: _Child, numbers: np.random.Generator) -> None:
    """Divide a step into two like it, the first without a corrector."""
    index = numbers.integers(len(child.steps))
    ends = np.concatenate([[0.0], child.places, [1.0]])
    child.places = np.insert(child.places, index, 0.5 * (ends[index] + ends[index + 1]))
    child.steps.insert(index, _uncorrected(child.steps[index]))


def delete(child: _Child, numbers: np.random.Generator) -> None:
    """Leave out an inner node, and the step that leads to it."""
    if len(child.steps) > 1:
        index = numbers.integers(len(child.steps) - 1)
        child.places = np.delete(child.places, index)
        del child.steps[index]


def shift(child: _Child, numbers: np.random.Generator) -> None:
    """Move the times a little."""
    child.places = child.places + JITTER * numbers.standard_normal(len(child.places))


def _at_random_step(change: Callable[[SolverStep, np.random.Generator], SolverStep]):
    def mutate(child: _Child, numbers: np.random.Generator) -> None:
        index = numbers.integers(len(child.steps))
        child.steps[index] = change(child.steps[index], numbers)

    return mutate


def reorder(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """Another order; what derivatives remain stay as they are."""
    wanted = int(numbers.choice(len(ORDERS), p=ORDERS))
    return replace(step, estimates=_extended(step.estimates, wanted))


def regather(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """Another number of nodes for one of the derivatives."""
    return _with_changed(step, numbers, lambda one: replace(one, nodes=int(one.nodes + numbers.choice([-1, 1]))))


def rescale(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """Another scaling of one of the derivatives, or a slightly different coefficient."""

    def changed(one: Estimate) -> Estimate:
        if one.scaling in SEARCHED and numbers.random() < 0.7:
            return replace(one, coefficient=float(one.coefficient + JITTER * numbers.standard_normal()))
        scaling = str(numbers.choice(list(SCALINGS)))
        return replace(one, scaling=scaling, coefficient=1.0 if scaling == "constant" else 0.0)

    return _with_changed(step, numbers, changed)


def repredict(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """The prediction of data or of noise, or other numbers for what is mixed of them."""
    if step.prediction == "mixed" and numbers.random() < 0.5:
        linear, growth = JITTER * numbers.standard_normal(2)
        return replace(step, linear=float(step.linear + linear), growth=float(step.growth + growth))
    prediction = str(numbers.choice([one for one in ("data", "noise") if one != step.prediction]))
    return replace(step, prediction=prediction, linear=0.0, growth=0.0)


def recorrect(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """Another corrector, of one order more than the step."""
    corrector = str(numbers.choice(CORRECTORS, p=(0.4, 0.5, 0.1)))
    corrections = () if corrector == "none" else _extended(step.corrections or step.estimates, len(step.estimates) + 1)
    return replace(step, corrector=corrector, corrections=corrections)


def restart(step: SolverStep, numbers: np.random.Generator) -> SolverStep:
    """Another start."""
    return replace(step, back=int(numbers.choice(3, p=(0.6, 0.3, 0.1))))


def analytic(child: _Child, numbers: np.random.Generator) -> None:
    """With or without the first evaluation."""
    child.analytic_start = not child.analytic_start


# How likely a child has each change: those of the published search where it has them.
MUTATIONS: dict[Callable[[_Child, np.random.Generator], None], float] = {
    insert: 0.2,
    delete: 0.2,
    shift: 0.3,
    _at_random_step(reorder): 0.3,
    _at_random_step(regather): 0.3,
    _at_random_step(rescale): 0.3,
    _at_random_step(repredict): 0.3,
    _at_random_step(recorrect): 0.3,
    _at_random_step(restart): 0.1,
    analytic: 0.05,
}


def _uncorrected(step: SolverStep) -> SolverStep:
    return replace(step, corrector="none", corrections=())


def _extended(estimates: Sequence[Estimate], count: int) -> tuple[Estimate, ...]:
    """As many derivatives, new ones read off as few nodes as they need."""
    return (*estimates[:count], *(Estimate(k) for k in range(len(estimates) + 1, count + 1)))


def _with_changed(step: SolverStep, numbers: np.random.Generator, change: Callable[[Estimate], Estimate]) -> SolverStep:
    """The step with one of its estimates changed, if it has any."""
    names = [name for name in ("estimates", "corrections") if getattr(step, name)]
    if not names:
        return step
    name = names[numbers.integers(len(names))]
    group = list(getattr(step, name))
    index = numbers.integers(len(group))
    group[index] = change(group[index])
    return replace(step, **{name: tuple(group)})


def _fitted(step: SolverStep, index: int, available: int) -> SolverStep:
    """The step with what its history allows."""
    return replace(
        step,
        back=min(step.back, index),
        estimates=_allowed(step.estimates, max(available, 0)),
        corrections=_allowed(step.corrections, max(available, 0) + 1),
    )


def _allowed(estimates: Sequence[Estimate], available: int) -> tuple[Estimate, ...]:
    """Estimates for as many nodes as there are."""
    return tuple(
        replace(
            one,
            nodes=min(max(one.nodes, k), available),
            scaling="none" if k > 1 and one.scaling in OF_FIRST else one.scaling,
        )
        for k, one in enumerate(estimates[:available], 1)
    )
