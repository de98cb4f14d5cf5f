"""How a model was trained: the noise schedule that a configuration of diffusers describes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.levels.schedules import Discrete, RectifiedFlow, as_float64, interpolated

# What is left of the data, ``alpha^2``, at the last step of a schedule that is rescaled to leave nothing. Not zero, so
# that a model that predicts noise says something of the data there; diffusers has the same.
REMAINDER = 2.0**-24
LARGEST_BETA = 0.999


@dataclass(frozen=True)
class TrainedFlow(RectifiedFlow):
    """The straight path, whose model is told ``T t``.

    Attributes:
        count: the number of training steps, ``T``.
    """

    count: int = 1000

    def model_time(self, t: Tensor) -> Tensor:
        return self.count * as_float64(t)

    def factors(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """``alpha`` and ``sigma`` where the model is told this, on its device and in its dtype."""
        t = told / self.count
        return 1.0 - t, t


class TrainedSteps(Discrete):
    """The schedule of training steps, whose model is told their numbers."""

    def factors(self, told: Tensor) -> tuple[Tensor, Tensor]:
        """``alpha`` and ``sigma`` where the model is told this, on its device and in its dtype."""
        table = moved(self._log_snr.to(told.dtype), told.device)
        twice = 2.0 * interpolated(table, told)
        return torch.sigmoid(twice).sqrt(), torch.sigmoid(-twice).sqrt()


def moved(values: Tensor, device: torch.device) -> Tensor:
    """Numbers on a device; the host waits for them only where it is the one that gets them."""
    return values.to(device, non_blocking=device.type != "cpu")


def betas(config: Any) -> Tensor:
    """The variances added in the training steps, float64."""
    if config.trained_betas is not None:
        found = as_float64(config.trained_betas)
    elif config.beta_schedule == "linear":
        found = torch.linspace(config.beta_start, config.beta_end, config.num_train_timesteps, dtype=torch.float64)
    elif config.beta_schedule == "scaled_linear":
        ends = config.beta_start**0.5, config.beta_end**0.5
        found = torch.linspace(*ends, config.num_train_timesteps, dtype=torch.float64) ** 2
    elif config.beta_schedule == "squaredcos_cap_v2":
        found = _cosine(config.num_train_timesteps)
    else:
        raise NotImplementedError(
            'beta_schedule must be "linear", "scaled_linear" or "squaredcos_cap_v2", or trained_betas be given; '
            f"got {config.beta_schedule!r}"
        )
    return _without_rest(found) if config.rescale_betas_zero_snr else found


def _cosine(count: int) -> Tensor:
    """Those for which ``alpha(t) = cos((t + 0.008) / 1.008 pi / 2)``; Nichol and Dhariwal, 2021, equation 17."""
    t = torch.arange(count + 1, dtype=torch.float64) / count
    squares = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1.0 - squares[1:] / squares[:-1]).clamp(max=LARGEST_BETA)


def _without_rest(betas: Tensor) -> Tensor:
    """Such that almost nothing of the data is left at the end: alpha shifted and scaled.

    Source: Lin et al., Common diffusion noise schedules and sample steps are flawed, 2024, algorithm 1.
    """
    alpha = torch.cumprod(1.0 - betas, 0).sqrt()
    alpha = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    squares = (alpha**2).clamp(min=REMAINDER)
    return 1.0 - squares / torch.cat([torch.ones_like(squares[:1]), squares[:-1]])


def schedule(config: Any, betas: Tensor) -> TrainedSteps | TrainedFlow:
    """The noise schedule of the model."""
    return TrainedFlow(count=len(betas)) if config.use_flow_sigmas else TrainedSteps(betas)
