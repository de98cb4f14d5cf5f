"""A problem's model as samplers see it: predictions of data and noise at a level, whatever the model predicts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.guidance.cfg import Unguided
from kutta.solvers.diffusion.levels.conversions import factors
from kutta.solvers.diffusion.plans.plan import Level
from kutta.solvers.diffusion.plans.sums import weighted_sum


class Denoiser:
    """Calls of the model, counted.

    States and times are float32 at least, as half precision cannot tell time 999 from 1000; the model is given states
    of the problem's dtype.

    Attributes:
        evaluations: calls so far; one that is guided counts once.
    """

    def __init__(self, problem: DiffusionProblem, dtype: torch.dtype):
        self.problem, self.dtype = problem, dtype
        self.guidance = Unguided() if problem.guidance is None else problem.guidance
        self.evaluations = 0

    def __call__(self, x: Tensor, level: Level, kinds: Iterable[str]) -> dict[str, Tensor]:
        """Predictions at a state.

        Args:
            x: the state, ``(B, ...)``.
            level: its noise level: numbers, or tensors ``(B,)``.
            kinds: what is wanted, of `kutta.solvers.diffusion.plans.plan.KINDS`.
        """
        self.evaluations += 1
        problem, given, kinds = self.problem, x.to(self.problem.x.dtype), tuple(kinds)
        asked = problem.model, given, _times(level.model_t, x), problem.condition, log_snr_of(level)
        if all("free" in kind for kind in kinds):
            guided = free = self.guidance.free_output(*asked)
        else:
            guided, free = self.guidance.outputs(*asked)
        _check_output(guided, x)
        return {kind: self._converted(free if "free" in kind else guided, x, level, kind.split()[-1]) for kind in kinds}

    def _converted(self, output: Tensor, x: Tensor, level: Level, wanted: str) -> Tensor:
        output, prediction = output.to(self.dtype), self.problem.prediction
        if wanted in ("output", prediction) or (wanted, prediction) == ("noise", "epsilon"):
            return output
        p, q = factors(prediction, wanted, level.alpha, level.sigma)
        return weighted_sum([(weight, term) for weight, term in ((p, x), (q, output)) if _counts(weight)], x)


def log_snr_of(level: Level) -> Any:
    """``log(alpha / sigma)`` of a level."""
    if isinstance(level.alpha, Tensor):
        return torch.log(level.alpha) - torch.log(level.sigma)
    if level.alpha == 0.0 or level.sigma == 0.0:
        return math.inf if level.alpha else -math.inf
    return math.log(level.alpha / level.sigma)


def _counts(weight: Any) -> bool:
    return isinstance(weight, Tensor) or weight != 0.0


def _times(t: Any, x: Tensor) -> Tensor:
    """The time for each sample; a number is written on the device, as copying it there would wait for the device."""
    if not isinstance(t, Tensor):
        return torch.full((len(x),), t, dtype=x.dtype, device=x.device)
    t = t.to(x.device, x.dtype)
    return t.expand(len(x)) if t.dim() == 0 else t


def _check_output(output: Any, x: Tensor) -> None:
    if not isinstance(output, Tensor) or output.shape != x.shape:
        got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the model must return a tensor of the state's shape {tuple(x.shape)}; got {got}")
