"""A `DiffusionProblem` as solvers need it, or an error that says what does not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.guidance.cfg import Guidance
from kutta.solvers.diffusion.levels.conversions import PREDICTIONS
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64, check_times


def checked(problem: DiffusionProblem) -> DiffusionProblem:
    """The problem with a state that is a tensor, a span, and guidance for this state.

    Raises:
        TypeError, ValueError: for what does not fit.
    """
    if not isinstance(problem, DiffusionProblem):
        raise TypeError(f"problem must be a kutta.DiffusionProblem; got {type(problem).__name__}")
    if not callable(problem.model):
        raise TypeError(f"model must be callable; got {type(problem.model).__name__}")
    if not isinstance(problem.schedule, Schedule):
        raise TypeError(f"schedule must be a noise schedule such as kutta.diffusion.VP(); got {problem.schedule!r}")
    if problem.prediction not in PREDICTIONS:
        raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}; got {problem.prediction!r}")
    if problem.guidance is not None and not isinstance(problem.guidance, Guidance):
        raise TypeError(f"guidance must be such as kutta.diffusion.CFG(7.5); got {problem.guidance!r}")
    x = _tensor(problem.x)
    if not x.is_floating_point() or x.dim() < 1:
        raise ValueError(f"x must be a real tensor of shape (B, ...); got {x.dtype} of shape {tuple(x.shape)}")
    if x.numel() == 0:
        raise ValueError(f"x must hold one sample or more, each of one number or more; got shape {tuple(x.shape)}")
    guidance = None if problem.guidance is None else problem.guidance.fitted(x, problem.condition)
    if not math.isfinite(float(x.detach().sum())) and not bool(torch.isfinite(x.detach()).all()):
        raise ValueError("x must be finite; got infinity or NaN among its entries")
    span = problem.t_span if problem.t_span is not None else (problem.schedule.start, problem.schedule.end)
    return replace(problem, x=x, t_span=_checked_span(span, problem), guidance=guidance)


def _tensor(x: Any) -> Tensor:
    try:
        return torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"x must be a real tensor of shape (B, ...); got {type(x).__name__}") from None


def _checked_span(span: Any, problem: DiffusionProblem) -> tuple[float, float]:
    try:
        start, end = (float(t) for t in span)
    except (TypeError, ValueError):
        raise ValueError(f"t_span must hold the first and the last time; got {span!r}") from None
    check_times(problem.schedule, as_float64([start, end]))
    first, last = (float(problem.schedule.log_snr(as_float64(t))) for t in (start, end))
    if not first < last:
        raise ValueError(f"t_span must lead from noise to data, from larger to smaller times; got ({start}, {end})")
    return start, end


def span_of(problem: DiffusionProblem) -> tuple[float, float]:
    """First and last time of a problem that is checked."""
    assert problem.t_span is not None
    return problem.t_span


def refuse_pure_noise(problem: DiffusionProblem, t: float) -> None:
    """Refuse a first time at which a model that predicts noise says nothing."""
    if problem.prediction in ("epsilon", "score") and float(problem.schedule.alpha(as_float64(t))) == 0.0:
        raise ValueError(
            f"at t = {t:.6g} there is only noise, where prediction={problem.prediction!r} says nothing about the "
            "data: begin later by t_span, or use a model that predicts data, v or flow"
        )
