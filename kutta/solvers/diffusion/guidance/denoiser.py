"""A problem's model as samplers see it: predictions of data and noise at a level, whatever the model predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.guidance.cfg import Guidance, Unguided
from kutta.solvers.diffusion.levels.conversions import factors
from kutta.solvers.diffusion.plans.plan import Level, is_free, log_snr_of
from kutta.solvers.diffusion.plans.sums import weighted_sum


class Denoiser:
    """Calls of the model, counted.

    States and times are float32 at least, as half precision cannot tell time 999 from 1000; the model is given states
    of the problem's dtype.

    Attributes:
        start: the state of the problem, in the dtype of the loop.
        evaluations: calls so far; one that is guided counts once.
    """

    def __init__(self, problem: DiffusionProblem):
        self.problem = problem
        self.start = problem.x.to(torch.promote_types(problem.x.dtype, torch.float32))
        self.guidance = Unguided() if problem.guidance is None else problem.guidance
        self.model = with_checked_output(problem.model)
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
        asked = self.model, given, _times(level.model_t, x), problem.condition, log_snr_of(level)
        found = outputs_of(self.guidance, asked, {is_free(kind) for kind in kinds})
        for output in found.values():
            if output.shape != x.shape:
                raise ValueError(f"guidance must keep the shape of x, {tuple(x.shape)}; got {tuple(output.shape)}")
        return {kind: self._converted(found[is_free(kind)], x, level, kind.split()[-1]) for kind in kinds}

    def _converted(self, output: Tensor, x: Tensor, level: Level, wanted: str) -> Tensor:
        output, prediction = output.to(self.start.dtype), self.problem.prediction
        if wanted in ("output", prediction) or (wanted, prediction) == ("noise", "epsilon"):
            return output
        p, q = factors(prediction, wanted, level.alpha, level.sigma)
        return weighted_sum([(weight, term) for weight, term in ((p, x), (q, output)) if _counts(weight)], x)


def outputs_of(guidance: Guidance, asked: tuple[Any, ...], wanted: set[bool]) -> dict[bool, Tensor]:
    """What a model returns under guidance, and what without.

    Args:
        guidance: of the model.
        asked: what `Guidance.outputs` takes.
        wanted: holds ``False`` for the guided output, ``True`` for the free one, or both.
    """
    if wanted == {True}:
        return {True: guidance.free_output(*asked)}
    guided, free = guidance.outputs(*asked)
    if True not in wanted:
        return {False: guided}
    return {False: guided, True: guidance.free_output(*asked) if free is None else free}


def with_checked_output(model: Callable[..., Any]) -> Callable[..., Tensor]:
    """The model, whose output is looked at before guidance adds it to another.

    The function raises TypeError and ValueError for an output that is no tensor of its state's shape, kind of dtype and
    device.
    """

    def checked(x: Tensor, t: Tensor, *condition: Any) -> Tensor:
        output = model(x, t, *condition)
        _check_output(output, x)
        return output

    return checked


def _counts(weight: Any) -> bool:
    return isinstance(weight, Tensor) or weight != 0.0


def _times(t: Any, x: Tensor) -> Tensor:
    """The time for each sample; a number is written on the device, as copying it there would wait for the device."""
    if not isinstance(t, Tensor):
        return torch.full((len(x),), t, dtype=x.dtype, device=x.device)
    t = t.to(x.device, x.dtype)
    return t.expand(len(x)) if t.dim() == 0 else t


def _check_output(output: Any, x: Tensor) -> None:
    """Refuse what is no prediction for the states that the model was given; other real dtypes are converted."""
    wanted = f"the model must return a tensor of the shape of its x, {tuple(x.shape)}"
    if not isinstance(output, Tensor):
        part = "output.sample" if isinstance(getattr(output, "sample", None), Tensor) else "the prediction alone"
        raise TypeError(
            f"{wanted}; got {type(output).__name__}: give a function of the model's arguments that calls it and "
            f"returns {part}"
        )
    if output.shape != x.shape:
        raise ValueError(f"{wanted}; got shape {tuple(output.shape)}")
    if not output.is_floating_point():
        raise TypeError(f"{wanted}, and of real floating-point numbers such as {x.dtype}; got {output.dtype}")
    if output.device != x.device:
        raise ValueError(
            f"{wanted}, and on its device, {x.device}; got {output.device}: move the model there, or x to the model"
        )
