"""Notes what every accepted step was like; a watcher that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.history import History
from kutta.regularizers.error_estimate import ErrorEstimate
from kutta.regularizers.stiffness_estimate import StiffnessEstimate
from kutta.solvers.method import Method, Step


def _measured(step: Step, method: Method, like: Tensor) -> tuple[Tensor, Tensor]:
    """Error ratio and stiffness, NaN where the method does not tell."""
    step = replace(step)  # a copy, since slopes evaluated here are not on the tape
    missing = torch.full_like(like, torch.nan)
    error = ErrorEstimate().measure(step) if step.error is not None else missing
    stiffness = StiffnessEstimate().measure(step) if method.estimates_stiffness else missing
    return error.to(like), stiffness.to(like)


class Recorder:
    """Of a problem with one step size."""

    def __init__(self, method: Method):
        self.method = method
        self.times: list[tuple[float, float]] = []
        self.values: list[Tensor] = []
        self.sigma = torch.nan

    @torch.no_grad()
    def note(self, step: Step) -> None:
        """Note an accepted step."""
        like = torch.zeros((), dtype=torch.float64, device=step.y0.device)
        self.times.append((step.t0, abs(step.dt)))
        self.values.append(torch.stack(_measured(step, self.method, like)))
        self.sigma = step.stability_size or torch.nan

    def history(self) -> History:
        """All steps so far."""
        device = self.values[0].device if self.values else None
        t, h = torch.tensor(self.times, dtype=torch.float64, device=device).reshape(-1, 2).unbind(dim=1)
        nothing = torch.empty(0, 2, dtype=torch.float64)
        error, stiffness = (torch.stack(self.values) if self.values else nothing).unbind(dim=1)
        return History(t, h, error, stiffness, h * stiffness / self.sigma)


class EnsembleRecorder:
    """Of the trajectories of an ensemble."""

    def __init__(self, method: Method, batch: int, device: torch.device):
        self.method = method
        self.steps = torch.zeros(batch, dtype=torch.int64, device=device)
        self.trials: list[tuple[Tensor, Tensor, Tensor]] = []
        self.sigma = torch.nan

    @torch.no_grad()
    def note(self, step: Step, lanes: Tensor, dt: Tensor) -> None:
        """Note a trial of the trajectories `lanes`, with its signed sizes ``(b,)``."""
        kept: Any = step.accepted & (dt != 0)
        values = torch.stack([step.t0[:, 0], dt.abs(), *_measured(step, self.method, dt)])
        self.trials.append((lanes[kept], self.steps[lanes][kept], values[:, kept]))
        self.steps[lanes] += kept
        self.sigma = step.stability_size or torch.nan

    def history(self) -> History:
        """All steps so far, ``(n, B)``."""
        count, batch = int(self.steps.max()), len(self.steps)
        table = torch.full((4, count, batch), torch.nan, dtype=torch.float64, device=self.steps.device)
        for lanes, number, values in self.trials:
            table[:, number, lanes] = values
        t, h, error, stiffness = table.unbind(dim=0)
        return History(t, h, error, stiffness, h * stiffness / self.sigma)
