"""Values between the ends of a step, and a whole solve as a function of time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kutta.autodiff import as_float

if TYPE_CHECKING:
    from kutta.solvers.method import Step
    from kutta.state import Layout


def hermite(theta: Any, dt: Any, y0: Tensor, y1: Tensor, slope0: Tensor, slope1: Tensor) -> Tensor:
    """The cubic polynomial with values ``y0, y1`` and derivatives ``slope0, slope1`` at the ends.

    ``theta`` in [0, 1] is the position in the step; it broadcasts with the states.
    """
    rest = 1 - theta
    return (
        rest * rest * (1 + 2 * theta) * y0
        + theta * theta * (3 - 2 * theta) * y1
        + dt * theta * rest * (rest * slope0 - theta * slope1)
    )


def polynomials(columns: Sequence[Tensor], theta: Any) -> Tensor:
    """The polynomials ``columns[0] theta + columns[1] theta**2 + ...`` by Horner's rule.

    Args:
        columns: their coefficients, ``(stages, 1)`` each.
        theta: a number, or ``n`` numbers in a tensor.

    Returns:
        a tensor of shape ``(stages, n)``.
    """
    *lower, value = columns
    theta = torch.as_tensor(theta, dtype=value.dtype, device=value.device).reshape(-1)
    value = value * theta
    for coefficient in reversed(lower):
        value = (value + coefficient) * theta
    return value


class DenseOutput:
    """A solve as a function of time: the interpolants of its accepted steps."""

    def __init__(self, steps: Sequence[Step], layout: Layout):
        self.steps, self.layout = steps, layout
        self.forward = steps[-1].t1 >= steps[0].t0
        sign = 1.0 if self.forward else -1.0
        self.ends = [sign * step.t1 for step in steps]
        self.sign, self.t0, self.t1 = sign, steps[0].t0, steps[-1].t1

    def __call__(self, t: float | Tensor) -> Any:
        """The user's state at time(s) `t`."""
        if not isinstance(t, Tensor):
            t = torch.tensor(t, dtype=torch.float64)
        if t.dim() > 1:
            raise ValueError(f"t must be a number or a tensor of shape (n,); got shape {tuple(t.shape)}")
        values = [self.state_at(time) for time in t.reshape(-1)]
        flat = torch.stack(values) if t.dim() else values[0]
        return self.layout.unravel(flat, axes=t.dim())

    def state_at(self, t: float | Tensor) -> Tensor:
        """The state, in the layout of the solver, at one time."""
        step = self.step_at(as_float(t))
        theta = (t - step.t0) / step.dt
        if isinstance(theta, Tensor):
            theta = theta.to(step.y0.device, self.layout.real_dtype)
        return step.at(theta)

    def state_near(self, t: Any) -> Tensor:
        """The state at a time that rounding may have moved out of the solve."""
        return self.state_at(min(max(t, min(self.t0, self.t1)), max(self.t0, self.t1)))

    def step_at(self, t: float) -> Step:
        """The accepted step that holds time `t`."""
        slack = 1e-9 * abs(self.t1 - self.t0)
        low, high = min(self.t0, self.t1), max(self.t0, self.t1)
        if not low - slack <= t <= high + slack:
            raise ValueError(f"t = {t} lies outside the solve, which covers [{low}, {high}]")
        return self.steps[min(bisect_right(self.ends, self.sign * t), len(self.steps) - 1)]


class EnsembleDenseOutput:
    """An ensemble solve as a function of time, each trajectory with steps of its own.

    The accepted steps of every iteration are kept; a trajectory's value is taken from the step of
    its own that holds the time.
    """

    def __init__(self, steps: Sequence[tuple[Step, Tensor]], layout: Layout):
        self.steps, self.layout = steps, layout

    def __call__(self, t: float | Tensor) -> Any:
        """States at `t`: a number, ``(n,)`` common times, giving ``(n, B, ...)``."""
        batch = self.layout.batch or 0
        if not isinstance(t, Tensor):
            t = torch.tensor(t, dtype=torch.float64)
        if t.dim() > 1:
            raise ValueError(f"t must be a number or a tensor of shape (n,); got shape {tuple(t.shape)}")
        times = t.reshape(-1).to(self.layout.device, torch.float64)
        size = self.steps[0][0].y0.shape[1]
        out = torch.full((len(times), batch, size), float("nan"), dtype=self.layout.dtype, device=self.layout.device)
        for step, lanes in self.steps:
            t0, t1 = step.t0[:, 0], step.t1[:, 0]
            theta = ((times[:, None] - t0) / (t1 - t0)).clamp(0.0, 1.0)
            between = (times[:, None] - t0) * (times[:, None] - t1) <= 0.0
            inside = between & step.accepted & (t0 != t1)
            for row in torch.nonzero(inside.any(dim=1))[:, 0].tolist():
                value = step.at(theta[row, :, None].to(self.layout.real_dtype))
                at = lanes[inside[row]]
                out = out.index_put((torch.tensor(row, device=out.device), at), value[inside[row]])
        flat = out if t.dim() else out[0]
        return self.layout.unravel(flat, axes=t.dim())
