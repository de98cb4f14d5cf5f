"""A number of every accepted step, summed, averaged, or its maximum taken over the steps of a solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from kutta.regularizers.choices import check_choice
from kutta.regularizers.regularizer import Regularizer
from kutta.solvers.method import Step

Reduction = Literal["sum", "mean", "max"]


@dataclass(frozen=True)
class OverSteps(Regularizer):
    """What the penalties on solver heuristics share; a subclass says what `measure` is.

    Attributes:
        reduce: ``"sum"`` approximates an integral over time and does not depend on where outputs are
            saved; ``"mean"`` and ``"max"`` over the steps are what the published runs used.
        weighted: whether each step counts by its size ``h`` in sums and means.
        normalise: whether `measure` is divided by its natural scale; see the subclass.
        part: picks the part of the state that counts, ``part(state)``, for states that carry more than
            the solution, such as a log-density.
    """

    reduce: Reduction = "sum"
    weighted: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)
    part: Callable[[Any], Any] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_choice("reduce", self.reduce, Reduction)

    def restricted(self, part: Callable[[Any], Any]) -> Self:
        """The same penalty on ``part(state)``, unless it has a part of its own."""
        return self if self.part is not None else replace(self, part=part)

    def measure(self, step: Step) -> Tensor:
        """The number of one step, shape ``()``; in an ensemble ``(b,)``."""
        raise NotImplementedError

    def init(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Total (or maximum), and number of steps."""
        real = torch.promote_types(y.real.dtype if y.is_complex() else y.dtype, torch.float32)  # or counts would stall
        nothing = torch.zeros((), dtype=real, device=y.device)
        return nothing, nothing

    def update(self, state: tuple[Tensor, Tensor], step: Step) -> tuple[Tensor, Tensor]:
        """One more step."""
        (total, count), value = state, self.measure(step)
        if self.reduce == "max":
            return torch.maximum(total, value), count + 1
        if self.weighted:
            value = value * step.size
        return total + value, count + 1

    def value(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The penalty; of a solve without a step, zero."""
        total, count = state
        return total / count.clamp(min=1) if self.reduce == "mean" else total

    def _rms(self, values: Tensor, step: Step) -> Tensor:
        """Root mean square over the entries that count; its gradient is zero where it is zero."""
        rows = self._entries(values, step)
        return torch.linalg.vector_norm(rows, dim=-1) / rows.shape[-1] ** 0.5

    def _entries(self, values: Tensor, step: Step) -> Tensor:
        return step.field.layout.entries(values, self.part)
