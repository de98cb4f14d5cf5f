"""How good a solver schedule is: how far from the true end states it leads, differentiably."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.checking import checked, refuse_pure_noise
from kutta.solvers.diffusion.guidance.cfg import refuse_stepwise
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import Nodes, Rho, UniformTime
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.states import states
from kutta.solvers.diffusion.solver_schedules.named import named_schedule
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule


@dataclass(frozen=True)
class Axis:
    """The axis on which the times of a search are laid out: from 0 at the noise to 1 at the data.

    It is even in ``log(alpha / sigma)`` where this is finite at both ends, and in the time otherwise.

    Attributes:
        schedule: the noise schedule.
        start, end: times of the two ends.
    """

    schedule: Schedule
    start: float
    end: float

    @property
    def even_in_log_snr(self) -> bool:
        """Whether both ends are at finite places of ``log(alpha / sigma)``."""
        return bool(torch.isfinite(self._ends()).all())

    def _ends(self) -> Tensor:
        return self.schedule.log_snr(as_float64([self.start, self.end]))

    def place(self, t: Tensor) -> Tensor:
        """Where times lie on the axis."""
        if not self.even_in_log_snr:
            return (self.start - t) / (self.start - self.end)
        first, last = self._ends()
        return (self.schedule.log_snr(t) - first) / (last - first)

    def time(self, place: Tensor) -> Tensor:
        """The times of places strictly between the ends."""
        if not self.even_in_log_snr:
            return self.start + place * (self.end - self.start)
        first, last = self._ends()
        return self.schedule.time(first + place * (last - first))


@dataclass(frozen=True)
class Teacher:
    """Problems, and the end states to which their flows lead.

    Attributes:
        problems: checked, with one noise schedule and span.
        references: the end states.
    """

    problems: tuple[DiffusionProblem, ...]
    references: tuple[Tensor, ...]

    @classmethod
    def of(cls, problems: Sequence[DiffusionProblem], references: Sequence[Any] | None, steps: int) -> Teacher:
        """A teacher whose end states are given, or are those of many steps.

        Args:
            problems: as the user wrote them.
            references: the end states, or ``None``.
            steps: how many, of the exponential multistep method of order 3.
        """
        ready = tuple(checked(problem) for problem in problems)
        if not ready:
            raise ValueError("problems must hold one DiffusionProblem at least; got none")
        for index, problem in enumerate(ready):
            refuse_stepwise(problem.guidance, "the search")
            assert problem.t_span is not None
            refuse_pure_noise(problem, problem.t_span[0])
            if problem.schedule != ready[0].schedule or problem.t_span != ready[0].t_span:
                raise ValueError(
                    "problems must share their noise schedule and t_span, which the times of a solver schedule belong "
                    f"to; problem {index} has {problem.schedule!r} and {problem.t_span}, the first one "
                    f"{ready[0].schedule!r} and {ready[0].t_span}"
                )
        if references is None:
            return cls(ready, tuple(_many_steps(problem, steps) for problem in ready))
        return cls(ready, _checked_references(references, ready))

    @property
    def axis(self) -> Axis:
        """The axis of the problems' times."""
        assert self.problems[0].t_span is not None
        return Axis(self.problems[0].schedule, *self.problems[0].t_span)

    def error(self, found: SolverSchedule, nodes: Nodes | None = None) -> Tensor:
        """The mean absolute deviation of the end states, averaged over the problems.

        Args:
            found: what is judged. Its coefficients may be tensors with gradients.
            nodes: in place of its own times, when they have gradients.
        """
        nodes = Nodes.at(self.problems[0].schedule, found.times) if nodes is None else nodes
        plan = found.plan(nodes)
        plan = plan if torch.is_grad_enabled() else plan.fixed()
        errors = [
            (_end(problem, plan) - reference).abs().mean()
            for problem, reference in zip(self.problems, self.references, strict=True)
        ]
        return torch.stack([error.double().cpu() for error in errors]).mean()

    def __call__(self, found: SolverSchedule) -> float:
        """The error as a number."""
        with torch.no_grad():
            return float(self.error(found))


def _end(problem: DiffusionProblem, plan: Any) -> Tensor:
    denoiser = Denoiser(problem)
    *_, end = states(plan, denoiser, denoiser.start, Noise())
    return end


def _many_steps(problem: DiffusionProblem, steps: int) -> Tensor:
    assert problem.t_span is not None
    axis = Axis(problem.schedule, *problem.t_span)
    grid = Rho() if axis.even_in_log_snr else UniformTime()
    times = grid.times(problem.schedule, steps, *problem.t_span)
    found = named_schedule("exponential", times, problem.schedule, order=3)
    with torch.no_grad():
        return _end(problem, found.plan(Nodes.at(problem.schedule, found.times)).fixed())


def _checked_references(references: Sequence[Any], problems: Sequence[DiffusionProblem]) -> tuple[Tensor, ...]:
    if isinstance(references, Tensor) or len(references) != len(problems):
        raise ValueError(f"references must be a sequence of {len(problems)} tensors, one for each problem")
    for index, (reference, problem) in enumerate(zip(references, problems, strict=True)):
        if tuple(reference.shape) != tuple(problem.x.shape):
            raise ValueError(
                f"references[{index}] must have the shape of the state, {tuple(problem.x.shape)}; "
                f"got {tuple(reference.shape)}"
            )
    return tuple(references)


def alone(problem: DiffusionProblem | Sequence[DiffusionProblem]) -> tuple[DiffusionProblem, ...]:
    """One problem or several, as a tuple."""
    return (problem,) if isinstance(problem, DiffusionProblem) else tuple(problem)
