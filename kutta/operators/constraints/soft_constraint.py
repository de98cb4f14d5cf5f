"""The baseline of hard constraints: a network whose residual is a penalty, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from kutta.operators.constraints.estimated_error import EstimatedError
from kutta.operators.constraints.prediction import Prediction
from kutta.operators.constraints.space_time import SpaceTime
from kutta.operators.constraints.space_time_network import SpaceTimeNetwork
from kutta.pde.problem import PDEProblem
from kutta.solution import Result


class SoftConstraint(SpaceTimeNetwork):
    """A field from a network, without a solve: ``u(t, x) = u_0(x) + s(t) b(t, x)``.

    What `ConstrainedBasis` is compared with, trained by the same `Prediction.loss`.

    Args:
        backbone: the network, with one field.
        steps: as of `MixtureOfExperts`.
        inputs: likewise.
        measure: likewise.
        ramp: likewise.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32)
        >>> problem = kt.pde.Heat(0.05).problem(grid, lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.5))
        >>> model = kt.operators.SoftConstraint(kt.operators.FNO(1, 1, (8, 8), width=8, layers=2), steps=16)
        >>> model(problem).u.shape
        torch.Size([17, 32])
    """

    def __init__(
        self,
        backbone: nn.Module,
        steps: int,
        inputs: Sequence[str] = ("u0",),
        measure: EstimatedError | None = None,
        ramp: float = 1.0,
    ):
        super().__init__(backbone, steps, inputs, measure, ramp)

    def forward(self, problem: PDEProblem) -> Prediction:
        """The field that the network says."""
        space_time = SpaceTime(problem, self.steps)
        fields = self.changes(self.read(space_time), space_time)
        if len(fields) != 1:
            raise ValueError(f"backbone must return one field; got {len(fields)}")
        results = torch.full((fields.shape[2], 1), int(Result.SUCCESS), device=fields.device)
        return self.predicted(space_time, space_time.constant + fields[0], self.measured_on(space_time), results)
