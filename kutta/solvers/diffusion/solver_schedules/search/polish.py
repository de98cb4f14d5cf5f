"""What gradients can do for a solver schedule: its times, its scalings, and what it expands.

The weights of a plan are differentiable in the times of its nodes, in the coefficients of its scalings and in the two
numbers of what is expanded, and its end states in the weights. So the error of a schedule has a gradient, which Adam
follows. All that is discrete stays: orders, nodes, starts and correctors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import as_float64
from kutta.solvers.diffusion.solver_schedules.search.teacher import Axis, Teacher
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_schedules.taylor import SCALINGS, SEARCHED, Estimate

RATE = 0.03  # of Adam, for logarithms of steps and for coefficients, which are all of size 1


def polished(found: SolverSchedule, teacher: Teacher, steps: int) -> SolverSchedule:
    """The schedule after some steps of Adam on its error; the best of those on the way.

    Args:
        found: where to begin.
        teacher: tells the error.
        steps: how many, at a rate that falls to zero as half a cosine.
    """
    numbers = _Numbers(freed(found, teacher.axis), teacher.axis)
    optimiser = torch.optim.Adam(numbers.parameters, lr=RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    lowest, best = teacher(found), found
    for _ in range(steps):
        error, slopes = numbers.slopes(teacher)
        if not all(bool(torch.isfinite(one).all()) for one in (error, *slopes)):
            break
        if float(error) < lowest:
            lowest, best = float(error), numbers.written()
        for one, slope in zip(numbers.parameters, slopes, strict=True):
            one.grad = slope
        optimiser.step()
        rates.step()
    return best


def freed(found: SolverSchedule, axis: Axis) -> SolverSchedule:
    """The same schedule with numbers that can move.

    Every scaling becomes ``R(h) = 1 + c h`` with ``c`` such that `R` is as before, and every prediction ``"mixed"``.

    Steps to or from an infinite place of ``log(alpha / sigma)`` are of first order, and stay as they are.
    """
    log_snr = axis.schedule.log_snr(found.times)

    def free(step: SolverStep, size: Tensor, one: Estimate) -> Estimate:
        if one.scaling in SEARCHED or not bool(torch.isfinite(size)):
            return one
        z = -size if step.prediction == "data" else size
        factor = float(as_float64(SCALINGS[one.scaling](z, size, one.coefficient)))
        return replace(one, scaling="linear", coefficient=(factor - 1.0) / float(size))

    steps = []
    for index, step in enumerate(found.steps):
        size = log_snr[index + 1] - log_snr[index - step.back]
        estimates, corrections = (
            tuple(free(step, size, one) for one in group) for group in (step.estimates, step.corrections)
        )
        freed = {"prediction": "mixed", "linear": step.integrand.linear, "growth": step.integrand.growth}
        steps.append(replace(step, estimates=estimates, corrections=corrections, **freed))
    return replace(found, steps=tuple(steps))


class _Numbers:
    """A schedule as numbers without bounds: logarithms of the shares of the steps in the axis, and all coefficients."""

    def __init__(self, found: SolverSchedule, axis: Axis):
        self.found, self.axis = found, axis
        places = axis.place(found.times[1:-1])
        self.shares = torch.diff(torch.cat([as_float64([0.0]), places, as_float64([1.0])])).log().requires_grad_()
        self.coefficients = [as_float64(float(one)).requires_grad_() for one in _read(found)]

    @property
    def parameters(self) -> list[Tensor]:
        return [self.shares, *self.coefficients]

    def times(self) -> Tensor:
        inner = self.axis.time(torch.cumsum(torch.softmax(self.shares, 0), 0)[:-1])
        return torch.cat([self.found.times[:1], inner, self.found.times[-1:]])

    def nodes(self) -> Nodes:
        return Nodes.at(self.axis.schedule, self.times())

    def schedule(self) -> SolverSchedule:
        """The schedule with coefficients that are differentiated."""
        return _written(self.found, iter(self.coefficients))

    def slopes(self, teacher: Teacher) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The error and its gradients in the numbers alone: none are left in the parameters of the user's model."""
        with torch.enable_grad():
            error = teacher.error(self.schedule(), self.nodes())
            slopes = torch.autograd.grad(error, self.parameters, allow_unused=True, materialize_grads=True)
        return error.detach(), slopes

    def written(self) -> SolverSchedule:
        """The schedule as numbers."""
        found = _written(self.found, iter([float(one.detach()) for one in self.coefficients]))
        times = self.times().tolist()
        steps = [replace(step, t=t) for step, t in zip(found.steps, times[1:], strict=True)]
        return replace(found, steps=tuple(steps))


def _read(found: SolverSchedule) -> Iterator[float | Tensor]:
    """The numbers of a schedule that move, besides its times."""
    for step in found.steps:
        yield from (step.linear, step.growth)
        for one in (*step.estimates, *step.corrections):
            if one.scaling in SEARCHED:
                yield one.coefficient


def _written(found: SolverSchedule, values: Iterator[float | Tensor]) -> SolverSchedule:
    """The schedule with other numbers, in the same order."""

    def filled(group: tuple[Estimate, ...]) -> tuple[Estimate, ...]:
        return tuple(replace(one, coefficient=next(values)) if one.scaling in SEARCHED else one for one in group)

    steps = [
        replace(
            step,
            linear=next(values),
            growth=next(values),
            estimates=filled(step.estimates),
            corrections=filled(step.corrections),
        )
        for step in found.steps
    ]
    return replace(found, steps=tuple(steps))
