"""Networks that propose fields in space and time, and how well these fulfil an equation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kutta.operators.constraints.estimated_error import EstimatedError, Propagator
from kutta.operators.constraints.finite_samples import applied
from kutta.operators.constraints.prediction import Prediction
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.operator import check_counts
from kutta.operators.scope import read_inputs
from kutta.solution import Result

# What a grid has along an axis at least, without the initial state.
_FEWEST_STEPS = 2


class SpaceTimeNetwork(nn.Module):
    """What networks have in common that know an equation.

    Attributes:
        backbone: maps ``(n, inputs, *shape)`` on a grid of time and space to fields there, ``(n, N, *shape)``.
        steps: equal ones, into which the time span of problems is divided.
        inputs: what the network reads off a problem: ``"u0"`` and names of coefficients.
        measure: of residuals, or nothing where these count themselves.
        ramp: how soon after the beginning fields are free.
    """

    def __init__(self, backbone: nn.Module, steps: int, inputs: Sequence[str], measure: Any, ramp: float):
        super().__init__()
        if not isinstance(backbone, nn.Module):
            raise TypeError(f"backbone must be a network such as kutta.operators.FNO; got {type(backbone).__name__}")
        check_counts(steps=steps)
        if steps < _FEWEST_STEPS:
            raise ValueError(f"steps must be at least {_FEWEST_STEPS}; got {steps}")
        if not (measure is None or isinstance(measure, EstimatedError)):
            raise TypeError(f"measure must be None or a kutta.operators.EstimatedError; got {measure!r}")
        if isinstance(ramp, bool) or not isinstance(ramp, int | float) or not 0.0 <= ramp <= 1.0:
            raise ValueError(f"ramp must be a number from 0 to 1; got {ramp!r}")
        self.backbone, self.steps, self.inputs = backbone, steps, tuple(inputs)
        self.measure, self.ramp = measure, float(ramp)

    def read(self, space_time: SpaceTime) -> Tensor:
        """What the network reads of a problem, lasting: ``(n, inputs, Q + 1, *shape)``."""
        a = read_inputs(space_time.problem, self.inputs)
        of_network = next(self.backbone.parameters(), a)
        if of_network.device != a.device:
            raise ValueError(f"problem must be on the device of the network, {of_network.device}; got {a.device}")
        a = a.to(of_network.dtype)
        return a.unsqueeze(2).expand(-1, -1, self.steps + 1, *a.shape[2:])

    def changes(self, a: Tensor, space_time: SpaceTime) -> Tensor:
        """Fields that leave alone what is given, ``(N, Q + 1, n, *shape)``, in double precision."""
        found = applied(self.backbone, a, space_time.whole_grid)
        wanted = (a.shape[0], *a.shape[2:])
        if not isinstance(found, Tensor) or (found.shape[0], *found.shape[2:]) != wanted:
            kind = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"backbone must return {wanted[0]} samples of fields {wanted[1:]} in channels; got {kind}")
        since = torch.linspace(0.0, 1.0, self.steps + 1, dtype=torch.float64, device=a.device)
        ramp = (since / max(self.ramp, 1.0 / self.steps)).clamp(max=1.0)
        fields = found.double().movedim(0, 2) * ramp.reshape(-1, *[1] * (found.dim() - 2))
        return space_time.zero_at_sides(fields)

    def measured_on(self, space_time: SpaceTime) -> Propagator | None:
        """The measure, ready for a grid of time and space."""
        return None if self.measure is None else self.measure.on(space_time)

    def predicted(
        self, space_time: SpaceTime, u: Tensor, measure: Propagator | None, results: Tensor, **details: Any
    ) -> Prediction:
        """A field ``(Q + 1, n, *shape)``, and how well it fulfils the equation."""
        residual = space_time.residual_of(u)
        finite = residual.detach().isfinite().transpose(0, 1).flatten(1).all(1)
        results = torch.where(finite[:, None], results, int(Result.NON_FINITE))
        if not bool(finite.all()):
            # What is no number has no derivatives, not even such as are zero times it.
            residual = space_time.residual_of(
                torch.where(finite.reshape(-1, *[1] * space_time.grid.dim), u, u.detach())
            )
        error = residual if measure is None else measure(residual.movedim(1, 0)).movedim(0, 1)
        shown = u.reshape(self.steps + 1, *space_time.lead, *space_time.grid.shape)
        return Prediction(space_time.times, shown, residual, error, results, **details)
