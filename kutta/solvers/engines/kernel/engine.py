"""The kernel engine: one compiled loop, in which a lane integrates a trajectory from its start to its end."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, under_transform
from kutta.solution import Result, Results, Solution, SolveError, Stats
from kutta.solvers.controllers import PID, Fixed
from kutta.solvers.engines.kernel.build import library
from kutta.solvers.engines.kernel.precision import ALONE, BLOCK
from kutta.solvers.engines.kernel.right_hand_side import Cast, RightHandSide, right_hand_side
from kutta.solvers.engines.kernel.sensitivities import Differentiated, check_gradients, directions
from kutta.solvers.engines.kernel.source import PRINTERS, source_of
from kutta.solvers.engines.kernel.work import Work
from kutta.solvers.engines.tracing.derivative import Input, tangents
from kutta.solvers.field import EnsembleField, VectorField
from kutta.solvers.options import Options
from kutta.solvers.times import follow_initial_time, follow_output_time
from kutta.state import Layout

# Entries of a state with its sensitivities. A block of lanes holds some tens of vectors of them.
LARGEST_STATE = 500


@dataclass(frozen=True)
class Kernel:
    """The engine that compiles a right-hand side, a method and the loop into one function.

    For small systems, of up to 500 entries and 5,000 operations: the right-hand side of one trajectory is
    traced into scalar operations, simplified, and compiled for the processor at hand; a block of lanes then
    integrates as many trajectories at once, and takes the next when one has ended. Compiled functions are
    kept on disk, in ``$KUTTA_CACHE`` or the user's cache folder. A Python number in the right-hand side is
    part of what is compiled; a tensor, in `args` or from outside, is not, and may change from one solve to
    the next.

    Attributes:
        threads: how many work at once; by default as many as PyTorch uses, and one for few trajectories.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.EnsembleProblem(lambda t, y: -y, torch.rand(100, 1), (0.0, 1.0))
        >>> kt.solve(problem, kt.Tsit5(), engine=kt.Kernel()).stats.engine
        'kernel'
    """

    threads: int | None = None


def solve_kernel(engine: Kernel, problem: Any, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve one trajectory or an ensemble."""
    _refuse_what_is_not_there(layout, options)
    return _Solve(engine, problem, layout, options).run(throw)


def _refuse(what: str) -> None:
    raise NotImplementedError(f"Kernel() {what}: leave engine= out, or use engine=Eager()")


def _refuse_what_is_not_there(layout: Layout, options: Options) -> None:
    controller, size = options.controller, sum(layout.sizes)
    if size > LARGEST_STATE:
        _refuse(f"is for small systems, of up to {LARGEST_STATE} entries; got {size}")
    if layout.dtype not in (torch.float32, torch.float64) or layout.device.type != "cpu":
        _refuse(f"solves in float32 and float64 on the CPU; got {layout.dtype} on {layout.device.type}")
    if type(getattr(options.method, "tableau", None)) not in PRINTERS:
        _refuse(f"has explicit Runge-Kutta and Rosenbrock methods only; got {type(options.method).__name__}")
    if not isinstance(controller, PID | Fixed) or len(controller.step_ts) or len(controller.jump_ts):
        _refuse(f"has PID and Fixed without times to land on; got {controller}")
    if controller.norm is not None or controller.force_dtmin:
        _refuse("has no norm of one's own and no force_dtmin")
    for name in ("events", "penalties", "dense", "diagnostics", "progress"):
        if getattr(options, name):
            _refuse(f"has no {name} yet")
    if isinstance(options.save_at, str):
        _refuse('has no save_at="steps"')
    if under_transform():
        _refuse("does not work under torch.func transformations")


