"""The loop of an ensemble: every trajectory tries a step of its own size, and keeps it or not.

The trajectories that are being advanced are the rows of the tensors below. Decisions stay on the
device: a rejected row keeps its state through ``where``, a finished row takes steps of length zero
until the rows are packed. Times count forwards along each trajectory, ``s = direction * t``, so that
nothing below depends on which way time runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solution import Result
from kutta.solvers.controllers import PID, Controller, StepTo
from kutta.solvers.ensemble_tally import Tally
from kutta.solvers.field import EnsembleField
from kutta.solvers.initial_step import initial_step
from kutta.solvers.method import Method, Step
from kutta.solvers.stepper import STRETCH, TINY
from kutta.solvers.tolerance import Tolerance

if TYPE_CHECKING:
    from jaxtyping import Float, Int

# Smallest step size relative to the time, in units of the last place of float64.
SMALLEST = 4.0 * torch.finfo(torch.float64).eps

# What has one entry a row.
ROWS = (
    "lanes",
    "s",
    "s1",
    "y",
    "h",
    "running",
    "carry",
    "codes",
    "direction",
    "earlier",
    "after_rejection",
    "floor",
)


def select(mask: Tensor, new: Any, old: Any) -> Any:
    """Row by row, `new` where the mask holds and `old` elsewhere, for pytrees of tensors."""
    if new is None or old is None:
        return None
    if isinstance(new, Tensor):
        return torch.where(mask.view(-1, *[1] * (new.dim() - 1)), new, old)
    if pytree.tree_structure(new) != pytree.tree_structure(old):
        return new if bool(mask.any()) else old  # a growing history: all rows keep the step, or none does
    return pytree.tree_map(lambda a, b: select(mask, a, b) if isinstance(a, Tensor) else a, new, old)


def take(index: Tensor, tree: Any) -> Any:
    """The rows `index` of every tensor of a pytree."""
    return pytree.tree_map(lambda leaf: leaf[index] if isinstance(leaf, Tensor) else leaf, tree)


class EnsembleStepper:
    """An ensemble in progress. All tensors below have one entry (or row) a trajectory, ``b`` in all.

    Attributes:
        lanes: which trajectory each row is.
        direction: 1 where time runs forwards, -1 where backwards; ``None`` if forwards everywhere.
        s: current times, forwards.
        s1: final times, forwards.
        y: current states, ``(b, D)``.
        h: sizes of the next trial steps.
        running: whether a row is neither finished nor failed.
        carry: the method's carry.
        codes: a `Result` code.
        tally: what the rows have cost.
        trials: trials so far, of any row.
        missed, kept, ratio, size: of the last trial, which rows rejected and which kept it, the error
            ratios, and the step sizes.
    """

    def __init__(
        self,
        field: EnsembleField,
        method: Method,
        controller: Controller,
        tolerance: Tolerance,
        span: tuple[Float[Tensor, " b"], Float[Tensor, " b"]],
        y: Float[Tensor, "b D"],
        lanes: Int[Tensor, " b"],
        h: Float[Tensor, " b"] | None = None,
        max_steps: int = 100_000,
    ):
        self.field, self.method, self.controller, self.tolerance = field, method, controller, tolerance
        t, t1 = span
        backwards = t1 < t
        self.direction = torch.where(backwards, -1.0, 1.0).to(t.dtype) if bool(backwards.any()) else None
        self.s, self.s1, self.y = self.along(t), self.along(t1), y
        self.lanes, self.max_steps, self.trials = lanes, max_steps, 0
        self.running, self.codes = self.s < self.s1, torch.zeros_like(lanes)
        # Below this size a step may be too small; whether it is, `fail` finds out.
        self.floor = torch.maximum(self.s.abs(), self.s1.abs()) * SMALLEST + controller.dtmin
        self.tally = Tally(*(torch.zeros_like(lanes) for _ in range(4)))
        self.stops, self.jumps = self._stops()
        self.carry = method.init(field, t[:, None], y)
        self.earlier: tuple[Tensor, ...] = (torch.ones_like(t),) * getattr(controller, "memory", 0)
        self.after_rejection = torch.zeros_like(self.running)
        self.h = self._first_step() if h is None else h

    def along(self, t: Tensor) -> Tensor:
        """Times of the rows, forwards; applied twice it gives the times back."""
        return t if self.direction is None else t * self.direction

    @property
    def t(self) -> Float[Tensor, " b"]:
        """Current times."""
        return self.along(self.s)

    def trial(self) -> Step:
        """One trial step of every row, with `accepted` set. Its `dt` has the precision of time."""
        self.trials += 1
        end, size = self._reach()
        move = self.along(size)
        step, carry = self.method.step(
            self.field, self.t[:, None], self.y, move[:, None].to(self.field.real_dtype), self.carry
        )
        step.t1, step.tolerance = self.along(end)[:, None], self.tolerance
        ratio = self._ratio(step)
        kept = (ratio <= 1.0) & self.running
        if self.controller.force_dtmin:
            kept |= (size <= self.controller.dtmin * (1.0 + STRETCH)) & torch.isfinite(ratio) & self.running
        kept, waiting = self._together(kept, carry)
        step.accepted = kept
        missed = self.running ^ kept
        self.tally.note(self.running, missed)
        if isinstance(self.controller, PID):
            h = self.h
            self._adapt(ratio, kept, missed, size)
            if waiting is not None:
                self.h = torch.where(waiting, h, self.h)
        self._move(step, carry, end)
        self.troubled = self.running & (self.h <= self.floor) if isinstance(self.controller, PID) else missed
        self.missed, self.kept, self.ratio, self.size = missed, kept, ratio, size
        return step

    def _together(self, kept: Tensor, carry: Any) -> tuple[Tensor, Tensor | None]:
        """While a method gathers its history all rows step together, or those that could wait."""
        if carry is None or isinstance(carry, Tensor):
            return kept, None
        if pytree.tree_structure(carry) == pytree.tree_structure(self.carry):
            return kept, None
        if torch.equal(kept, self.running):
            return kept, None
        return torch.zeros_like(kept), kept

    def _stops(self) -> tuple[Tensor | None, Tensor | None]:
        """Times to land on, sorted, and those among them at which the right-hand side jumps."""
        controller = self.controller
        jumps, stops = self._tensor(controller.jump_ts), self._tensor(controller.step_ts)
        prescribed = self._tensor(controller.ts if isinstance(controller, StepTo) else ())
        stops = torch.cat([jumps, stops, prescribed]).unique()
        return (stops if stops.numel() else None), (jumps if jumps.numel() else None)

    def _tensor(self, times: Any) -> Tensor:
        return torch.as_tensor(times, dtype=torch.float64, device=self.s.device)

    def _first_step(self) -> Tensor:
        if not isinstance(self.controller, PID):
            return torch.full_like(self.s, getattr(self.controller, "dt", math.inf))
        t = self.t[:, None]
        slope = self.carry if self.method.carries_slope else self.field.derivative(t, self.y)
        direction = 1.0 if self.direction is None else self.direction[:, None]
        h = initial_step(self.field, t, self.y, slope, direction, self.tolerance, self.method.order)
        return h.to(torch.float64).clamp(self.controller.dtmin, self.controller.dtmax)

    def _reach(self) -> tuple[Tensor, Tensor]:
        """Where the next steps end, forwards, and their sizes."""
        stop = self._next_stop()
        left = stop - self.s
        lands = left <= self.h * (1.0 + STRETCH)
        size = torch.where(lands, left, self.h)
        end = torch.where(lands, stop, self.s + size)
        if self.jumps is not None:
            size = torch.where(torch.isin(self.along(end), self.jumps), self._short_of(end) - self.s, size)
        return end, size

    def _next_stop(self) -> Tensor:
        if self.stops is None:
            return self.s1
        t = self.t
        above = self.stops[torch.searchsorted(self.stops, t, right=True).clamp(max=len(self.stops) - 1)]
        below = self.stops[(torch.searchsorted(self.stops, t) - 1).clamp(min=0)]
        stop = self.along(above if self.direction is None else torch.where(self.direction > 0, above, below))
        return torch.where((stop > self.s) & (stop < self.s1), stop, self.s1)

    def _short_of(self, end: Tensor) -> Tensor:
        """The last time before `end` that the right-hand side can tell from it, in its dtype."""
        return self._neighbour(end, -math.inf)

    def _neighbour(self, s: Tensor, towards: float) -> Tensor:
        clock = torch.float64 if self.field.real_dtype == torch.float64 else torch.float32
        rounded = s.to(clock)
        return torch.nextafter(rounded, torch.full_like(rounded, towards)).to(torch.float64)

    def _ratio(self, step: Step) -> Tensor:
        if not isinstance(self.controller, PID):
            return torch.where(torch.isfinite(step.y1).all(dim=1), 0.0, math.inf)
        if step.error is None:
            raise ValueError(f"{type(self.method).__name__} gave no error estimate: use controller=Fixed(dt)")
        return self.tolerance.ratio(step.error, step.y0.abs(), step.y1.abs())

    def _adapt(self, ratio: Tensor, kept: Tensor, missed: Tensor, size: Tensor) -> None:
        """The next step sizes."""
        controller = self.controller
        assert isinstance(controller, PID)
        ratio, factor = controller.factor(ratio, self.earlier, self.method.error_order or 1)
        h = size * torch.where(self.after_rejection, factor.clamp(max=1.0), factor)
        if self.stops is not None:
            cut_short = kept & (size < self.h * (1.0 - STRETCH))
            h = torch.where(cut_short, torch.maximum(h, self.h), h)
        if controller.dtmin > 0.0 or controller.dtmax < math.inf:
            h = h.clamp(controller.dtmin, controller.dtmax)
        self.h, self.after_rejection = h, missed
        newer = (ratio, *self.earlier)
        self.earlier = tuple(torch.where(kept, new, old) for new, old in zip(newer, self.earlier, strict=False))

    def _move(self, step: Step, carry: Any, end: Tensor) -> None:
        """Take the accepted rows to the end of their step."""
        kept = step.accepted
        assert isinstance(kept, Tensor)
        self.s = torch.where(kept, end, self.s)
        self.y = select(kept, step.y1, self.y)
        self.carry = select(kept, carry, self.carry)
        self.running = self.s < self.s1
        if self.jumps is not None:
            self._restart(torch.isin(self.t, self.jumps) & kept & self.running)

    def _restart(self, jumped: Tensor) -> None:
        """Start afresh behind a jump of the right-hand side."""
        if not bool(jumped.any()):
            return
        self.s = torch.where(jumped, self._neighbour(self.s, math.inf), self.s)
        fresh = self.method.init(self.field, self.t[:, None], self.y)
        if pytree.tree_structure(fresh) != pytree.tree_structure(self.carry):
            raise NotImplementedError(
                f"{type(self.method).__name__} cannot start single trajectories afresh: jump_ts in an ensemble "
                "needs a one-step method"
            )
        self.carry = select(jumped, fresh, self.carry)

    def fail(self) -> None:
        """Give up rows whose step size has become too small, or that fixed steps took to infinity."""
        stuck, ratio, size = self.missed, self.ratio, self.size
        if isinstance(self.controller, PID):
            floor = ((self.s1 - self.s).abs() * TINY).clamp(min=self.controller.dtmin)
            stuck = stuck & (size <= torch.maximum(self.s.abs() * SMALLEST, floor))
        code = torch.where(torch.isfinite(ratio), int(Result.STEP_UNDERFLOW), int(Result.NON_FINITE))
        self._end(stuck, code)

    def exhaust(self) -> None:
        """Give up rows that have taken as many steps as they may."""
        self._end(self.running & (self.tally.steps >= self.max_steps), int(Result.MAX_STEPS))

    def _end(self, rows: Tensor, code: Tensor | int) -> None:
        """Rows that have failed stand at their end, so that they move no more."""
        self.codes = torch.where(rows, code, self.codes)
        self.s1 = torch.where(rows, self.s, self.s1)
        self.running = self.s < self.s1

    def stop(self, rows: Int[Tensor, " n"], t: Float[Tensor, " n"], y: Float[Tensor, "n D"]) -> None:
        """End some rows where an event found them."""
        s = t if self.direction is None else t * self.direction[rows]
        self.s, self.s1 = self.s.index_put((rows,), s), self.s1.index_put((rows,), s)
        self.y = self.y.index_put((rows,), y)
        self.running = self.s < self.s1

    def pack(self, rows: Int[Tensor, " n"]) -> None:
        """Keep only some rows."""
        self.field, self.tally = self.field.take(rows), self.tally.take(rows)
        self.tolerance = self.tolerance.take(rows, self.field.layout)
        for name in ROWS:
            value = getattr(self, name)
            setattr(self, name, value if value is None else take(rows, value))
