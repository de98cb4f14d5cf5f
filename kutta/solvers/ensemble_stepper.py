"""The loop of an ensemble: every trajectory tries a step of its own size, and keeps it or not.

The trajectories that are being advanced are the rows of the tensors below. Decisions stay on the
device: a rejected row keeps its state through ``where``, a finished row takes steps of length zero
until the rows are packed. One vector of counts is read a trial, to know whether rows are left and
whether there is output to take.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solution import Result
from kutta.solvers.controllers import PID, Controller, StepTo, tame
from kutta.solvers.field import EnsembleField
from kutta.solvers.initial_step import initial_step
from kutta.solvers.method import Method, Step
from kutta.solvers.stepper import STRETCH, TINY
from kutta.solvers.tolerance import Tolerance

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

# Smallest step size relative to the time, in units of the last place of float64.
SMALLEST = 4.0 * torch.finfo(torch.float64).eps


def select(mask: Tensor, new: Any, old: Any) -> Any:
    """Row by row, `new` where the mask holds and `old` elsewhere, for pytrees of tensors."""
    if new is None or old is None:
        return None
    return pytree.tree_map(lambda a, b: torch.where(_column(mask, a), a, b) if isinstance(a, Tensor) else a, new, old)


def take(index: Tensor, tree: Any) -> Any:
    """The rows `index` of every tensor of a pytree."""
    return pytree.tree_map(lambda leaf: leaf[index] if isinstance(leaf, Tensor) else leaf, tree)


def _column(mask: Tensor, like: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (like.dim() - 1))


class EnsembleStepper:
    """An ensemble in progress.

    Attributes:
        lanes: which trajectory each row is, shape ``(b,)``.
        t: current times, ``(b, 1)``.
        t1: final times, ``(b, 1)``.
        y: current states, ``(b, D)``.
        h: sizes (positive) of the next trial steps, ``(b, 1)``.
        running: the rows that are neither finished nor failed, ``(b,)``.
        carry: the method's carry.
        codes: a `Result` code a row.
        steps, accepted: counts a row.
        trials: trials so far, of any row.
    """

    def __init__(
        self,
        field: EnsembleField,
        method: Method,
        controller: Controller,
        tolerance: Tolerance,
        t: Float[Tensor, "b 1"],
        t1: Float[Tensor, "b 1"],
        y: Float[Tensor, "b D"],
        lanes: Int[Tensor, " b"],
        h: Float[Tensor, "b 1"] | None = None,
        max_steps: int = 100_000,
    ):
        self.field, self.method, self.controller, self.tolerance = field, method, controller, tolerance
        self.t, self.t1, self.y, self.lanes, self.max_steps = t, t1, y, lanes, max_steps
        self.direction = torch.where(t1 >= t, 1.0, -1.0).to(torch.float64)
        self.floor = ((t1 - t).abs() * TINY).clamp(min=controller.dtmin)
        self.running = (t != t1)[:, 0]
        self.codes = torch.zeros_like(lanes)
        self.steps, self.accepted, self.trials = torch.zeros_like(lanes), torch.zeros_like(lanes), 0
        self.evaluations = torch.zeros_like(lanes)
        self.stops, self.jumps = self._stops()
        self.size = y.abs()
        self.carry = method.init(field, t, y)
        ones = torch.ones_like(t[:, 0])
        self.earlier: tuple[Tensor, ...] = (ones, ones)
        self.after_rejection = torch.zeros_like(self.running)
        self.h = self._first_step() if h is None else h

    def _stops(self) -> tuple[Tensor | None, Tensor | None]:
        """Sorted times to land on, and those among them at which the right-hand side jumps."""
        controller, device = self.controller, self.t.device
        jumps = torch.as_tensor(controller.jump_ts, dtype=torch.float64, device=device)
        wanted = [torch.as_tensor(controller.step_ts, dtype=torch.float64, device=device), jumps]
        if isinstance(controller, StepTo):
            wanted.append(torch.as_tensor(controller.ts, dtype=torch.float64, device=device))
        stops = torch.cat(wanted).unique()
        return (stops if stops.numel() else None), (jumps if jumps.numel() else None)

    def _first_step(self) -> Tensor:
        if not isinstance(self.controller, PID):
            return torch.full_like(self.t, getattr(self.controller, "dt", math.inf))
        slope = self.carry if self.method.carries_slope else self.field.derivative(self.t, self.y)
        order = self.method.error_order or 1
        h = initial_step(self.field, self.t, self.y, slope, self.direction, self.tolerance, order)
        return h[:, None].to(torch.float64).clamp(self.controller.dtmin, self.controller.dtmax)

    def trial(self) -> tuple[Step, Float[Tensor, "b 1"]]:
        """One trial step of every row; returns it, with `accepted` set, and its exact size."""
        self.trials += 1
        stop = self._next_stop()
        left = (stop - self.t) * self.direction
        lands = left <= self.h * (1.0 + STRETCH)
        size = torch.where(lands, left, self.h)
        move = size * self.direction
        end = torch.where(lands, stop, self.t + move)
        if self.jumps is not None:
            move = torch.where(torch.isin(end, self.jumps), self._short_of(end) - self.t, move)
        dt = move.to(self.field.real_dtype)
        step, carry = self.method.step(self.field, self.t, self.y, dt, self.carry)
        step.t1 = end
        ratio, new_size = self._ratio(step)
        kept = (ratio <= 1.0) & self.running
        if self.controller.force_dtmin:
            kept |= (size[:, 0] <= self.controller.dtmin) & torch.isfinite(ratio) & self.running
        step.accepted = kept
        self.steps += self.running
        self.accepted += kept
        self._fail(ratio, kept, size)
        if isinstance(self.controller, PID):
            self._adapt(ratio, kept, size)
        self._move(step, carry, new_size)
        return step, move

    def _next_stop(self) -> Tensor:
        if self.stops is None:
            return self.t1
        above = torch.searchsorted(self.stops, self.t, right=True).clamp(max=len(self.stops) - 1)
        below = (torch.searchsorted(self.stops, self.t) - 1).clamp(min=0)
        stop = torch.where(self.direction > 0, self.stops[above], self.stops[below])
        between = ((stop - self.t) * self.direction > 0) & ((self.t1 - stop) * self.direction > 0)
        return torch.where(between, stop, self.t1)

    def _short_of(self, end: Tensor) -> Tensor:
        """The last time before `end` that the right-hand side can tell from it, in its dtype."""
        rounded = end.to(self._clock)
        return torch.nextafter(rounded, (-self.direction * math.inf).to(self._clock)).to(torch.float64)

    @property
    def _clock(self) -> torch.dtype:
        return torch.float64 if self.field.real_dtype == torch.float64 else torch.float32

    def _ratio(self, step: Step) -> tuple[Tensor, Tensor]:
        size = step.y1.abs()
        if not isinstance(self.controller, PID):
            return torch.where(torch.isfinite(size).all(dim=1), 0.0, math.inf), size
        if step.error is None:
            raise ValueError(f"{type(self.method).__name__} gave no error estimate: use controller=Fixed(dt)")
        return self.tolerance.ratio(step.error, self.size, size), size

    def _fail(self, ratio: Tensor, kept: Tensor, size: Tensor) -> None:
        """Give up rows whose step size has become too small, or that fixed steps took to infinity."""
        stuck = self.running & ~kept
        if isinstance(self.controller, PID):
            stuck &= (size <= torch.maximum(self.t.abs() * SMALLEST, self.floor))[:, 0]
        code = torch.where(torch.isfinite(ratio), int(Result.STEP_UNDERFLOW), int(Result.NON_FINITE))
        self.codes = torch.where(stuck, code, self.codes)
        self.running = self.running & ~stuck

    def _adapt(self, ratio: Tensor, kept: Tensor, size: Tensor) -> None:
        """The next step sizes."""
        controller, order = self.controller, self.method.error_order or 1
        assert isinstance(controller, PID)
        ratio = tame(ratio)
        factor = controller.factor(ratio, self.earlier, order)
        factor = torch.where(self.after_rejection, factor.clamp(max=1.0), factor)
        factor = torch.where(kept, factor, controller.shrink(ratio, order))
        h = size * factor[:, None]
        if self.stops is not None:
            cut_short = kept[:, None] & (size < self.h * (1.0 - STRETCH))
            h = torch.where(cut_short, torch.maximum(h, self.h), h)
        if controller.dtmin > 0.0 or controller.dtmax < math.inf:
            h = h.clamp(controller.dtmin, controller.dtmax)
        self.h = h
        self.after_rejection = ~kept
        if controller.memory:
            first = torch.where(kept, ratio, self.earlier[0])
            self.earlier = (first, torch.where(kept, self.earlier[0], self.earlier[1]))

    def _move(self, step: Step, carry: Any, size: Tensor) -> None:
        """Take the accepted rows to the end of their step."""
        kept = step.accepted
        assert isinstance(kept, Tensor)
        column = kept[:, None]
        self.t = torch.where(column, step.t1, self.t)  # type: ignore[arg-type]
        self.y = torch.where(column, step.y1, self.y)
        self.size = torch.where(column, size, self.size)
        self.carry = select(kept, carry, self.carry)
        if self.jumps is not None:
            self._restart(torch.isin(self.t, self.jumps) & column)
        self.running = self.running & (self.t != self.t1)[:, 0]
        if self.trials >= self.max_steps:
            over = self.running & (self.steps >= self.max_steps)
            self.codes = self.codes.masked_fill(over, int(Result.MAX_STEPS))
            self.running = self.running & ~over

    def _restart(self, jumped: Tensor) -> None:
        """Start afresh behind a jump of the right-hand side."""
        if not bool(jumped.any()):
            return
        after = torch.nextafter(self.t.to(self._clock), (self.direction * math.inf).to(self._clock)).to(torch.float64)
        self.t = torch.where(jumped & (self.t != self.t1), after, self.t)
        self.carry = select(jumped[:, 0], self.method.init(self.field, self.t, self.y), self.carry)

    def stop(self, rows: Int[Tensor, " n"], t: Tensor, y: Tensor) -> None:
        """End some rows where an event found them."""
        self.t = self.t.index_put((rows,), t)
        self.y = self.y.index_put((rows,), y)
        self.running = self.running.index_fill(0, rows, False)

    def pack(self, rows: Int[Tensor, " n"]) -> None:
        """Keep only some rows."""
        self.field = self.field.take(rows)
        self.tolerance = self.tolerance.take(rows, self.field.layout)
        for name in ("lanes", "t", "t1", "y", "h", "size", "running", "carry", "codes", "direction", "earlier", "floor"):
            setattr(self, name, take(rows, getattr(self, name)))
        for name in ("steps", "accepted", "evaluations", "after_rejection"):
            setattr(self, name, getattr(self, name)[rows])
