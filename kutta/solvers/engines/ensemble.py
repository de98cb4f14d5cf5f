"""The eager engine for ensembles: leg after leg, each trajectory from event to event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.autodiff import carries_gradient, is_mapped, under_transform
from kutta.problems import EnsembleProblem
from kutta.solution import EventRecord, Result, Results, Solution, SolveError, Stats
from kutta.solvers.adjoints.inputs import Inputs, cut_loose, differentiable_inputs, with_stand_ins
from kutta.solvers.adjoints.replay import Chain, State
from kutta.solvers.engines.changes import checked_change
from kutta.solvers.engines.penalties import Penalties
from kutta.solvers.ensemble_events import Cut, EnsembleEventWatch, condition_of
from kutta.solvers.ensemble_march import (
    COUNTED,
    KNOWN,
    EnsembleCourse,
    EnsembleLeg,
    final_tensors,
    march_ensemble,
    segments_of,
)
from kutta.solvers.ensemble_outputs import Reading
from kutta.solvers.ensemble_stepper import EnsembleStepper, take
from kutta.solvers.ensemble_tally import Tally
from kutta.solvers.field import EnsembleField
from kutta.solvers.interpolation import EnsembleDenseOutput
from kutta.solvers.options import Options
from kutta.solvers.progress import progress_bar
from kutta.solvers.recorder import EnsembleRecorder
from kutta.solvers.times import event_shift, flow, follow_initial_time, follow_output_time
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout


def solve_ensemble(problem: EnsembleProblem, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve independent trajectories, each with a step size of its own."""
    if is_mapped(problem.y0):
        raise NotImplementedError("vmap over an EnsembleProblem: put the batch into the ensemble's own axis instead")
    field = EnsembleField(problem, layout)
    t0, t1 = (t.expand(layout.batch or 0) for t in problem.t_span)
    y0 = follow_initial_time(field, t0[:, None], layout.ravel(problem.y0))
    with progress_bar(options.progress, float(t0.detach().mean()), float(t1.detach().mean())) as reached:
        solve = EnsembleSolve(field, options, t0, t1, y0, reached if options.progress else None)
        return solve.run(throw)


@dataclass
class _Totals:
    """What is known of all trajectories, shape ``(B, ...)``."""

    y: Tensor
    t: Tensor
    h: Tensor
    codes: Tensor
    steps: Tensor
    rejected: Tensor
    evaluations: Tensor
    jacobians: Tensor
    penalties: tuple[Any, ...]


