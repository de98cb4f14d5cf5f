"""The eager engine for a problem with one step size: leg after leg, from event to event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import as_float, carries_gradient, under_transform
from kutta.problems import ODEProblem, SplitODEProblem
from kutta.solution import EventRecord, Result, Solution, SolveError, Stats
from kutta.solvers.adjoints.inputs import Inputs, differentiable_inputs, with_stand_ins
from kutta.solvers.engines.changes import checked_change
from kutta.solvers.engines.penalties import Penalties
from kutta.solvers.events import EventWatch, Hit
from kutta.solvers.field import VectorField, field_of
from kutta.solvers.interpolation import DenseOutput
from kutta.solvers.march import Course, Leg, march
from kutta.solvers.method import Step
from kutta.solvers.options import Options
from kutta.solvers.progress import progress_bar
from kutta.solvers.recorder import Recorder
from kutta.solvers.stepper import Stepper
from kutta.solvers.times import event_shift, flow, follow_initial_time, follow_output_time
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout


@dataclass
class Happening:
    """An event with the tensors that a gradient needs.

    Attributes:
        record: what the solution will show.
        shift: how its time moves, zero in value.
        y: the state in the solver's layout.
    """

    record: EventRecord
    shift: Tensor
    y: Tensor


def solve_ode(problem: ODEProblem | SplitODEProblem, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve a problem whose whole state shares one step size."""
    field = field_of(problem, layout)
    t0, t1 = problem.t_span
    y0 = follow_initial_time(field, t0, layout.ravel(problem.y0))
    span = (as_float(t0), as_float(t1))
    with progress_bar(options.progress, *span) as reached:
        return _Solve(field, options, span, y0, reached).run(t1, throw)


