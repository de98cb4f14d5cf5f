"""Guidance: from a model with a condition and without one to a prediction that leans towards the condition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class Guidance:
    """What is done with a model's condition. One of one's own derives from this and gives `outputs`."""

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
        rescale: how much of the guided prediction is given back the standard deviation of the conditional one,
            sample by sample, from 0 to 1.

    Source: Ho and Salimans, Classifier-free diffusion guidance, 2022; Kynkäänniemi et al., Applying guidance in a
    limited interval, 2024; Lin et al., Common diffusion noise schedules and sample steps are flawed, 2024.
    """

    weight: float | Tensor
    null: Any = None
    interval: tuple[float, float] | None = None
    rescale: float = 0.0

    def outputs(self, model: Any, x: Tensor, t: Tensor, condition: Any, log_snr: Any) -> tuple[Tensor, Tensor]:
        free, bound = model(x, t, self.null), model(x, t, condition)
        return self.rescaled(free + self._weight_at(log_snr, free) * (bound - free), bound), free

    def _weight_at(self, log_snr: Any, like: Tensor) -> Any:
        weight: Any = self.weight
        if isinstance(weight, Tensor) and weight.dim():
            weight = weight.to(like).reshape(-1, *[1] * (like.dim() - 1))
        if self.interval is None:
            return weight
        low, high = self.interval
        if not isinstance(log_snr, Tensor):
            return weight if low <= log_snr <= high else 1.0
        inside = ((log_snr >= low) & (log_snr <= high)).to(like.device)
        return torch.where(inside.reshape(-1, *[1] * (like.dim() - 1)), weight, 1.0)

    def rescaled(self, guided: Tensor, bound: Tensor) -> Tensor:
        """Give a guided prediction back the spread of the conditional one."""
        if not self.rescale:
            return guided
        axes = tuple(range(1, guided.dim()))
        spread = bound.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
        return guided * (1.0 + self.rescale * (spread - 1.0))
