"""Guidance: from a model with a condition and without one to a prediction that leans towards the condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solvers.diffusion.plans.plan import Plan

# ``(model, x, t, null, condition)`` to the outputs without and with the condition.
Evaluate = Callable[[Any, Tensor, Tensor, Any, Any], tuple[Tensor, Tensor]]


def two_calls(model: Any, x: Tensor, t: Tensor, null: Any, condition: Any) -> tuple[Tensor, Tensor]:
    """The outputs without and with a condition, one after the other: for conditions of any kind."""
    return model(x, t, null), model(x, t, condition)


def one_call(model: Any, x: Tensor, t: Tensor, null: Any, condition: Any) -> tuple[Tensor, Tensor]:
    """Both outputs from one call with twice the batch.

    Args:
        model: called as ``model(x, t, condition)``.
        x: states, ``(B, ...)``.
        t: times, ``(B,)``.
        null: a tensor ``(B, ...)``, or ``(1, ...)`` for all samples; or a pytree of such.
        condition: likewise, of the same structure.

    Raises:
        ValueError: for conditions that cannot be put together.
    """
    leaves, structure = pytree.tree_flatten(null)
    others, same = pytree.tree_flatten(condition)
    if structure != same:
        raise ValueError(f"one_call needs null and condition of one structure; got {null!r} and {condition!r}")
    pairs = [(_rows_of(one, len(x)), _rows_of(other, len(x))) for one, other in zip(leaves, others, strict=True)]
    for one, other in pairs:
        if one.shape != other.shape:
            raise ValueError(
                f"one_call needs null and condition of one shape; got {tuple(one.shape)} and {tuple(other.shape)}"
            )
    both = pytree.tree_unflatten([torch.cat(pair) for pair in pairs], structure)
    free, bound = model(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
    return free, bound


def _rows_of(condition: Any, count: int) -> Tensor:
    if not isinstance(condition, Tensor) or condition.dim() < 1 or len(condition) not in (1, count):
        got = f"shape {tuple(condition.shape)}" if isinstance(condition, Tensor) else repr(condition)
        raise ValueError(
            f"one_call needs null and condition to be tensors of {count} rows, or of one; got {got}: use two_calls"
        )
    return condition.expand(count, *condition.shape[1:])


class Guidance:
    """What is done with a model's condition. One of one's own derives from this and gives `outputs`.

    Attributes:
        stepwise: whether it belongs to steps of a given size, so that there is no equation whose solution the samples
            tend to with more steps.
    """

    stepwise: ClassVar[bool] = False

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor]:
        """The guided output of the model, and the one without condition.

        Args:
            model: called as ``model(x, t, condition)``.
            x: states, ``(B, ...)``.
            t: what the model is told of the time, ``(B,)``.
            condition: of the problem.
            log_snr: ``log(alpha / sigma)`` there.
        """
        raise NotImplementedError

    def free_output(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> Tensor:
        """The output without condition, where a plan needs no other one."""
        return self.outputs(model, x, t, condition, log_snr)[1]

    def check(self, count: int) -> None:
        """Refuse what does not fit a batch of `count` samples."""

    def planned(self, plan: Plan) -> Plan:
        """What a sampler does under this guidance, which may mix guided predictions and free ones.

        Args:
            plan: of the sampler, with Python numbers (`Plan.fixed`).
        """
        return plan


@dataclass(frozen=True)
class Unguided(Guidance):
    """The model as it is."""

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor]:
        output = model(x, t) if condition is None else model(x, t, condition)
        return output, output


@dataclass(frozen=True)
class CFG(Guidance):
    """Classifier-free guidance, ``F_u + w (F_c - F_u)``: the same for every kind of prediction.

    A weight of 1 is the conditional model, 0 the unconditional one. Of the guided flow neither the end nor the times
    in between have the densities ``p_u^(1-w) p_c^w``, which one may think of.

    Attributes:
        weight: ``w``, a number or a tensor ``(B,)``.
        null: what stands for no condition.
        interval: the values of ``log(alpha / sigma)`` between which there is guidance; elsewhere the weight is 1.
        rescale: how much of the guided output is given back the standard deviation of the conditional one,
            sample by sample, from 0 to 1. It depends on what the model predicts.
        evaluate: how the two outputs are had: `two_calls`, or `one_call` for conditions that are tensors.

    Source: Ho and Salimans, Classifier-free diffusion guidance, 2022; Kynkäänniemi et al., Applying guidance in a
    limited interval, 2024; Lin et al., Common diffusion noise schedules and sample steps are flawed, 2024.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x, right = 10.0 * torch.randn(64, 2), torch.tensor([[False, True]])
        >>> guidance = kt.diffusion.CFG(3.0, null=torch.tensor([[True, True]]), evaluate=kt.diffusion.one_call)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x, condition=right, guidance=guidance)
        >>> bool((kt.solve(problem, kt.DDIM()).y1[:, 0] > 0.0).all())
        True
    """

    weight: float | Tensor
    null: Any = None
    interval: tuple[float, float] | None = None
    rescale: float = 0.0
    evaluate: Evaluate = two_calls

    def __post_init__(self) -> None:
        check_weight("weight", self.weight)
        if not 0.0 <= self.rescale <= 1.0:
            raise ValueError(f"rescale must be a number from 0 to 1; got {self.rescale!r}")
        if self.interval is not None and not self.interval[0] <= self.interval[1]:
            raise ValueError(f"interval must hold low and high of log(alpha / sigma); got {self.interval!r}")

    def check(self, count: int) -> None:
        check_count("weight", self.weight, count)

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor]:
        free, bound = self.evaluate(model, x, t, self.null, condition)
        return self._rescaled(free + self._weight_at(log_snr, free) * (bound - free), bound), free

    def free_output(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> Tensor:
        # Any other way to evaluate knows how to have both outputs, and only that.
        if self.evaluate is not two_calls:
            return super().free_output(model, x, t, condition, log_snr)
        return model(x, t, self.null)

    def _weight_at(self, log_snr: Any, like: Tensor) -> Any:
        weight = _rows(self.weight, like) if isinstance(self.weight, Tensor) else self.weight
        if self.interval is None:
            return weight
        low, high = self.interval
        if not isinstance(log_snr, Tensor):
            return weight if low <= log_snr <= high else 1.0
        return 1.0 + (weight - 1.0) * _rows((log_snr >= low) & (log_snr <= high), like)

    def _rescaled(self, guided: Tensor, bound: Tensor) -> Tensor:
        """A guided output with the spread of the conditional one."""
        if not self.rescale:
            return guided
        if guided[0].numel() < 2:
            raise ValueError(f"rescale needs two and more numbers a sample; got shape {tuple(guided.shape)}")
        axes = tuple(range(1, guided.dim()))
        spread = bound.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
        return guided * (1.0 + self.rescale * (spread - 1.0))


def refuse_stepwise(guidance: Guidance | None, what: str) -> None:
    """Refuse guidance that means nothing without steps of a given size."""
    if guidance is not None and guidance.stepwise:
        name = type(guidance).__name__
        raise ValueError(
            f"{name} belongs to the steps of a sampler on a grid, and there is no equation behind it: {what} needs "
            f"guidance that does not depend on the steps, such as {name}(...).at_step(h)"
        )


def check_weight(name: str, weight: Any) -> None:
    """Refuse what is no finite number and no tensor of them."""
    try:
        finite = bool(torch.isfinite(torch.as_tensor(weight)).all())
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a number or a tensor (B,); got {weight!r}") from None
    if not finite:
        raise ValueError(f"{name} must be finite; got {weight!r}")


def check_count(name: str, weight: Any, count: int) -> None:
    """Refuse a weight that is neither one number nor one a sample."""
    if isinstance(weight, Tensor) and weight.shape not in ((), (count,)):
        raise ValueError(f"{name} must be a number or a tensor of shape ({count},); got shape {tuple(weight.shape)}")


def _rows(numbers: Tensor, like: Tensor) -> Tensor:
    """One number a sample, or one for all, to go with states."""
    return numbers.to(like).reshape(-1, *[1] * (like.dim() - 1))
