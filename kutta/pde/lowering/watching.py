"""What the functions of a user see of a solve: fields with the boundary's values.

At nodes on `Dirichlet` sides the boundary gives the values. A solver leaves these entries of its states as they are, so
they are filled in before events, penalties and limits of the step see a state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.given import filled, is_data
from kutta.pde.grids.grid import Grid, conditions
from kutta.regularizers.local import Local
from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.controllers import CFL, Controller
from kutta.solvers.events import Event
from kutta.solvers.method import Step

Fill = Callable[[Tensor, Any], Tensor]


def shown_fields(grid: Grid, t0: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `kutta.solve`, whose functions of a state are given fields; `kutta.solve` checks the rest."""
    if not any(is_data(grid, axis, side) for axis, side, _ in conditions(grid)):
        return dict(given)
    fill = partial(_filled, grid)
    seeing = {
        "events": partial(_events, fill),
        "penalties": partial(_penalties, fill, t0),
        "controller": partial(_controller, fill),
    }
    return {name: seeing[name](value) if name in seeing else value for name, value in given.items()}


def _filled(grid: Grid, u: Tensor, t: Any) -> Tensor:
    return filled(grid, u, torch.as_tensor(t, dtype=torch.float64, device=u.device))


def _of_field(function: Callable[..., Any] | None, fill: Fill) -> Callable[..., Any] | None:
    """A function ``(t, u, ...)`` that is given the field of a state."""
    return None if function is None else lambda t, u, *args: function(t, fill(u, t), *args)


def _events(fill: Fill, events: Any) -> Any:
    if isinstance(events, Event):
        return replace(events, condition=_of_field(events.condition, fill), change=_of_field(events.change, fill))
    return [_events(fill, one) for one in events] if isinstance(events, Sequence) else events


def _penalties(fill: Fill, t0: Any, penalties: Any) -> Any:
    """Penalties of drawn steps pass no state to a function of the user, and are left as they are."""
    if not isinstance(penalties, Mapping):
        return penalties
    return {
        name: Seeing(one, fill, t0) if isinstance(one, Regularizer) and not isinstance(one, Local) else one
        for name, one in penalties.items()
    }


def _controller(fill: Fill, controller: Any) -> Any:
    if isinstance(controller, CFL):
        controller = replace(controller, crossing=_of_field(controller.crossing, fill))
    if isinstance(controller, Controller) and controller.max_step is not None:
        controller = replace(controller, max_step=_of_field(controller.max_step, fill))
    return controller


@dataclass(frozen=True)
class Seeing(Regularizer):
    """A penalty that is shown fields.

    Attributes:
        inner: as the user gave it.
        fill: from a state and its time to the field.
        t0: the initial time.
    """

    inner: Regularizer
    fill: Fill
    t0: Any

    def check(self, method: Any, dtype: torch.dtype, rtol: Any) -> None:
        self.inner.check(method, dtype, rtol)

    def init(self, y: Tensor) -> Any:
        """At the initial field."""
        return self.inner.init(self.fill(y, self.t0))

    def update(self, state: Any, step: Step) -> Any:
        """One more step, from field to field."""
        return self.inner.update(state, StepOfFields(step, self.fill))

    def value(self, state: Any) -> Tensor:
        """As it says."""
        return self.inner.value(state)


class StepOfFields(Step):
    """A step whose states are fields; all else is that of the step."""

    def __init__(self, step: Step, fill: Fill):
        super().__init__(
            *(step.t0, step.t1, step.dt, fill(step.y0, step.t0), fill(step.y1, step.t1), step.field),
            **{name: getattr(step, name) for name in ("error", "stages", "accepted", "tolerance", "covered")},
        )
        self._step, self._fill = step, fill

    def at(self, theta: Any) -> Tensor:
        return self._fill(self._step.at(theta), self.t0 + theta * self.dt)

    def end_slopes(self) -> tuple[Tensor, Tensor]:
        return self._step.end_slopes()

    def stiffness_pair(self) -> tuple[Tensor, Tensor]:
        return self._step.stiffness_pair()

    @property
    def stability_size(self) -> float | None:  # type: ignore[override]
        return self._step.stability_size

    @property
    def weights(self) -> Sequence[float]:  # type: ignore[override]
        return self._step.weights
