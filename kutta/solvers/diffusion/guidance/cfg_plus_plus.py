"""CFG++: denoise with the guided prediction, put the noise back with the free one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from kutta.solvers.diffusion.guidance.cfg import (
    CFG,
    Evaluate,
    Guidance,
    check_condition,
    check_weight,
    extrapolated,
    fitted_weight,
    two_calls,
)
from kutta.solvers.diffusion.plans.plan import Level, Move, Plan


@dataclass(frozen=True, eq=False)
class CFGPlusPlus(Guidance):
    """Guidance that stays near the data: ``x_{n+1} = alpha_{n+1} D_g + sigma_{n+1} e_u``.

    ``D_g = D_u + g (D_c - D_u)`` with a scale `g` from 0 to 1 takes the noise away; what is put back is the noise
    ``e_u = (x_n - alpha_n D_u) / sigma_n`` without condition. In terms of a sampler: wherever it scales the state by a
    factor, the data in it are those of the free prediction, and so are all remembered predictions; the rest is guided.
    That is defined for samplers that start each step from one state and use the prediction of the data there, with one
    earlier at most: `DDIM`, DPM-Solver++(2M), whose published form has Euler steps first and last, and their ancestral
    and stochastic forms. Others are refused.

    For first-order steps it equals `CFG` with the weight ``g / (1 - exp(-h_n))`` in a step of size ``h_n`` of
    ``log(alpha / sigma)``. Hence:

    - Guidance grows with the number of steps, without bound: there is no equation that these samples solve, and
      other numbers of steps aim at other samples. A scale is to be chosen for a number of steps.
    - `at_step` gives what does not depend on it: `CFG` with the weight of one step size, for all samplers.

    Attributes:
        scale: ``g``, a number or a tensor ``(B,)``; 0 is the unconditional model.
        null: what stands for no condition.
        evaluate: see `CFG`.

    Source: Chung et al., CFG++: manifold-constrained classifier free guidance for diffusion models, 2025.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x, guidance = 10.0 * torch.randn(64, 2), kt.diffusion.CFGPlusPlus(0.6)
        >>> right = torch.tensor([False, True])
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x, condition=right, guidance=guidance)
        >>> bool((kt.solve(problem, kt.DDIM(), steps=20).y1[:, 0] > 0.0).all())
        True
    """

    stepwise: ClassVar[bool] = True

    scale: float | Tensor
    null: Any = None
    evaluate: Evaluate = two_calls

    def __post_init__(self) -> None:
        check_weight("scale", self.scale)

    def fitted(self, x: Tensor, condition: Any) -> CFGPlusPlus:
        check_condition("CFGPlusPlus", self.null, condition)
        return replace(self, scale=fitted_weight("scale", self.scale, x))

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor | None]:
        free, bound = self.evaluate(model, x, t, self.null, condition)
        return extrapolated(free, bound, self.scale), free

    def planned(self, plan: Plan) -> Plan:
        levels = plan.levels
        return replace(plan, moves=tuple(_renoised(move, levels) for move in plan.moves))

    def at_step(self, h: float) -> CFG:
        """The guidance that CFG++ amounts to in first-order steps of one size, for any number of steps.

        `CFG` with the weight ``g / (1 - exp(-h))``. With it samples tend to a limit with more steps.

        Args:
            h: the step size in ``log(alpha / sigma)``; for CFG++ as it is with `N` steps, about an `N`-th of the way.
        """
        if not 0.0 < h < math.inf:
            raise ValueError(f"h must be a positive step of log(alpha / sigma); got {h!r}")
        return CFG(self.scale / -math.expm1(-h), self.null, evaluate=self.evaluate)


def _renoised(move: Move, levels: tuple[Level, ...]) -> Move:
    """The move with the noise of the free prediction.

    From ``x' = a x_n + b_n D_n + b_m D_m`` to ``x' = a (x_n - alpha_n D_u,n) + (b_n + a alpha_n) D_g,n + b_m D_u,m``.
    """
    if not move.predictions:
        return move
    data = move.predictions.get("data", {})
    if set(move.predictions) != {"data"} or len(data) > 2 or set(move.states) - {max(data)}:
        raise ValueError(
            "CFGPlusPlus is defined for samplers whose steps start from one state and use the prediction of the data "
            "there, with one earlier at most, such as DDIM() and DPMSolverPP(2); this sampler takes other steps: use "
            "one of these, or CFGPlusPlus(...).at_step(h) with any sampler"
        )
    newest = max(data)
    kept = move.states.get(newest, 0.0) * levels[newest].alpha
    free = {**data, newest: -kept}
    return replace(move, predictions={"data": {newest: data[newest] + kept}, "free data": free})
