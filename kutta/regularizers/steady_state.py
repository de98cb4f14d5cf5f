"""The steady-state penalty of TisODE.

Yan, Du, Tan, Feng, On robustness of neural ordinary differential equations, ICLR 2020, arXiv
1910.05513.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.regularizers.integral import Integral
from kutta.solvers.method import Step


@dataclass(frozen=True)
class SteadyState(Integral):
    """``int mean |f(y(t))| dt`` over the times past `after`: motion that should have come to rest.

    Solve to twice the time that the model uses, with ``save_at`` its own final time and a step that
    ends there: ``controller=kt.PID(step_ts=[after])``. Only steps that begin at or past `after` count.
    The mean is over the entries of the state. The paper's `f` does not depend on the time.

    Attributes:
        after: the time from which on the state should rest.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: 3.0 * torch.ones_like(y), torch.zeros(2), (0.0, 2.0))
        >>> rest = kt.regularizers.SteadyState(after=1.0)
        >>> sol = kt.solve(problem, controller=kt.PID(step_ts=[1.0]), penalties={"rest": rest})
        >>> float(sol.penalties["rest"])
        3.0
    """

    after: float

    def integrand(self, field: Any, t: Any, y: Tensor) -> Tensor:
        return self.mean(field.derivative(t, y).abs(), field)

    def update(self, state: Tensor, step: Step) -> Tensor:
        """One more step, if it counts."""
        past = (step.t0 - self.after) * step.dt >= 0.0  # whichever way time runs
        if isinstance(past, Tensor):
            return state + torch.where(past[:, 0], self.over(step), 0.0)
        return state + self.over(step) if past else state
