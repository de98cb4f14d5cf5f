"""The arrays that a compiled function reads and writes, and the call."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.controllers import Fixed
from kutta.solvers.options import Options
from kutta.solvers.tolerance import Tolerance
from kutta.state import Layout

# Trajectories below which a second thread costs more than it saves, and how many one takes at a time.
FEW, CHUNK = 4096, 2048


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


class Work:
    """The arrays of one solve: those below, and what comes out once `run` has been called.

    Attributes:
        many: whether it is an ensemble.
        count: number of trajectories, ``n``.
        y0: initial states, followed by the sensitivities there, ``(n, D)``.
        t0, t1: initial and final times, ``(n,)``.
        ys, y1: states at the output times and at the end, ``(T, n, D)`` and ``(n, D)``.
        end, size: last time and last step size, ``(n,)``.
        steps, rejected, evaluations, codes: what each trajectory took, and how it ended.
    """

    def __init__(
        self, span: tuple[Tensor, Tensor], layout: Layout, options: Options, y0: Tensor, own: Tensor, shared: Tensor
    ):
        self.layout, self.options = layout, options
        self.many, self.count = layout.batch is not None, layout.batch or 1
        self.y0, self.own, self.shared = y0.contiguous(), own.contiguous(), shared.contiguous()
        self.t0, self.t1 = (t.expand(self.count).contiguous() for t in span)
        self._set_tolerances()
        self._set_save_times()
        self._set_control()
        self._make_room()

    def _set_tolerances(self) -> None:
        tolerance = Tolerance(self.options.rtol, self.options.atol, None, self.layout)
        size, rows = sum(self.layout.sizes), []
        for value in (tolerance.rtol, tolerance.atol):
            value = torch.as_tensor(value, dtype=self.y0.dtype)
            rows.append(value if self.many and value.dim() == 2 else value.reshape(1, -1))
        most = max(len(row) for row in rows)
        self.rtol, self.atol = (row.expand(most, size).contiguous() for row in rows)
        self.tolerance_stride = int(most > 1)

    def _set_save_times(self) -> None:
        ts = self.options.save_at if self.options.save_at is None else self.options.save_at.detach()
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

        chunked = threads > 1 and self.count >= FEW
        if not chunked:
            return part(0)
        with ThreadPoolExecutor(threads) as pool:  # ctypes lets go of the interpreter while it calls
            list(pool.map(part, range(0, self.count, CHUNK)))
