"""The kernel engine: one compiled loop, in which a lane integrates a trajectory from its start to its end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, under_transform
from kutta.solution import Result, Results, Solution, SolveError, Stats
from kutta.solvers.engines.kernel.events import solve_with_events
from kutta.solvers.engines.kernel.integration import LARGEST_STATE, Integration, Make
from kutta.solvers.engines.kernel.machines import machine_for
from kutta.solvers.engines.kernel.refusal import refuse
from kutta.solvers.engines.kernel.source import PRINTERS
from kutta.solvers.engines.kernel.work import Start, Work, first_sizes
from kutta.solvers.engines.refusal import refuse_what_no_loop_has
from kutta.solvers.field import EnsembleField, VectorField
from kutta.solvers.options import Options
from kutta.solvers.times import follow_initial_time, follow_output_time
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout


@dataclass(frozen=True)
class Kernel:
    """The engine that compiles a right-hand side, a method and the loop into one function.

    For small systems, of up to 500 entries and 5,000 operations: the right-hand side of one trajectory is
    traced into scalar operations, simplified, and compiled for the processor at hand; a block of lanes then
    integrates as many trajectories at once, and takes the next when one has ended. Compiled functions are
    kept on disk, in ``$KUTTA_CACHE`` or the user's cache folder. A Python number in the right-hand side is
    part of what is compiled; a tensor, in `args` or from outside, is not, and may change from one solve to
    the next. On a CUDA device, where it has only been compiled and not yet been run, a thread is a lane, and
    the compiler is the NVRTC of PyTorch's CUDA builds.

    Attributes:
        threads: how many of the CPU's work at once; by default as many as PyTorch uses, and one for few
            trajectories. Refused on a CUDA device.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.EnsembleProblem(lambda t, y: -y, torch.rand(100, 1), (0.0, 1.0))
        >>> kt.solve(problem, kt.Tsit5(), engine=kt.Kernel()).stats.engine
        'kernel'
    """

    threads: int | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and (not isinstance(self.threads, int) or self.threads < 1):
            raise ValueError(f"threads must be a positive whole number, or None; got {self.threads!r}")


def solve_kernel(
    engine: Kernel, problem: Any, layout: Layout, options: Options, throw: bool, largest: int = LARGEST_STATE
) -> Solution:
    """Solve one trajectory or an ensemble, of up to `largest` numbers a lane: the state and its derivatives."""
    _refuse_what_is_not_there(layout, options, largest)
    make = partial(Integration, machine=machine_for(layout.device, engine.threads), largest=largest)
    if options.events:
        return solve_with_events(problem, layout, options, make, throw)
    return _Solve(problem, layout, options, make).run(throw)


def _refuse_what_is_not_there(layout: Layout, options: Options, largest: int) -> None:
    size = sum(layout.sizes)
    if size > largest:
        refuse(f"is for small systems, of up to {largest} entries; got {size}")
    if not options.method.tabulated or type(options.method.tableau) not in PRINTERS:  # type: ignore[attr-defined]
        refuse(f"has explicit Runge-Kutta and Rosenbrock methods only; got {type(options.method).__name__}")
    refuse_what_no_loop_has("Kernel", layout, options, ("cpu", "cuda"))
    if under_transform():
        refuse("does not work under torch.func transformations")


class _Solve:
    """One call of `solve`."""

    def __init__(self, problem: Any, layout: Layout, options: Options, make: Make):
        self.problem, self.layout, self.options = problem, layout, options
        self.integration = make(problem, layout, options)
        times = (torch.as_tensor(t, dtype=torch.float64, device=layout.device) for t in problem.t_span)
        self.t0, self.t1 = times

    def run(self, throw: bool) -> Solution:
        """Integrate, and with the sensitivities where something requires gradients."""
        numbers, options, count = self.integration.numbers, self.options, self.layout.batch or 1
        t0, t1 = (t.detach().expand(count) for t in (self.t0, self.t1))
        h = first_sizes(options.controller, options.dt0, t0)
        start = Start(t0, t1, self._initial_states(), numbers.own, numbers.shared, h)
        tolerance = Tolerance(options.rtol, options.atol, None, self.layout)
        save = None if options.save_at is None else options.save_at.detach()
        return self._solution(*self.integration.advance(start, tolerance, save), throw)

    def _initial_states(self) -> Tensor:
        """States at fixed initial times, ``(n, D)``, on the tape."""
        y0 = self.layout.ravel(self.problem.y0)
        if carries_gradient(self.t0):
            y0 = follow_initial_time(self._field(), self._rows(self.t0), y0)
        return y0.reshape(self.layout.batch or 1, -1)

    def _field(self) -> Any:
        kind: Any = VectorField if self.layout.batch is None else EnsembleField
        return kind(self.problem, self.layout)

    def _rows(self, t: Tensor) -> Tensor:
        """Times for states: one for all, or one a trajectory."""
        return t if self.layout.batch is None else t.expand(self.layout.batch)[:, None]

    def _solution(self, work: Work, ys: Tensor, y1: Tensor, throw: bool) -> Solution:
        """What came out."""
        many, save = self.layout.batch is not None, self.options.save_at
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
            reached = int(((save <= t1) if bool(self.t1 >= self.t0) else (save >= t1)).sum())
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
            _throw(work, many, int(failed[0]), len(failed), solution)
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


def _throw(work: Work, many: bool, first: int, failures: int, solution: Solution) -> None:
    result, t, h = Result(int(work.codes[first])), float(work.end[first]), float(work.size[first])
    raise SolveError(result, t, h, first if many else None, failures, solution)


def _common(t: Tensor) -> Tensor:
    """Final times as output times: one where they agree."""
    if t.dim() == 0 or bool((t == t[0]).all()):
        return t.reshape(-1)[:1]
    return t[None]
