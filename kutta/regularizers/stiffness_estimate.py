"""A penalty on the stiffness that the solver meets.

Where two stages ``a, b`` of a step are at the same time,

    S_j = RMS(k_a - k_b) / RMS(g_a - g_b)

is the size of the derivative of ``f`` along ``g_a - g_b``, from evaluations made anyway. Where
stability limits the step, that is the direction of the fastest mode and ``S_j`` its rate; elsewhere
``S_j`` sees the modes that the solution excites, not the stiffest one there is. ``h S_j / sigma`` near
one, ``sigma`` being the size of the method's stability region, says that stability limits the step.

Shampine, Stiffness and nonstiff differential equation solvers II, ACM TOMS 3, 1977; Pal, Ma, Shah,
Rackauckas, ICML 2021, arXiv 2105.03918.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from kutta.regularizers.choices import check_choice
from kutta.regularizers.over_steps import OverSteps
from kutta.solvers.method import Method, Step

Ratio = Literal["rms", "inf"]
# Differences of inputs smaller than this many units of rounding of the state tell nothing.
NOISE = 10.0


@dataclass(frozen=True)
class StiffnessEstimate(OverSteps):
    """``sum_j S_j h_j``: worth a try where ``h S / sigma`` is near one, that is for models limited by stability.

    Attributes:
        reduce: ``"sum"``: ``sum_j S_j h_j``; ``"mean"``: over the steps; ``"max"``: ``max_j S_j``.
        normalise: divide ``S_j`` by ``sigma``; off by default.
        ratio: ``"rms"`` as above, or ``"inf"``, the largest ratio of entries, which has no bound where
            an entry of the denominator crosses zero.

    Example:
        For a linear system it lies between the smallest and the largest singular value.

        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -7.0 * y, torch.ones(2, dtype=torch.float64), (0.0, 1.0))
        >>> penalty = kt.regularizers.StiffnessEstimate(reduce="max")
        >>> round(float(kt.solve(problem, penalties={"stiffness": penalty}).penalties["stiffness"]), 6)
        7.0
    """

    normalise: bool = field(default=False, kw_only=True)
    ratio: Ratio = field(default="rms", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("ratio", self.ratio, Ratio)

    def check(self, method: Method, dtype: torch.dtype, rtol: Any) -> None:
        """Refuse a method without two stages at one time."""
        if not method.estimates_stiffness:
            raise ValueError(
                "StiffnessEstimate needs an explicit method with two stages at the same time; got "
                f"{type(method).__name__}: use for example Tsit5, Dopri5 or RK4"
            )

    def measure(self, step: Step) -> Tensor:
        of_slopes, of_inputs = (self._entries(values, step) for values in step.stiffness_pair())
        size = self._rms(step.y1, step)
        noise = NOISE * torch.finfo(size.dtype).eps * size
        form = _root if self.ratio == "rms" else _largest
        stiffness = form(of_slopes, of_inputs, noise)
        if not self.normalise:
            return stiffness
        if step.stability_size is None:
            raise ValueError("normalise=True needs the size of the stability region, which this method does not state")
        return stiffness / step.stability_size


def _root(of_slopes: Tensor, of_inputs: Tensor, noise: Tensor) -> Tensor:
    above, below = (torch.linalg.vector_norm(rows, dim=-1) for rows in (of_slopes, of_inputs))
    noise = noise * of_inputs.shape[-1] ** 0.5
    # The branch not taken must not divide by zero either, or its NaN would enter the gradient.
    useful = below > noise
    return torch.where(useful, above / torch.where(useful, below, 1.0), 0.0)


def _largest(of_slopes: Tensor, of_inputs: Tensor, noise: Tensor) -> Tensor:
    useful = of_inputs.abs() > noise.unsqueeze(-1)
    return torch.where(useful, (of_slopes / torch.where(useful, of_inputs, 1.0)).abs(), 0.0).amax(dim=-1)
