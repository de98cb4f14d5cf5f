"""Events: times where a function of the solution crosses zero, and what happens there."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from scipy.optimize import brentq
from torch import Tensor

from kutta.autodiff import is_mapped, read
from kutta.solvers.method import Step
from kutta.solvers.times import rate_of_change

if TYPE_CHECKING:
    from kutta.solvers.field import VectorField

# Events this close in a step happen together.
SAME = 1e-10
# Positions at which to look for the sign that a condition has right after it was zero.
SOON = tuple(2.0**-power for power in (40, 30, 20, 12, 8, 6, 4, 3, 2, 1))


@dataclass(frozen=True)
class Event:
    """Something that happens when ``condition(t, y, *args)`` crosses zero.

    The crossing is seen when the sign differs between the ends of an accepted step, and located on
    the step's interpolant. A condition that is zero at the start takes the sign it has right afterwards.
    When several events cross in one step, the first in time wins. The time and the state of an
    event are differentiable, by the implicit function theorem.

    Attributes:
        condition: called as ``condition(t, y, *args)`` like the right-hand side, except that `t` is
            float64; returns a real tensor with one entry (one a trajectory, where the right-hand
            side of an ensemble is vectorized).
        change: gives the state after the event, ``change(t, y, *args)``, and the solve goes on
            from there. Without it the state stays.
        terminal: whether the solve ends; by default, when there is no `change`.
        direction: 1 for crossings upwards in the direction of the solve, -1 for downwards, 0 for both.

    Example:
        A ball bounces with nine tenths of its speed.

        >>> import torch, kutta as kt
        >>> def fall(t, y):
        ...     return torch.stack([y[1], torch.full_like(y[1], -9.81)])
        >>> floor = kt.Event(lambda t, y: y[0], change=lambda t, y: torch.stack([y[0], -0.9 * y[1]]), direction=-1)
        >>> start = torch.tensor([1.0, 0.0], dtype=torch.float64)
        >>> sol = kt.solve(kt.ODEProblem(fall, start, (0.0, 1.5)), events=[floor], rtol=1e-8)
        >>> [round(float(record.t), 4) for record in sol.events]
        [0.4515, 1.2643]
    """

    condition: Callable[..., Any]
    change: Callable[..., Any] | None = None
    terminal: bool | None = None
    direction: int = 0

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction must be -1, 0 or 1; got {self.direction!r}")
        if self.terminal and self.change is not None:
            raise ValueError("an event is either terminal or changes the state, not both")

    @property
    def ends(self) -> bool:
        """Whether the solve ends at this event."""
        return self.change is None if self.terminal is None else self.terminal


@dataclass(frozen=True)
class Hit:
    """Where a step is cut.

    Attributes:
        events: the events that happen there, in the order of their list.
        theta: the position in the step.
        t: the time.
        sizes: for each event, the larger absolute value of its condition at the ends of the step.
    """

    events: tuple[int, ...]
    theta: float
    t: float
    sizes: tuple[float, ...]


class EventWatch:
    """The signs of all conditions along a solve with one step size.

    Attributes:
        values: the conditions at the last accepted time.
        forward: 1 where time runs forwards, -1 where it runs backwards.
    """

    def __init__(self, events: Sequence[Event], field: VectorField, forward: float = 1.0):
        self.events, self.field, self.forward = tuple(events), field, forward
        self.values: list[float] = []

    def condition(self, event: int) -> Callable[[Tensor, Tensor], Tensor]:
        """``g(t, y)`` of one event, for a state in the solver's layout."""
        problem, layout = self.field.problem, self.field.layout

        def g(t: Tensor, y: Tensor) -> Tensor:
            value = self.events[event].condition(t, layout.unravel(y), *problem.args)
            if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
                came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"events[{event}].condition must return a real tensor with one entry; got {came}")
            return value.reshape(())

        return g

    def evaluate(self, t: float, y: Tensor) -> list[Tensor]:
        """All conditions at one point, as tensors."""
        time = torch.scalar_tensor(t, dtype=torch.float64, device=y.device)
        with torch.no_grad():
            values = [self.condition(event)(time, y.detach()) for event in range(len(self.events))]
        if is_mapped(values):
            raise NotImplementedError("events under torch.func.vmap: put the batch into an EnsembleProblem instead")
        return values

    def start(self, t: float, y: Tensor, after: Hit | None = None) -> None:
        """Take the signs at the start, where the event that was just hit counts as zero."""
        values = self.evaluate(t, y)
        self.values = read(torch.stack([value.to(torch.float64) for value in values])) if values else []
        for number, size in zip(after.events, after.sizes, strict=True) if after is not None else ():
            stays = self.events[number].change is None
            if stays or abs(self.values[number]) <= negligible(y) * size:
                self.values[number] = 0.0
        self.values = [value or self._sign_after(event, t, y) for event, value in enumerate(self.values)]

    def _sign_after(self, event: int, t: float, y: Tensor) -> float:
        """The sign that a condition which is zero at ``(t, y)`` takes on right afterwards."""
        time = torch.scalar_tensor(t, dtype=torch.float64, device=y.device)
        rate = float(read(rate_of_change(self.field, self.condition(event), time, y)))
        return self.forward * float((rate > 0) - (rate < 0)) * sys.float_info.min

    def probe(self, step: Step) -> list[Tensor]:
        """All conditions at the end of a trial step."""
        return self.evaluate(step.t1, step.y1)

    def first(self, step: Step, values: list[float]) -> Hit | None:
        """The first event in an accepted step at whose end the conditions are `values`."""
        crossed = [
            event
            for event, (old, new) in enumerate(zip(self.values, values, strict=True))
            if _crosses(old, new, self.events[event].direction)
        ]
        if crossed:
            step.at(0.5)  # evaluates what the interpolant needs on the tape, which locating does not use
        hits = [self._locate(step, event, values[event]) for event in crossed]
        if not hits:
            # A condition that was zero keeps its last sign, so that touching zero is no crossing.
            self.values = [new if new != 0.0 else old for old, new in zip(self.values, values, strict=True)]
            return None
        first = min(theta for theta, _ in hits)
        together = [(event, size) for event, (theta, size) in zip(crossed, hits, strict=True) if theta <= first + SAME]
        events, sizes = zip(*together, strict=True)
        t = step.t1 if first == 1.0 else step.t0 + first * (step.t1 - step.t0)
        return Hit(events, first, t, sizes)

    @torch.no_grad()
    def _locate(self, step: Step, event: int, value: float) -> tuple[float, float]:
        """Where one event happens in a step, and how large its condition is at the step's ends."""
        g, length = self.condition(event), step.t1 - step.t0
        size = max(abs(value), abs(self.values[event]))

        def at(theta: float) -> float:
            if theta == 1.0:
                return value
            time = torch.scalar_tensor(step.t0 + theta * length, dtype=torch.float64, device=step.y0.device)
            return float(read(g(time, (step.y0 if theta == 0.0 else step.at(theta)).detach())))

        start = next((theta for theta in (0.0, *SOON) if at(theta) * self.values[event] > 0.0), 1.0)
        if start == 1.0 or value == 0.0:
            return 1.0, size
        theta: Any = brentq(at, start, 1.0, xtol=1e-15)
        return float(theta), size


def negligible(y: Tensor) -> float:
    """How small a condition must be after a change of state, relative to its size before, to count as zero."""
    return math.sqrt(torch.finfo(y.dtype).eps)


def _crosses(old: float, new: float, direction: int) -> bool:
    upwards, downwards = old < 0.0 <= new, old > 0.0 >= new
    return (upwards and direction >= 0) or (downwards and direction <= 0)