class EnsembleSolve:
    """One call of `solve` in progress.

    Attributes:
        engine: the name of what runs the legs.
    """

    engine: ClassVar[str] = "eager"

    def __init__(self, field: EnsembleField, options: Options, t0: Tensor, t1: Tensor, y0: Tensor, progress: Any):
        self.field, self.options, self.t0, self.t1, self.y0 = field, options, t0, t1, y0
        self.penalties = Penalties(options.penalties, y0, ensemble=True)
        self.regularizers, self.samplers = self.penalties.folded, self.penalties.samplers
        self.recorder = EnsembleRecorder(options.method, len(y0), y0.device) if options.diagnostics else None
        self.progress = progress
        self.inner, self.inputs = self._inside()
        self.differentiates = bool(self.inputs.outer) or carries_gradient((y0, field.args))
        if self.differentiates and not options.adjoint.ensembles:
            raise NotImplementedError(
                f"{type(options.adjoint).__name__}() does not differentiate ensembles: "
                "use adjoint=Direct() or Recompute()"
            )
        if self.differentiates and options.dense:
            raise NotImplementedError("dense=True of an ensemble is not differentiable: ask for times with save_at")
        self.save = self._save_times()
        self.tolerance = Tolerance(options.rtol, options.atol, options.controller.norm, field.layout)
        self.readings: list[tuple[Reading, Tensor]] = []
        self.dense: list[Any] = []
        self.records: list[EventRecord] = []

    def run(self, throw: bool) -> Solution:
        """Go from leg to leg until every trajectory has ended."""
        every = torch.arange(self.y0.shape[0], device=self.y0.device)
        self.totals = self._beginning()
        lanes, cut = every, None
        while len(lanes):
            ended = self.leg(lanes, cut)
            lanes, cut = self._after_events(ended)
        return self._solution(throw)

    def _inside(self) -> tuple[EnsembleField, Inputs]:
        """The right-hand side of the trials, and what it depends on."""
        if not torch.is_grad_enabled() or under_transform():
            return self.field, Inputs()
        tapes = self.options.adjoint.tapes
        problem, stand_ins = with_stand_ins(self.field.problem, (lambda leaf: leaf) if tapes else cut_loose)
        inner = self.field if tapes else EnsembleField(problem, self.field.layout)
        with torch.enable_grad():
            slope = inner.derivative(self.t0.detach(), self.y0.detach())
        return inner, differentiable_inputs(problem.f, stand_ins, slope)

    def _save_times(self) -> Tensor | str | None:
        save = self.options.save_at
        if save is None or isinstance(save, str):
            return save
        return save.detach() if save.dim() == 2 else save.detach()[:, None]

    def _beginning(self) -> _Totals:
        none = torch.zeros(len(self.y0), dtype=torch.int64, device=self.y0.device)
        penalties = tuple(_one_a_row(one.init(self.y0.detach()), none) for one in self.regularizers)
        t = self.t0.detach().clone()
        return _Totals(self.y0, t, torch.zeros_like(t), none, none, none, none, none, penalties)

    def leg(self, lanes: Tensor, cut: Cut | None) -> list[Cut]:
        """Advance some trajectories to their next event or end; returns the events."""
        options, totals = self.options, self.totals
        whole = len(lanes) == len(self.y0)
        field = self.inner if whole else self.inner.take(lanes)
        tolerance = self.tolerance if whole else self.tolerance.take(lanes, field.layout)
        start, calls = totals.y[lanes], field.evaluations
        with torch.no_grad():
            stepper = EnsembleStepper(
                field,
                options.method,
                options.controller,
                tolerance,
                (totals.t[lanes], self.t1.detach()[lanes]),
                start.detach(),
                lanes,
                cut.h if cut is not None else self._first_size(len(lanes)),
                options.max_steps,
            )
            evaluations = totals.evaluations[lanes] + (field.evaluations - calls)
            stepper.tally = Tally(totals.steps[lanes], totals.rejected[lanes], evaluations, totals.jacobians[lanes])
            stepper.trials = int(stepper.tally.steps.max())
        watch = EnsembleEventWatch(options.events)
        watch.start(stepper, cut)
        penalties = take(lanes, totals.penalties)
        leg = EnsembleLeg(
            stepper,
            start,
            self.save,
            watch,
            self.regularizers,
            penalties,
            options.dense,
            self.progress,
            tuple(self.samplers.values()),
            self.recorder,
        )
        every = options.adjoint.block if self.differentiates else 0
        course = march_ensemble(leg, record_every=every)
        if self.differentiates and course.transitions:
            self._differentiate(course, leg, every)
        elif self.differentiates:  # no time has passed, and the states are those of the start
            course.ended = [(start, penalties) for _, penalties in course.ended]
        self._collect(course)
        return course.cuts

    def _first_size(self, rows: int) -> Tensor | None:
        if self.options.dt0 is None:
            return None
        size = min(self.options.dt0, self.options.controller.dtmax)
        return torch.full((rows,), size, dtype=torch.float64, device=self.y0.device)

    def _differentiate(self, course: EnsembleCourse, leg: EnsembleLeg, every: int) -> None:
        """Replace the values of a course by differentiable ones."""
        outputs = _outputs_in_order(course)
        segments = segments_of(course, leg, self.options.method, every)
        end = State(leg.start.detach()[:0], None, take(leg.stepper.lanes, leg.penalties))
        chain = Chain(segments, course.starts, end, outputs)
        _, values = self.options.adjoint.through(chain, State(leg.start, None, leg.penalties), self.inputs)
        _replace_outputs(course, values)

    def _collect(self, course: EnsembleCourse) -> None:
        """Put what a leg found where it belongs among all trajectories."""
        totals, lanes = self.totals, torch.cat(course.lanes)
        for name in (*KNOWN, *COUNTED):
            values = torch.cat([count[name] for count in course.counts])
            setattr(totals, name, getattr(totals, name).index_put((lanes,), values))
        totals.y = totals.y.index_put((lanes,), torch.cat([y for y, _ in course.ended]))
        ended = [penalties for _, penalties in course.ended]
        totals.penalties = pytree.tree_map(
            lambda old, *new: old.index_put((lanes,), torch.cat(new)), totals.penalties, *ended
        )
        self.readings += list(zip(course.readings, course.values, strict=True))
        self.dense += course.dense

    def _after_events(self, cuts: list[Cut]) -> tuple[Tensor, Cut | None]:
        """Note what happened; change the states of those that go on, and say which they are."""
        going: list[Cut] = []
        for cut in cuts:
            for number in cut.event.unique().tolist():
                part = take_cut(cut, cut.event == number)
                self._happen(number, part)
                if not self.options.events[number].ends:
                    going.append(part)
        if not going:
            return torch.empty(0, dtype=torch.int64, device=self.y0.device), None
        merged = join_cuts(going)
        unfinished = merged.t != self.t1.detach()[merged.lanes]
        merged = take_cut(merged, unfinished)
        merged = take_cut(merged, merged.lanes.argsort())  # in the order of the right-hand side's rows
        return merged.lanes, merged

    def _happen(self, number: int, cut: Cut) -> None:
        """One event of some trajectories: its times and states, and the states after it."""
        event, totals, field = self.options.events[number], self.totals, self.field.take(cut.lanes)
        y, t = totals.y[cut.lanes], cut.t
        shift = torch.zeros_like(t)
        if self.differentiates:
            shift = event_shift(field, condition_of(event, number, field), t, y).to(torch.float64)
            y = flow(field, t[:, None], y, shift[:, None])
        time, state = t + shift, field.layout.unravel(y)
        self.records.append(EventRecord(number, time, state, cut.lanes))
        if event.ends:
            totals.codes = totals.codes.index_fill(0, cut.lanes, int(Result.EVENT))
        elif event.change is not None:
            change = event.change if field.problem.vectorized else field.mapped(event.change)
            y = checked_change(change(time, state, *field.args), field.layout, y, number)
        if self.differentiates and not event.ends:
            y = flow(field, t[:, None], y, -shift[:, None])
        totals.y = totals.y.index_put((cut.lanes,), y)

    def _solution(self, throw: bool) -> Solution:
        totals, layout, options = self.totals, self.field.layout, self.options
        y1, result = self._final_states(), Results(totals.codes)
        ts, rows = self._rows(y1)
        draws = {name: sampler.draws() for name, sampler in self.samplers.items()}
        solution = Solution(
            ts=ts,
            ys=layout.unravel(rows, axes=1),
            y1=layout.unravel(y1),
            t1=self._final_times(),
            stats=Stats(
                totals.steps,
                totals.steps - totals.rejected,
                totals.rejected,
                totals.evaluations,
                totals.jacobians,
                totals.steps * options.method.linear_solves,
                engine=self.engine,
                history=self.recorder.history() if self.recorder else None,
            ),
            result=result,
            events=tuple(self.records),
            penalties=self.penalties.values(totals.penalties, draws, self.field, options.method, self.tolerance),
            draws=draws,
            interpolant=EnsembleDenseOutput(self.dense, layout) if options.dense and self.dense else None,
        )
        failed = torch.nonzero(totals.codes >= int(Result.MAX_STEPS))[:, 0]
        if throw and len(failed):
            first = int(failed[0])
            t, h = float(totals.t[first]), float(totals.h[first])
            raise SolveError(result[first], t, h, first, len(failed), solution)
        return solution

    def _final_times(self) -> Tensor:
        t = torch.where(self.totals.codes == int(Result.SUCCESS), self.t1, self.totals.t)
        for record in self.records:
            if self.options.events[record.event].ends:
                t = t.index_put((record.trajectories,), record.t)
        return t

    def _final_states(self) -> Tensor:
        y = self.totals.y
        if not carries_gradient(self.t1):
            return y
        reached = (self.totals.codes == int(Result.SUCCESS))[:, None]
        return torch.where(reached, follow_output_time(self.field, self.t1[:, None], y), y)

    def _rows(self, y1: Tensor) -> tuple[Tensor, Tensor]:
        """Output times, ``(T,)`` or ``(T, B)``, and states, ``(T, B, D)``."""
        save = self.options.save_at
        if save is None:
            t = self._final_times()
            common = bool((t.detach() == t.detach()[0]).all())
            return (t[:1] if common else t[None]), y1[None]
        if isinstance(save, str):
            return self._every_step()
        count = save.shape[0]
        assert isinstance(self.save, Tensor)
        first = torch.nonzero(self.save == self.t0.detach())
        rows = self._scatter(count, first)
        if carries_gradient(save):
            times = save if save.dim() == 2 else save[:, None].expand(count, rows.shape[1])
            rows = torch.stack([self._follow(t[:, None], row, y1) for t, row in zip(times, rows, strict=True)])
        return save, rows

    def _follow(self, t: Tensor, row: Tensor, y1: Tensor) -> Tensor:
        """A row of outputs as a function of its times; trajectories that had ended stay NaN."""
        missing = row.isnan()
        return torch.where(missing, row, follow_output_time(self.field, t, torch.where(missing, y1.detach(), row)))

    def _every_step(self) -> tuple[Tensor, Tensor]:
        batch = self.y0.shape[0]
        numbers = [reading.index for reading, _ in self.readings]
        count = 1 + (int(torch.cat(numbers).max()) if numbers else 0)
        lanes = torch.arange(batch, device=self.y0.device)
        first = torch.stack([torch.zeros_like(lanes), lanes], dim=1)
        ts = torch.full((count, batch), torch.nan, dtype=torch.float64, device=self.y0.device)
        ts[0] = self.t0.detach()
        for reading, _ in self.readings:
            ts[reading.index, reading.lanes] = reading.t
        return ts, self._scatter(count, first)

    def _scatter(self, count: int, first: Tensor) -> Tensor:
        """All outputs in one tensor; `first` lists those ``(output, trajectory)`` that are initial states."""
        nothing = self.y0.new_full((count, *self.y0.shape), torch.nan)
        index = torch.cat([first[:, 0], *(reading.index for reading, _ in self.readings)])
        lanes = torch.cat([first[:, 1], *(reading.lanes for reading, _ in self.readings)])
        values = torch.cat([self.y0[first[:, 1]], *(value for _, value in self.readings)])
        return nothing.index_put((index, lanes), values)


