"""What gradients can do for a solver schedule: its times and the scaling of its derivatives.

The weights of a plan are differentiable in the times of its nodes and in the coefficients of its scalings, and its
end states in the weights. So the error of a schedule has a gradient, which Adam follows. All that is discrete stays:
orders, nodes, starts, predictions and correctors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from kutta.solvers.diffusion.grids import Nodes
from kutta.solvers.diffusion.schedules import as_float64
from kutta.solvers.diffusion.solver_schedule import SolverSchedule, SolverStep
from kutta.solvers.diffusion.solver_search.teacher import Axis, Teacher
from kutta.solvers.diffusion.taylor import SCALINGS, SEARCHED, Estimate

RATE = 0.03  # of Adam, for logarithms of steps and for coefficients, which are all of size 1


def polished(found: SolverSchedule, teacher: Teacher, steps: int) -> SolverSchedule:
    """The schedule after some steps of Adam on its error; the best of those on the way.

    Args:
        found: where to begin.
        teacher: tells the error.
        steps: how many, at a rate that falls to zero as half a cosine.
    """
    form = _Form(freed(found, teacher.axis), teacher.axis)
    optimiser = torch.optim.Adam(form.parameters, lr=RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    lowest, best = teacher(found), found
    for _ in range(steps):
        optimiser.zero_grad()
        with torch.enable_grad():
            error = teacher.error(form.schedule(), form.nodes())
            error.backward()
        if not _finite(form.parameters, error):
            break
        if float(error.detach()) < lowest:
            lowest, best = float(error.detach()), form.written()
        optimiser.step()
        rates.step()
    return best


def _finite(parameters: list[Tensor], error: Tensor) -> bool:
    slopes = [one.grad for one in parameters if one.grad is not None]
    return math.isfinite(float(error.detach())) and all(bool(torch.isfinite(slope).all()) for slope in slopes)


def freed(found: SolverSchedule, axis: Axis) -> SolverSchedule:
    """The same schedule with a coefficient in every scaling: ``R(h) = 1 + c h`` with ``c`` such that `R` is as before.

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
        steps.append(replace(step, estimates=estimates, corrections=corrections))
    return replace(found, steps=tuple(steps))


class _Form:
    """A schedule as numbers without bounds: logarithms of the shares of the steps in the axis, and coefficients."""

    def __init__(self, found: SolverSchedule, axis: Axis):
        self.found, self.axis = found, axis
        places = axis.place(found.times[1:-1])
        self.shares = torch.diff(torch.cat([as_float64([0.0]), places, as_float64([1.0])])).log().requires_grad_()
        self.coefficients = [
            as_float64(float(one.coefficient)).requires_grad_() for one in _estimates(found) if one.scaling in SEARCHED
        ]

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
        return _with_coefficients(self.found, iter(self.coefficients))

    def written(self) -> SolverSchedule:
        """The schedule as numbers."""
        found = _with_coefficients(self.found, iter([float(one.detach()) for one in self.coefficients]))
        times = self.times().tolist()
        steps = [replace(step, t=t) for step, t in zip(found.steps, times[1:], strict=True)]
        return replace(found, steps=tuple(steps))


def _estimates(found: SolverSchedule) -> list[Estimate]:
    return [one for step in found.steps for one in (*step.estimates, *step.corrections)]


def _with_coefficients(found: SolverSchedule, values: Iterator[float | Tensor]) -> SolverSchedule:
    def filled(one: Estimate) -> Estimate:
        return replace(one, coefficient=next(values)) if one.scaling in SEARCHED else one

    return _with_estimates(found, filled)


def _with_estimates(found: SolverSchedule, change: Callable[[Estimate], Estimate]) -> SolverSchedule:
    """The schedule with every estimate changed, in order."""
    steps = [
        replace(
            step,
            estimates=tuple(change(one) for one in step.estimates),
            corrections=tuple(change(one) for one in step.corrections),
        )
        for step in found.steps
    ]
    return replace(found, steps=tuple(steps))