class _Solve:
    """One call of `solve` in progress."""

    def __init__(
        self,
        field: VectorField,
        options: Options,
        span: tuple[float, float],
        y0: Tensor,
        progress: Callable[[float], None],
    ):
        self.field, self.options, self.span, self.y0 = field, options, span, y0
        self.adjoint = options.adjoint
        self.inner, self.inputs = self._inside()
        self.differentiates = torch.is_grad_enabled() and bool(self.inputs.outer or carries_gradient(y0))
        save = options.save_at
        self.save = [] if save is None else save if isinstance(save, str) else save.detach().tolist()
        self.first = sum(t == span[0] for t in self.save) if not isinstance(self.save, str) else 1
        self.courses: list[Course] = []
        self.happenings: list[Happening] = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.adjoint.tapes):
            tolerance = Tolerance(options.rtol, options.atol, options.controller.norm, field.layout)
            self.stepper = Stepper(
                self.inner,
                options.method,
                options.controller,
                tolerance,
                span,
                self._on_tape(y0),
                options.dt0,
                options.max_steps,
            )
        self.watch = EventWatch(options.events, field, self.stepper.stops.direction)
        self.penalties = Penalties(options.penalties, y0, ensemble=False)
        self.regularizers, self.samplers = self.penalties.folded, self.penalties.samplers
        self.recorder = Recorder(options.method) if options.diagnostics else None
        self._refuse_what_cannot_be_differentiated()
        self.progress = progress

    def run(self, t1: Any, throw: bool) -> Solution:
        """Go from leg to leg until the end."""
        y, hit, ended = self.y0, None, False
        penalties = tuple(one.init(y.detach()) for one in self.regularizers)
        while not ended:
            course = self._leg(y, penalties, hit)
            penalties, y, hit = course.penalties, course.y1, course.hit
            if hit is None:
                break
            y, ended = self._happen_together(hit, y)
            if not ended:
                with torch.set_grad_enabled(torch.is_grad_enabled() and self.adjoint.tapes):
                    self.stepper.restart(hit.t, self._on_tape(y))
            if self.stepper.done:
                break
        if not ended and not self.stepper.result.failed:
            y = follow_output_time(self.field, t1, y)
        return self._solution(y, ended, penalties, throw)

    def _inside(self) -> tuple[VectorField, Inputs]:
        """The right-hand side that an adjoint runs again, and what it depends on."""
        if self.adjoint.tapes or not torch.is_grad_enabled():
            return self.field, Inputs()
        problem, stand_ins = with_stand_ins(self.field.problem)
        inner = field_of(problem, self.field.layout)
        with torch.enable_grad():
            slope = inner.derivative(self.span[0], self.y0.detach())
        return inner, differentiable_inputs((getattr(problem, "linear", None), problem.f), stand_ins, slope)

    def _refuse_what_cannot_be_differentiated(self) -> None:
        name, adjoint = type(self.adjoint).__name__, self.adjoint
        if under_transform() and not adjoint.tapes:
            raise NotImplementedError(f"torch.func transformations need adjoint=Direct(); got {name}()")
        if not self.differentiates:
            return
        if self.regularizers and not adjoint.sees_steps:
            raise ValueError(
                f"{name}() cannot differentiate penalties: error and stiffness estimates belong to the steps, not to "
                "the continuous solution. Use adjoint=Direct() or Recompute(), or a local estimate, "
                "LocalErrorEstimate() or LocalStiffnessEstimate(), which every adjoint can differentiate"
            )
        if self.options.dense and not adjoint.tapes:
            raise ValueError(
                f"dense=True is differentiable with adjoint=Direct() only; got {name}(). Ask for the times you need "
                "with save_at, or solve under torch.no_grad()"
            )

    def _on_tape(self, y: Tensor) -> Tensor:
        return y if self.adjoint.tapes else y.detach()

    def _leg(self, y: Tensor, penalties: tuple[Any, ...], after: Hit | None) -> Course:
        save = self.save if isinstance(self.save, str) else self.save[self._outputs() :]
        leg = Leg(
            self.stepper,
            y,
            save,
            self.watch,
            self.regularizers,
            penalties,
            self.options.dense,
            self.progress,
            after,
            tuple(self.samplers.values()),
            self.recorder,
            sum(sum(course.drawn) for course in self.courses),
        )
        course = self.adjoint.go(leg, self.inputs) if self.differentiates else march(leg)
        self.courses.append(course)
        return course

    def _outputs(self) -> int:
        return self.first + sum(len(course.times) - sum(course.drawn) for course in self.courses)

    def _happen_together(self, hit: Hit, y: Tensor) -> tuple[Tensor, bool]:
        """All events of a moment, one after the other; the state after them, and whether one ends the solve."""
        for event in hit.events:
            happening = self._happen(event, hit, y)
            self.happenings.append(happening)
            if self.options.events[event].ends:
                return happening.y, True
            y = self._change(event, happening)
        return y, False

    def _happen(self, event: int, hit: Hit, y: Tensor) -> Happening:
        """An event's time and state as functions of what the solve depends on."""
        t = torch.scalar_tensor(hit.t, dtype=torch.float64, device=y.device)
        shift = torch.zeros_like(t)
        if carries_gradient((y, self.field.problem.args)):
            shift = event_shift(self.field, self.watch.condition(event), t, y)
            y = flow(self.field, t, y, shift)
        record = EventRecord(event, t + shift, self.field.layout.unravel(y))
        return Happening(record, shift, y)

    def _change(self, event: int, happening: Happening) -> Tensor:
        """The state after the event, moved to the fixed time from which the solve goes on."""
        change = self.options.events[event].change
        y = happening.y
        if change is not None:
            problem, layout = self.field.problem, self.field.layout
            changed = change(happening.record.t, happening.record.y, *problem.args)
            y = checked_change(changed, layout, happening.y, event)
        if carries_gradient(happening.shift):
            y = flow(self.field, happening.record.t.detach(), y, -happening.shift)
        return y

    def _solution(self, y1: Tensor, ended: bool, penalties: tuple[Any, ...], throw: bool) -> Solution:
        stepper, layout, options = self.stepper, self.field.layout, self.options
        result = Result.EVENT if ended else stepper.result
        t1 = self.happenings[-1].record.t if ended else self._time(stepper.t)
        outputs, drawn = self._outputs_and_drawn()
        ts, rows = self._rows(t1, y1, outputs)
        draws = {name: sampler.draws(drawn) for name, sampler in self.samplers.items()}
        steps = [step for course in self.courses for step in course.steps]
        if not steps:  # no time has passed
            steps = [Step(stepper.t, stepper.t, 1.0, y1, y1, self.field, interpolant=lambda theta: y1)]
        counts = stepper.counts
        solution = Solution(
            ts=ts,
            ys=layout.unravel(rows, axes=1),
            y1=layout.unravel(y1),
            t1=t1,
            stats=Stats(
                counts.steps,
                counts.accepted,
                counts.rejected,
                self._calls("evaluations"),
                self._calls("jacobians"),
                counts.steps * options.method.linear_solves,
                history=self.recorder.history() if self.recorder else None,
            ),
            result=result,
            events=tuple(happening.record for happening in self.happenings),
            penalties=self.penalties.values(penalties, draws, self.field, options.method, stepper.tolerance),
            draws=draws,
            interpolant=DenseOutput(steps, layout) if options.dense else None,
        )
        if result.failed and throw:
            raise SolveError(result, stepper.t, stepper.h, solution=solution)
        return solution

    def _calls(self, kind: str) -> int:
        return sum(getattr(field, kind) for field in {self.field, self.inner})

    def _outputs_and_drawn(self) -> tuple[Tensor, Tensor]:
        """The states that the user wants, and those that samplers asked for."""
        nothing = self.y0.new_empty((0, *self.y0.shape))
        rows = torch.cat([nothing, *(value for course in self.courses for value in course.values)])
        drawn = [flag for course in self.courses for flag in course.drawn]
        if not any(drawn):
            return rows, nothing
        wanted, other = ([number for number, flag in enumerate(drawn) if flag is kind] for kind in (False, True))
        return rows[wanted], rows[other]

    def _rows(self, t1: Tensor, y1: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Output times and states, ``(T,)`` and ``(T, *shape)``."""
        save = self.options.save_at
        if save is None:
            return t1.reshape(1), y1[None]
        rows = torch.cat([*[self.y0[None]] * self.first, outputs])
        if isinstance(save, str):
            pairs = (pair for course in self.courses for pair in zip(course.times, course.drawn, strict=True))
            times = [self.span[0], *(t for t, drawn in pairs if not drawn)]
            return self._time(times), rows
        ts = save[: rows.shape[0]]
        if carries_gradient(ts):
            rows = torch.stack([follow_output_time(self.field, t, row) for t, row in zip(ts, rows, strict=True)])
        return ts, rows

    def _time(self, value: Any) -> Tensor:
        return torch.tensor(value, dtype=torch.float64, device=self.field.device)
