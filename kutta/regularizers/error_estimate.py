"""Penalties on the solver's own estimate of its error.

With the error estimate ``e_j`` of the accepted step ``j`` and the scale ``w_j`` that the controller
divides it by,

    w_j = atol + rtol * max(|y_j|, |y_{j+1}|)       q_j = RMS(e_j / w_j)

``q_j`` is the number that the controller compares with one. It stays of order one whatever the
tolerance, so a coefficient found at one tolerance serves at another; the raw ``RMS(e_j)`` scales with
the tolerance, and a coefficient for it is of another order of magnitude.

Pal, Ma, Shah, Rackauckas, Opening the Blackbox: accelerating neural differential equations by
regularizing internal solver heuristics, ICML 2021, arXiv 2105.03918. Their text writes the raw form;
the code that produced their tables uses ``q_j``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.regularizers.over_steps import OverSteps
from kutta.solvers.method import Method, Step

# Below this many units of rounding, an error ratio is noise.
NOISE = 30.0


@dataclass(frozen=True)
class ErrorEstimate(OverSteps):
    """``sum_j q_j h_j``: how hard the solver finds the problem, as its controller sees it.

    Step sizes are constants for the gradient: it says whether the same steps would make a smaller
    error. Through the controller, which keeps ``q_j`` where it is whatever the model does, the
    penalty would hardly change.

    Attributes:
        reduce: ``"sum"``: ``sum_j q_j h_j``; ``"mean"``: over the steps; ``"max"``: ``max_j q_j``.
        normalise: ``q_j`` as above (the default, dimensionless), or the raw ``RMS(e_j)``.
        rtol, atol: what defines ``w_j``; by default the tolerances of the solve. Give them to compare
            solves at different tolerances, and for fixed steps.
        detach_scale: take ``w_j`` as a constant, so that a model cannot lower the penalty by making
            its state large.

    Example:
        >>> import torch, kutta as kt
        >>> rate = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
        >>> problem = kt.ODEProblem(lambda t, y, k: -k * y, torch.ones(1, dtype=torch.float64), (0.0, 1.0), (rate,))
        >>> sol = kt.solve(problem, penalties={"error": kt.regularizers.ErrorEstimate()})
        >>> sol.penalties["error"].backward()
        >>> bool(rate.grad > 0)  # slower decay would make the same steps more accurate
        True
    """

    rtol: float | None = field(default=None, kw_only=True)
    atol: float | None = field(default=None, kw_only=True)
    detach_scale: bool = field(default=False, kw_only=True)

    def check(self, method: Method, dtype: torch.dtype, rtol: Any) -> None:
        """Refuse a method without an error estimate; warn where the estimate is rounding noise."""
        if method.error_order is None:
            raise ValueError(
                f"{type(self).__name__} needs an error estimate, which {type(method).__name__} does not have: "
                "use an embedded method such as Tsit5"
            )
        rtol, eps = self.rtol if self.rtol is not None else rtol, torch.finfo(dtype).eps
        if self.normalise and isinstance(rtol, float) and 0.0 < rtol < NOISE * eps:
            warnings.warn(
                f"with rtol = {rtol:.1e} in {dtype} the error ratio is mostly rounding noise, and so is its gradient: "
                f"use rtol of at least {NOISE * eps:.0e}, or a wider dtype",
                stacklevel=5,
            )

    def measure(self, step: Step) -> Tensor:
        if step.error is None:
            raise ValueError(f"{type(self).__name__} needs an error estimate, which this step does not have")
        return self._rms(step.error / self._scale(step) if self.normalise else step.error, step)

    def _scale(self, step: Step) -> Tensor:
        rtol = step.tolerance.rtol if self.rtol is None else self.rtol
        atol = step.tolerance.atol if self.atol is None else self.atol
        scale = atol + rtol * torch.maximum(step.y0.abs(), step.y1.abs())
        scale = scale.detach() if self.detach_scale else scale
        # Without an absolute tolerance an entry that is zero would divide by zero.
        return torch.where(scale > 0, scale, torch.finfo(scale.dtype).tiny)


@dataclass(frozen=True)
class ErrorEstimateSquared(ErrorEstimate):
    """``sum_j q_j^2``: as `ErrorEstimate`, with most weight on the hardest steps and none on their sizes.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=torch.float64), (0.0, 1.0))
        >>> sol = kt.solve(problem, penalties={"error": kt.regularizers.ErrorEstimateSquared()})
        >>> bool(0 < sol.penalties["error"] <= sol.stats.steps)
        True
    """

    weighted: bool = field(default=False, kw_only=True)

    def measure(self, step: Step) -> Tensor:
        return super().measure(step).square()
