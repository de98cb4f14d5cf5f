"""The kernel engine: one compiled loop, in which a lane integrates a trajectory from its start to its end."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, under_transform
from kutta.problems import EnsembleProblem
from kutta.solution import Result, Results, Solution, SolveError, Stats
from kutta.solvers.controllers import Fixed
from kutta.solvers.engines.kernel.build import library
from kutta.solvers.engines.kernel.right_hand_side import RightHandSide, right_hand_side
from kutta.solvers.engines.kernel.source import source_of
from kutta.solvers.engines.refusal import refuse, refuse_what_no_loop_has
from kutta.solvers.options import Options
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout

# Entries of a state. A block of lanes holds some tens of vectors of them.
LARGEST_STATE = 500
# Trajectories below which a second thread costs more than it saves, and how many one takes at a time.
ALONE, CHUNK = 4096, 2048


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


class _Job(ctypes.Structure):
    """The arguments of the compiled function, in the order of ``Job`` in ``driver.h``."""

    POINTERS = ("y0", "t0", "t1", "own", "shared", "rtol", "atol", "save", "control")
    NUMBERS = ("tolerance_stride", "save_stride", "outputs", "max_steps")
    RESULTS = ("ys", "y1", "end", "size", "steps", "rejected", "evaluations", "codes")
    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int64) for name in NUMBERS),
        *((name, ctypes.c_void_p) for name in RESULTS),
        ("total", ctypes.c_int64),
    ]


def solve_kernel(engine: Kernel, problem: Any, layout: Layout, options: Options, throw: bool) -> Solution:
    """Solve one trajectory or an ensemble."""
    _refuse_what_is_not_there(engine, problem, layout, options)
    f = right_hand_side(problem, layout)
    source = source_of(f.program, f.layout, options.method, options.controller, layout.dtype)
    compiled = library(source)
    work = _Work(problem, layout, options, f)
    work.run(compiled, engine.threads or torch.get_num_threads())
    return work.solution(throw)


def _refuse_what_is_not_there(engine: Kernel, problem: Any, layout: Layout, options: Options) -> None:
    size = sum(layout.sizes)
    if size > LARGEST_STATE:
        refuse(engine, f"is for small systems, of up to {LARGEST_STATE} entries; got {size}")
    refuse_what_no_loop_has(engine, layout, options)
    if under_transform() or carries_gradient((problem.y0, problem.args, problem.t_span, options.save_at)):
        refuse(engine, "does not differentiate yet")


class _Work:
    """The arrays of one solve."""

    def __init__(self, problem: Any, layout: Layout, options: Options, f: RightHandSide):
        self.layout, self.options = layout, options
        self.many = isinstance(problem, EnsembleProblem)
        self.count = layout.batch or 1
        self.y0 = layout.ravel(problem.y0).detach().reshape(self.count, -1).contiguous()
        ends = (torch.as_tensor(t, dtype=torch.float64).detach() for t in problem.t_span)
        self.t0, self.t1 = (t.expand(self.count).contiguous() for t in ends)
        self.own, self.shared = f.own, f.shared
        self._set_tolerances()
        self._set_save_times()
        self._set_control()
        self._make_room()

    def _set_tolerances(self) -> None:
        tolerance = Tolerance(self.options.rtol, self.options.atol, None, self.layout)
        size, rows = self.y0.shape[1], []
        for value in (tolerance.rtol, tolerance.atol):
            value = torch.as_tensor(value, dtype=self.y0.dtype)
            rows.append(value if self.many and value.dim() == 2 else value.reshape(1, -1))
        most = max(len(row) for row in rows)
        self.rtol, self.atol = (row.expand(most, size).contiguous() for row in rows)
        self.tolerance_stride = int(most > 1)

    def _set_save_times(self) -> None:
        ts = self.options.save_at
        backwards = self.t1 < self.t0
        if ts is None:
            self.save = torch.zeros(1, 0, dtype=torch.float64)
        elif ts.dim() == 1 and not bool(backwards.any()):
            self.save = ts[None].contiguous()
        else:
            ts = ts.t() if ts.dim() == 2 else ts[None].expand(self.count, -1)
            self.save = (torch.where(backwards, -1.0, 1.0)[:, None] * ts).contiguous()
        self.save_stride = int(len(self.save) > 1)
        self.outputs = self.save.shape[1]

    def _set_control(self) -> None:
        controller: Any = self.options.controller
        first = controller.dt if isinstance(controller, Fixed) else self.options.dt0 or 0.0
        names = ("safety", "min_factor", "max_factor")
        factors = [getattr(controller, name, 1.0) for name in names]
        limits = [controller.dtmin, controller.dtmax]
        self.control = torch.tensor([*factors, *limits, min(first, controller.dtmax)], dtype=torch.float64)

    def _make_room(self) -> None:
        like, count, size = self.y0, self.count, self.y0.shape[1]
        self.ys, self.y1 = like.new_empty(self.outputs, count, size), torch.empty_like(like)
        self.end, self.size = torch.empty_like(self.t0), torch.empty_like(self.t0)
        self.steps, self.rejected, self.evaluations = torch.zeros(3, count, dtype=torch.int64)
        self.codes = torch.zeros(count, dtype=torch.int32)

    def run(self, compiled: ctypes.CDLL, threads: int) -> None:
        """Call the compiled function, on several threads where there is work for them."""
        pointers = {name: getattr(self, name).data_ptr() for name in (*_Job.POINTERS, *_Job.RESULTS)}
        numbers = {name: getattr(self, name) for name in _Job.NUMBERS if name != "max_steps"}
        job = _Job(**pointers, **numbers, max_steps=self.options.max_steps, total=self.count)

        def part(first: int) -> None:
            last = min(first + CHUNK, self.count) if chunked else self.count
            compiled.run(ctypes.byref(job), ctypes.c_int64(first), ctypes.c_int64(last))

        chunked = threads > 1 and self.count >= ALONE
        if not chunked:
            return part(0)
        with ThreadPoolExecutor(threads) as pool:  # ctypes lets go of the interpreter while it calls
            list(pool.map(part, range(0, self.count, CHUNK)))

    def solution(self, throw: bool) -> Solution:
        """What came out."""
        save = self.options.save_at
        result = Results(self.codes.to(torch.int64)) if self.many else Result(int(self.codes[0]))
        counts: Any = (self.steps, self.steps - self.rejected, self.rejected, self.evaluations)
        t1 = torch.where(self.codes == int(Result.SUCCESS), self.t1, self.end)
        if not self.many:
            counts, t1 = tuple(int(one[0]) for one in counts), t1[0]
        rows, ts = (self.ys, save) if save is not None else (self.y1[None], _common(t1))
        if not self.many and save is not None:  # those that were reached
            reached = int((self.save[0] <= (t1 if bool(self.t1 >= self.t0) else -t1)).sum())
            rows, ts = rows[:reached], ts[:reached]
        solution = Solution(
            ts=ts,
            ys=self._unravelled(rows, axes=1),
            y1=self._unravelled(self.y1, axes=0),
            t1=t1,
            stats=Stats(*counts, engine="kernel"),
            result=result,
        )
        failed = torch.nonzero(self.codes)[:, 0]
        if throw and len(failed):
            self._throw(int(failed[0]), len(failed), solution)
        return solution

    def _unravelled(self, rows: Tensor, axes: int) -> Any:
        if self.many:
            return self.layout.unravel(rows, axes=axes)
        rows = rows[:, 0] if axes else rows[0]
        if self.layout.is_single:
            return rows.reshape((*rows.shape[:axes], *self.layout.shapes[0]))
        return self.layout.unravel(rows, axes=axes)

    def _throw(self, first: int, failures: int, solution: Solution) -> None:
        result, t, h = Result(int(self.codes[first])), float(self.end[first]), float(self.size[first])
        if self.many:
            raise SolveError(result, t, h, first, failures, solution)
        raise SolveError(result, t, h, solution=solution)


def _common(t: Tensor) -> Tensor:
    """Final times as output times: one where they agree."""
    if t.dim() == 0 or bool((t == t[0]).all()):
        return t.reshape(-1)[:1]
    return t[None]
