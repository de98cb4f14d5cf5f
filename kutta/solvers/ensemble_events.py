"""Events of the trajectories of an ensemble: signs for all rows at once, roots for those that cross."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.optimize import elementwise
from torch import Tensor

from kutta.solvers.events import SOON, Event, negligible
from kutta.solvers.field import EnsembleField
from kutta.solvers.method import Step
from kutta.solvers.times import rate_of_change

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from kutta.solvers.ensemble_stepper import EnsembleStepper


@dataclass
class Cut:
    """Rows of a trial that an event ended.

    Attributes:
        rows: which rows.
        lanes: which trajectories.
        event: which event, for each.
        theta: the position in the step, ``(n, 1)``.
        t: the time, ``(n,)``.
        size: larger absolute value of the condition at the ends of the step, ``(n,)``.
        h: step size with which to go on, ``(n,)``.
    """

    rows: Int[Tensor, " n"]
    lanes: Int[Tensor, " n"]
    event: Int[Tensor, " n"]
    theta: Float[Tensor, "n 1"]
    t: Float[Tensor, " n"]
    size: Float[Tensor, " n"]
    h: Float[Tensor, " n"]


def condition_of(event: Event, number: int, field: EnsembleField) -> Callable[[Tensor, Tensor], Tensor]:
    """``g(t, y)`` for times ``(n,)`` and states ``(n, D)`` of the rows of `field`, giving ``(n,)``."""
    g = event.condition if field.problem.vectorized else field.mapped(event.condition)

    def condition(t: Tensor, y: Tensor) -> Tensor:
        value = g(t, field.layout.unravel(y), *field.args)
        if not isinstance(value, Tensor) or value.numel() != t.shape[0] or not value.is_floating_point():
            came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"events[{number}].condition must return one real number a trajectory; got {came}")
        return value.reshape(-1)

    return condition


class EnsembleEventWatch:
    """The signs of all conditions of all rows along a solve.

    Attributes:
        values: the conditions at the current times, ``(b, E)``; where one was zero, the sign it takes
            on right afterwards, times the smallest number.
    """

    def __init__(self, events: Sequence[Event]):
        self.events = tuple(events)
        self.values = torch.empty(0)

    def evaluate(self, field: EnsembleField, t: Tensor, y: Tensor) -> Float[Tensor, "b E"]:
        """All conditions of all rows."""
        values = [condition_of(event, number, field)(t, y) for number, event in enumerate(self.events)]
        return torch.stack([value.to(torch.float64) for value in values], dim=1)

    @torch.no_grad()
    def start(self, stepper: EnsembleStepper, after: Cut | None = None) -> None:
        """Take the signs at the start, where the event that was just hit counts as zero."""
        if not self.events:
            return
        values = self.evaluate(stepper.field, stepper.t, stepper.y)
        if after is not None:
            rows = torch.arange(len(values), device=values.device)
            hit = values[rows, after.event]
            stays = torch.tensor([event.change is None for event in self.events], device=values.device)
            zero = stays[after.event] | (hit.abs() <= negligible(stepper.y) * after.size)
            values[rows, after.event] = torch.where(zero, 0.0, hit)
        if bool((values == 0.0).any()):
            values = torch.where(values == 0.0, self._signs_after(stepper), values)
        self.values = values

    def _signs_after(self, stepper: EnsembleStepper) -> Tensor:
        conditions = [condition_of(event, number, stepper.field) for number, event in enumerate(self.events)]
        rates = [rate_of_change(stepper.field, condition, stepper.t, stepper.y) for condition in conditions]
        signs = torch.stack([stepper.along(torch.sign(rate).to(torch.float64)) for rate in rates], dim=1)
        return signs * torch.finfo(torch.float64).tiny

    def crossings(self, stepper: EnsembleStepper) -> Tensor:
        """Which rows crossed some event in the last trial; of the others, the new values are taken over."""
        new, old, kept = self.evaluate(stepper.field, stepper.t, stepper.y), self.values, stepper.kept
        directions = torch.tensor([event.direction for event in self.events], device=new.device)
        upwards = (old < 0) & (new >= 0) & (directions >= 0)
        downwards = (old > 0) & (new <= 0) & (directions <= 0)
        self.crossed = (upwards | downwards) & kept[:, None]
        self.before, self.sizes = old, torch.maximum(old.abs(), new.abs())
        self.values = torch.where(kept[:, None] & (new != 0.0), new, old)
        return self.crossed.any(dim=1)

    def cut(self, step: Step, stepper: EnsembleStepper) -> Cut:
        """End each row that crossed at its first event."""
        rows, move = torch.nonzero(self.crossed.any(dim=1))[:, 0], stepper.along(stepper.size)
        thetas = torch.full((len(rows), len(self.events)), torch.inf, dtype=torch.float64, device=rows.device)
        for number in range(len(self.events)):
            among = torch.nonzero(self.crossed[rows, number])[:, 0]
            if len(among):
                thetas[among, number] = self._locate(number, step.rows(rows[among]), move[rows[among]], rows[among])
        theta, event = thetas.min(dim=1)
        column = theta[:, None]
        t = torch.where(theta == 1.0, step.t1[rows, 0], step.t0[rows, 0] + theta * move[rows])
        stepper.stop(rows, t, step.rows(rows).at_exactly(column))
        return Cut(rows, stepper.lanes[rows], event, column, t, self.sizes[rows, event], stepper.h[rows])

    def _locate(self, number: int, step: Step, move: Tensor, rows: Tensor) -> Float[Tensor, " n"]:
        """Positions where one condition crosses zero in the given rows."""
        device, signs = rows.device, torch.sign(self.before[rows, number])
        field: Any = step.field
        step.prepare()

        def at(theta: np.ndarray, among: np.ndarray) -> np.ndarray:
            index = torch.as_tensor(among.astype(np.int64), device=device)
            position = torch.as_tensor(theta, dtype=torch.float64, device=device)[:, None]
            t = step.t0[index, 0] + position[:, 0] * move[index]
            condition = condition_of(self.events[number], number, field.take(index))
            return condition(t, step.rows(index).at_exactly(position)).to(torch.float64).cpu().numpy()

        every = np.arange(len(rows))
        start, wanted = np.ones(len(rows)), signs.cpu().numpy()
        for soon in reversed((0.0, *SOON)):
            start = np.where(at(np.full(len(rows), soon), every) * wanted > 0, soon, start)
        found = elementwise.find_root(at, (start, np.ones(len(rows))), args=(every,))
        theta = np.where(found.success, found.x, 1.0)
        return torch.as_tensor(theta, device=device)

    def pack(self, rows: Tensor) -> None:
        """Keep only some rows."""
        if self.events:
            self.values = self.values[rows]
