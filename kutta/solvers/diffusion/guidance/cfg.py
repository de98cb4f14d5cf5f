"""Guidance: from a model with a condition and without one to a prediction that leans towards the condition."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kutta.solvers.diffusion.plans.plan import Plan

# ``(model, x, t, *conditions)`` to the output for each condition: for null and condition, or for the condition alone.
Evaluate = Callable[..., tuple[Tensor, ...]]


def two_calls(model: Any, x: Tensor, t: Tensor, *conditions: Any) -> tuple[Tensor, ...]:
    """The outputs without and with a condition, one after the other: for conditions of any kind.

    Args:
        model: called as ``model(x, t, condition)``.
        x: states, ``(B, ...)``.
        t: times, ``(B,)``.
        conditions: null and condition, or the condition alone.
    """
    return tuple(model(x, t, condition) for condition in conditions)


def one_call(model: Any, x: Tensor, t: Tensor, *conditions: Any) -> tuple[Tensor, ...]:
    """Both outputs from one call with twice the batch.

    Args:
        model: called as ``model(x, t, condition)``.
        x: states, ``(B, ...)``.
        t: times, ``(B,)``.
        conditions: null and condition, or the condition alone: tensors ``(B, ...)``, or ``(1, ...)`` for all samples;
            or pytrees of such, of the same structure.

    Raises:
        ValueError: for conditions that cannot be put together.
    """
    (leaves, structure), *others = (pytree.tree_flatten(one) for one in conditions)
    if any(structure != same for _, same in others):
        raise ValueError(
            f"one_call needs null and condition of one structure; got {' and '.join(map(repr, conditions))}"
        )
    columns = [
        [_rows_of(leaf, len(x)) for leaf in column] for column in zip(leaves, *(one for one, _ in others), strict=True)
    ]
    for column in columns:
        if len({leaf.shape for leaf in column}) > 1:
            shapes = " and ".join(str(tuple(leaf.shape)) for leaf in column)
            raise ValueError(f"one_call needs null and condition of one shape; got {shapes}")
    count = len(conditions)
    together = pytree.tree_unflatten([torch.cat(column) for column in columns], structure)
    return model(torch.cat([x] * count), torch.cat([t] * count), together).chunk(count)


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

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor | None]:
        """The guided output of the model, and the one without condition, which only some plans use (`planned`).

        Args:
            model: called as ``model(x, t, condition)``. What it returns is checked at every call.
            x: states, ``(B, ...)``.
            t: what the model is told of the time, ``(B,)``.
            condition: of the problem.
            log_snr: ``log(alpha / sigma)`` there.
        """
        raise NotImplementedError

    def free_output(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> Tensor:
        """The output without condition alone, where a plan uses no other one or `outputs` leaves it out."""
        free = self.outputs(model, x, t, condition, log_snr)[1]
        if free is None:
            raise NotImplementedError(
                f"this sampler uses outputs without guidance, and {type(self).__name__} tells none: give it free_output"
            )
        return free

    def fitted(self, x: Tensor, condition: Any) -> Guidance:
        """The same for the states and the condition of a problem: with its tensors on their device.

        Raises:
            TypeError, ValueError: for what does not fit them.
        """
        return self

    def planned(self, plan: Plan) -> Plan:
        """What a sampler does under this guidance, which may mix guided predictions and free ones.

        Args:
            plan: of the sampler, with Python numbers (`Plan.fixed`).
        """
        return plan


@dataclass(frozen=True)
class Unguided(Guidance):
    """The model as it is."""

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor | None]:
        output = model(x, t) if condition is None else model(x, t, condition)
        return output, output


@dataclass(frozen=True, eq=False)
class CFG(Guidance):
    """Classifier-free guidance, ``F_u + w (F_c - F_u)``: the same for every kind of prediction.

    A weight of 1 is the conditional model, 0 the unconditional one. Of the guided flow neither the end nor the times
    in between have the densities ``p_u^(1-w) p_c^w``, which one may think of.

    Attributes:
        weight: ``w``, a number or a tensor ``(B,)``.
        null: what stands for no condition: the last argument of the model in its call without one.
        interval: the values of ``log(alpha / sigma)`` between which there is guidance; elsewhere the weight is 1.
        rescale: how much of the guided output is given back the standard deviation of the conditional one,
            sample by sample, from 0 to 1. It depends on what the model predicts.
        evaluate: how the outputs are had: `two_calls`, or `one_call` for conditions that are tensors. Where the weight
            is the number 1, or no sample lies in the interval, it is called with the condition alone, and the model is
            not evaluated without one; in a compiled loop, which is the same at all levels, only the number counts.

    Raises:
        TypeError, ValueError: for numbers out of their ranges; when solving, for `weight` of another count than the
            samples, and a condition that is `null` itself.

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

    def fitted(self, x: Tensor, condition: Any) -> CFG:
        if not _is_one(self.weight):
            check_condition("CFG", self.null, condition)
        if self.rescale and math.prod(x.shape[1:]) < 2:
            raise ValueError(f"rescale needs two and more numbers a sample; got shape {tuple(x.shape)}")
        return replace(self, weight=fitted_weight("weight", self.weight, x))

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor | None]:
        weight = self._weight_at(log_snr)
        if _is_one(weight):
            return self.evaluate(model, x, t, condition)[0], None
        free, bound = self.evaluate(model, x, t, self.null, condition)
        return self._rescaled(extrapolated(free, bound, weight), bound), free

    def free_output(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> Tensor:
        return self.evaluate(model, x, t, self.null)[0]

    def _weight_at(self, log_snr: Any) -> float | Tensor:
        if self.interval is None:
            return self.weight
        inside = (log_snr >= self.interval[0]) & (log_snr <= self.interval[1])
        if not isinstance(inside, Tensor):
            return self.weight if inside else 1.0
        # Whether any sample is inside is worth waiting for the device, as half of an evaluation hangs on it; but a
        # compiler that reads the equation must not see one level decide for all.
        if not torch.compiler.is_compiling() and not bool(inside.any()):
            return 1.0
        return 1.0 + (self.weight - 1.0) * inside.to(log_snr.dtype)

    def _rescaled(self, guided: Tensor, bound: Tensor) -> Tensor:
        """A guided output with the spread of the conditional one."""
        if not self.rescale:
            return guided
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


def extrapolated(free: Tensor, bound: Tensor, weight: float | Tensor) -> Tensor:
    """``F_u + w (F_c - F_u)`` with one weight for all samples, or one for each."""
    if isinstance(weight, Tensor):
        weight = weight.to(free).reshape(-1, *[1] * (free.dim() - 1))
    return free + weight * (bound - free)


def check_weight(name: str, weight: Any) -> None:
    """Refuse what is no finite real number and no tensor of real ones, whose values `fitted_weight` looks at."""
    if isinstance(weight, Tensor):
        real = weight.dtype != torch.bool and not weight.is_complex()
    else:
        real = isinstance(weight, Real) and not isinstance(weight, bool)
    if not real:
        raise TypeError(f"{name} must be a real number, or a tensor (B,) of them; got {weight!r}")
    if not isinstance(weight, Tensor) and not math.isfinite(weight):
        raise ValueError(f"{name} must be finite; got {weight!r}")


def fitted_weight(name: str, weight: float | Tensor, x: Tensor) -> Any:
    """A weight that is one number, or one for each sample, on the device of the states."""
    if not isinstance(weight, Tensor):
        return weight
    if weight.shape not in ((), (len(x),)):
        raise ValueError(f"{name} must be a number or a tensor of shape ({len(x)},); got shape {tuple(weight.shape)}")
    if not bool(torch.isfinite(weight).all()):
        raise ValueError(f"{name} must be finite; got {weight!r}")
    return weight.to(x.device)


def check_condition(name: str, null: Any, condition: Any) -> None:
    """Refuse guidance from something to itself."""
    if condition is null:
        got = "None" if null is None else f"the same {type(null).__name__}"
        raise ValueError(
            f"{name} leads from the output without a condition to the one with it, and both would be equal, as "
            f"condition and null are {got}: give the problem condition=..., and {name} by null=... what stands for none"
        )


def _is_one(weight: float | Tensor) -> bool:
    return not isinstance(weight, Tensor) and weight == 1.0