class _Solve:
    """One call of `solve`."""

    def __init__(self, engine: Kernel, problem: Any, layout: Layout, options: Options):
        self.engine, self.problem, self.layout, self.options = engine, problem, layout, options
        self.cast = Cast(problem, layout)
        self.f, self.tensors = right_hand_side(self.cast)
        self.numbers = self.cast.numbers(self.f, self.tensors)
        self.t0, self.t1 = (torch.as_tensor(t, dtype=torch.float64) for t in problem.t_span)

    def run(self, throw: bool) -> Solution:
        """Integrate, and with the sensitivities where something requires gradients."""
        y0 = self._initial_states()
        wanted = directions(self.numbers, y0.shape[1], carries_gradient(y0))
        if not wanted:
            work = self._integrate(y0.detach(), self.numbers.own.detach(), self.numbers.shared.detach(), wanted)
            return self._solution(work, work.ys, work.y1, throw)
        return self._differentiated(y0, wanted, throw)

    def _initial_states(self) -> Tensor:
        """States at fixed initial times, ``(n, D)``, on the tape."""
        y0 = self.layout.ravel(self.problem.y0)
        if carries_gradient(self.t0):
            y0 = follow_initial_time(self._field(), self._rows(self.t0), y0)
        return y0.reshape(self.layout.batch or 1, -1)

    def _integrate(self, y0: Tensor, own: Tensor, shared: Tensor, wanted: tuple[Input, ...]) -> Work:
        work = Work((self.t0.detach(), self.t1.detach()), self.layout, self.options, y0, own, shared)
        compiled = _compiled(self.f, wanted, self.options, self.layout)
        work.run(compiled, self.engine.threads or torch.get_num_threads())
        return work

    def _differentiated(self, y0: Tensor, wanted: tuple[Input, ...], throw: bool) -> Solution:
        size, of_start = y0.shape[1], wanted[0][0] == "y"
        if size * (1 + len(wanted)) > LARGEST_STATE:
            _refuse(
                f"carries at most {LARGEST_STATE} numbers, the state and its derivatives; got {size} entries "
                f"and {len(wanted)} directions to differentiate in"
            )
        self._check_gradients(wanted)
        places, done = [place for _, place in self.numbers.differentiated], []

        def run(start: Tensor, own: Tensor, shared: Tensor) -> Work:
            return self._integrate(start, own, shared, wanted)

        ys, y1, *_ = Differentiated.apply(y0, self.numbers.own, self.numbers.shared, of_start, places, run, done)  # type: ignore[misc]
        return self._solution(done[0], ys, y1, throw)

    def _check_gradients(self, wanted: tuple[Input, ...]) -> None:
        if wanted not in self.f.libraries:
            check_gradients(self.cast, self.f, self.tensors)
            self.f.libraries[wanted] = True

    def _field(self) -> Any:
        kind: Any = VectorField if self.layout.batch is None else EnsembleField
        return kind(self.problem, self.layout)

    def _rows(self, t: Tensor) -> Tensor:
        """Times for states: one for all, or one a trajectory."""
        return t if self.layout.batch is None else t.expand(self.layout.batch)[:, None]

    def _solution(self, work: Work, ys: Tensor, y1: Tensor, throw: bool) -> Solution:
        """What came out."""
        many, save = work.many, self.options.save_at
        result = Results(work.codes.to(torch.int64)) if many else Result(int(work.codes[0]))
        solves = self.options.method.linear_solves
        counts: Any = (
            work.steps,
            work.steps - work.rejected,
            work.rejected,
            work.evaluations,
            work.steps * bool(solves),  # every trial of a block takes its Jacobians anew
            work.steps * solves,
        )
        ended = work.codes == int(Result.SUCCESS)
        ys, y1 = self._follow(ys, y1, ended)
        t1 = torch.where(ended, self.t1, work.end)
        if not many:
            counts, t1 = tuple(int(one[0]) for one in counts), t1[0]
        rows, ts = (ys, save) if save is not None else (y1[None], _common(t1))
        if not many and save is not None:  # those that were reached
            reached = int((work.save[0] <= (t1 if bool(self.t1 >= self.t0) else -t1)).sum())
            rows, ts = rows[:reached], ts[:reached]
        solution = Solution(
            ts=ts,
            ys=self._unravelled(rows, axes=1),
            y1=self._unravelled(y1, axes=0),
            t1=t1,
            stats=Stats(*counts, engine="kernel"),
            result=result,
        )
        failed = torch.nonzero(work.codes)[:, 0]
        if throw and len(failed):
            _throw(work, int(failed[0]), len(failed), solution)
        return solution

    def _follow(self, ys: Tensor, y1: Tensor, ended: Tensor) -> tuple[Tensor, Tensor]:
        """States as functions of the times they belong to; trajectories that have failed stay where they were."""
        save = self.options.save_at
        if carries_gradient(self.t1):
            y1 = torch.where(ended[:, None], self._moved(self.t1, y1), y1)
        if save is not None and carries_gradient(save):
            rows = [torch.where(row.isnan(), row, self._moved(t, row)) for t, row in zip(save, ys, strict=True)]
            ys = torch.stack(rows)
        return ys, y1

    def _moved(self, t: Tensor, row: Tensor) -> Tensor:
        """One row of states, ``(n, D)``, as a function of its time."""
        shape = row.shape
        if self.layout.batch is None:
            row = row.reshape(self.layout.shapes[0]) if self.layout.is_single else row[0]
        return follow_output_time(self._field(), self._rows(t), row.nan_to_num()).reshape(shape)

    def _unravelled(self, rows: Tensor, axes: int) -> Any:
        if self.layout.batch is not None:
            return self.layout.unravel(rows, axes=axes)
        rows = rows[:, 0] if axes else rows[0]
        if self.layout.is_single:
            return rows.reshape((*rows.shape[:axes], *self.layout.shapes[0]))
        return self.layout.unravel(rows, axes=axes)


def _compiled(f: RightHandSide, wanted: tuple[Input, ...], options: Options, layout: Layout) -> ctypes.CDLL:
    """The library for a right-hand side and a method, kept beside what was traced."""
    key = (options.method, options.controller, layout.dtype, layout.batch is None, wanted)
    if key not in f.libraries:
        program = tangents(f.program, f.layout.size, wanted) if wanted else f.program
        registers = ALONE if layout.batch is None else BLOCK
        source = source_of(program, f.layout, options.method, options.controller, layout.dtype, registers)
        f.libraries[key] = library(source)
    return f.libraries[key]


def _throw(work: Work, first: int, failures: int, solution: Solution) -> None:
    result, t, h = Result(int(work.codes[first])), float(work.end[first]), float(work.size[first])
    raise SolveError(result, t, h, first if work.many else None, failures, solution)


def _common(t: Tensor) -> Tensor:
    """Final times as output times: one where they agree."""
    if t.dim() == 0 or bool((t == t[0]).all()):
        return t.reshape(-1)[:1]
    return t[None]
