"""The arrays that a compiled function reads and writes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.solvers.controllers import Controller, Fixed
from kutta.solvers.tolerance import Tolerance

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Steps are counted in whole numbers of the size of the state's.
MOST_STEPS = 2**31 - 1


class _Job(ctypes.Structure):
    """The arguments of the compiled function, in the order of ``Job`` in ``driver.h``."""

    POINTERS = ("y0", "t0", "t1", "own", "shared", "rtol", "atol", "save", "control", "first", "before")
    NUMBERS = ("tolerance_stride", "save_stride", "outputs", "max_steps", "estimates", "resumes")
    RESULTS = ("ys", "y1", "end", "size", "steps", "rejected", "evaluations", "codes", "event", "theta", "scale")
    _fields_ = [
        *((name, ctypes.c_void_p) for name in POINTERS),
        *((name, ctypes.c_int64) for name in NUMBERS),
        *((name, ctypes.c_void_p) for name in RESULTS),
        ("total", ctypes.c_int64),
    ]


@dataclass(frozen=True)
class Start:
    """Where ``n`` trajectories start from, and what has happened to them before.

    Attributes:
        t0, t1: initial and final times.
        y0: initial states, followed by their sensitivities.
        own, shared: parameters.
        h: sizes of the first steps; ``None`` where they are to be estimated.
        steps: trials so far; with it, outputs at times that have passed are not written again.
        before: the conditions of events.
    """

    t0: Float[Tensor, " n"]
    t1: Float[Tensor, " n"]
    y0: Float[Tensor, "n D"]
    own: Float[Tensor, "n own"]
    shared: Float[Tensor, " shared"]
    h: Float[Tensor, " n"] | None = None
    steps: Int[Tensor, " n"] | None = None
    before: Float[Tensor, "n events"] | None = None


class Work:
    """The arrays of one call, on the device of the states; what comes out is there once a machine has run it.

    Attributes:
        ys, y1: states at the output times and at the end, ``(T, n, D)`` and ``(n, D)``; those at output
            times that an event came before are NaN.
        end, size: last time and last step size, ``(n,)``.
        steps, rejected, evaluations, codes: what each trajectory took (the steps with those before), and
            how it ended.
        event, theta, scale: which event stopped it, counted from 1, where in its step, and how large the
            condition was at the ends of the step.
    """

    def __init__(self, start: Start, tolerance: Tolerance, save: Tensor | None, controller: Controller, max_steps: int):
        self.count, self.max_steps = len(start.y0), min(max_steps, MOST_STEPS)
        self.t0, self.t1 = start.t0.contiguous(), start.t1.contiguous()
        self.y0, self.own, self.shared = start.y0.contiguous(), start.own.contiguous(), start.shared.contiguous()
        self._set_tolerances(tolerance)
        self._set_save_times(save)
        self._set_control(controller)
        self._make_room()
        self.first = torch.zeros_like(self.t0) if start.h is None else start.h.contiguous()
        self.estimates, self.resumes = int(start.h is None), int(start.steps is not None)
        self.steps = torch.zeros_like(self.rejected) if start.steps is None else start.steps.clone()
        before = self.y0.new_zeros(self.count, 0) if start.before is None else start.before.to(self.y0.dtype)
        self.before = before.contiguous()

    def _set_tolerances(self, tolerance: Tolerance) -> None:
        size, rows = sum(tolerance.layout.sizes), []
        for value in (tolerance.rtol, tolerance.atol):
            value = torch.as_tensor(value, dtype=self.y0.dtype, device=self.y0.device)
            rows.append(value if tolerance.layout.batch and value.dim() == 2 else value.reshape(1, -1))
        most = max(len(row) for row in rows)
        self.rtol, self.atol = (row.expand(most, size).contiguous() for row in rows)
        self.tolerance_stride = int(most > 1)

    def _set_save_times(self, ts: Tensor | None) -> None:
        """Output times, ``(T,)`` or ``(T, n)``, as rows: one for all, or one a trajectory."""
        ts = self.t0[:0] if ts is None else ts
        self.save = ts.t().contiguous() if ts.dim() == 2 else ts[None].contiguous()
        self.save_stride = int(len(self.save) > 1)
        self.outputs = self.save.shape[1]

    def _set_control(self, controller: Any) -> None:
        factors = [getattr(controller, name, 1.0) for name in ("safety", "min_factor", "max_factor")]
        self.control = self.t0.new_tensor([*factors, controller.dtmin, controller.dtmax])

    def _make_room(self) -> None:
        like, count, size = self.y0, self.count, self.y0.shape[1]
        self.ys, self.y1 = like.new_full((self.outputs, count, size), torch.nan), torch.empty_like(like)
        self.end, self.size, self.theta, self.scale = self.t0.new_zeros(4, count)
        self.rejected, self.evaluations = self.t0.new_zeros(2, count, dtype=torch.int64)
        self.codes, self.event = self.t0.new_zeros(2, count, dtype=torch.int32)

    def job(self) -> ctypes.Structure:
        """The argument of the compiled function; good as long as the arrays are there."""
        pointers = {name: getattr(self, name).data_ptr() for name in (*_Job.POINTERS, *_Job.RESULTS)}
        numbers = {name: getattr(self, name) for name in _Job.NUMBERS}
        return _Job(**pointers, **numbers, total=self.count)


def first_sizes(controller: Any, dt0: float | None, t0: Tensor) -> Tensor | None:
    """The sizes of the first steps from some times, where they are given."""
    size = controller.dt if isinstance(controller, Fixed) else dt0
    return None if size is None else torch.full_like(t0, min(size, controller.dtmax))