def _one_a_row(tree: Any, rows: Tensor) -> Any:
    """A regulariser's state in which every tensor has the trajectories on axis 0."""
    return pytree.tree_map(
        lambda leaf: leaf.expand(len(rows)) if isinstance(leaf, Tensor) and not leaf.dim() else leaf, tree
    )


def take_cut(cut: Cut, mask: Tensor) -> Cut:
    """Some of the rows of a cut."""
    return Cut(*(getattr(cut, name)[mask] for name in Cut.__dataclass_fields__))


def join_cuts(cuts: list[Cut]) -> Cut:
    """Several cuts as one."""
    return Cut(*(torch.cat([getattr(cut, name) for cut in cuts]) for name in Cut.__dataclass_fields__))


def _outputs_in_order(course: EnsembleCourse) -> list[Tensor]:
    """The tensors that the transitions give, in their order: outputs, then what leaving rows leave."""
    values, ended, outputs = iter(course.values), iter(course.ended), []
    for transition in course.transitions:
        outputs += [next(values)] if transition.reading is not None else []
        outputs += final_tensors(*next(ended)) if transition.leaving is not None else []
    return outputs


def _replace_outputs(course: EnsembleCourse, outputs: list[Tensor]) -> None:
    """The inverse of `_outputs_in_order`."""
    source, values, ended = iter(outputs), [], []
    for transition in course.transitions:
        if transition.reading is not None:
            values.append(next(source))
        if transition.leaving is not None:
            y, penalties = course.ended[len(ended)]
            y = next(source)
            leaves, spec = pytree.tree_flatten(penalties)
            leaves = [next(source) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            ended.append((y, pytree.tree_unflatten(leaves, spec)))
    course.values, course.ended = values, ended
