"""A problem's model as samplers see it: predictions of data and noise at a level, whatever the model predicts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.conversions import factors
from kutta.solvers.diffusion.guidance import Unguided
from kutta.solvers.diffusion.plan import Level


class Denoiser:
    """Calls of the model, counted.

    States are float32 at least; the model is given, and gives, the dtype of the problem's state.

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
            kinds: what is wanted, of `kutta.solvers.diffusion.plan.KINDS`.
        """
        self.evaluations += 1
        problem, given = self.problem, x.to(self.problem.x.dtype)
        t = torch.as_tensor(level.model_t, dtype=torch.float64)
        t = t.to(given.device, given.dtype).expand(len(given)) if t.dim() == 0 else t.to(given.device, given.dtype)
        guided, free = self.guidance.outputs(problem.model, given, t, problem.condition, log_snr_of(level))
        _check_output(guided, x)
        return {kind: self._converted(free if "free" in kind else guided, x, level, kind.split()[-1]) for kind in kinds}

    def _converted(self, output: Tensor, x: Tensor, level: Level, wanted: str) -> Tensor:
        p, q = factors(self.problem.prediction, wanted, _along(level.alpha, x), _along(level.sigma, x))
        output = output.to(self.dtype)
        if not isinstance(p, Tensor) and p == 0.0:
            return output if q == 1.0 else output * q
        if isinstance(p, Tensor):
            return p * x + q * output
        return torch.add(x * p, output, alpha=q)


def log_snr_of(level: Level) -> Any:
    """``log(alpha / sigma)`` of a level."""
    if isinstance(level.alpha, Tensor):
        return torch.log(level.alpha) - torch.log(level.sigma)
    if level.alpha == 0.0 or level.sigma == 0.0:
        return math.inf if level.alpha else -math.inf
    return math.log(level.alpha / level.sigma)


def _along(number: Any, x: Tensor) -> Any:
    """One number for each sample, so that it broadcasts with the state; or one for all, as a Python number."""
    if not isinstance(number, Tensor):
        return number
    return number.to(x) if number.dim() == 0 else number.to(x).reshape(-1, *[1] * (x.dim() - 1))


def _check_output(output: Any, x: Tensor) -> None:
    if not isinstance(output, Tensor) or output.shape != x.shape:
        got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the model must return a tensor of the state's shape {tuple(x.shape)}; got {got}")
