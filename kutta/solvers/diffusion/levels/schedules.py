"""Noise schedules: how much of the data and how much noise there is at a time.

The state at time ``t`` is ``x_t = alpha(t) x_0 + sigma(t) z`` with ``z ~ N(0, I)``. All else follows from the half
logarithmic signal-to-noise ratio ``lambda = log(alpha / sigma)``, which grows while a sample is made. Schedules
are computed in float64 on the host, whatever the state is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def as_float64(value: Any) -> Tensor:
    """Numbers as a float64 tensor on the host; gradients stay, and Python numbers keep all their digits."""
    return value.to("cpu", torch.float64) if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)


class Schedule:
    """What every noise schedule has; times grow with the noise.

    A schedule of one's own derives from this and gives `log_alpha`, `sigma` and `time`.

    Attributes:
        start: the noisiest time, where sampling begins by default.
        end: the time at which it ends.
        domain: the times between which there is noise of this kind; all, unless a schedule says otherwise.
    """

    start: float
    end: float
    domain: tuple[float, float] = (-math.inf, math.inf)

    def log_alpha(self, t: Tensor) -> Tensor:
        """``log alpha(t)``."""
        raise NotImplementedError

    def sigma(self, t: Tensor) -> Tensor:
        """The standard deviation of the noise at ``t``."""
        raise NotImplementedError

    def time(self, log_snr: Tensor) -> Tensor:
        """The time at which ``log(alpha / sigma)`` has a value: the inverse of `log_snr`."""
        raise NotImplementedError

    def alpha(self, t: Tensor) -> Tensor:
        """The factor of the data at ``t``."""
        return torch.exp(self.log_alpha(t))

    def log_snr(self, t: Tensor) -> Tensor:
        """``lambda(t) = log(alpha / sigma)``: infinite where there is no noise, or no data."""
        return self.log_alpha(t) - torch.log(self.sigma(t))

    def model_time(self, t: Tensor) -> Tensor:
        """What the model is told at ``t``."""
        return t


def check_times(schedule: Schedule, times: Tensor) -> None:
    """Refuse times at which a schedule says nothing; formulas lead beyond, but no model has seen such noise."""
    low, high = schedule.domain
    outside = times[(times < low) | (times > high)]
    if len(outside):
        raise ValueError(f"times of {schedule!r} must lie between {low:g} and {high:g}; got {float(outside[0]):.6g}")


class _VariancePreserving(Schedule):
    """``alpha^2 + sigma^2 = 1``, so that `log_alpha` says all."""

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(2.0 * self.log_alpha(as_float64(t))))


def log_alpha_of(log_snr: Tensor) -> Tensor:
    """``log alpha`` where ``alpha^2 + sigma^2 = 1``: ``alpha^2 = 1 / (1 + exp(-2 lambda))``."""
    return 0.5 * torch.nn.functional.logsigmoid(2.0 * as_float64(log_snr))


@dataclass(frozen=True)
class VP(_VariancePreserving):
    """Variance preserving, with a rate of noise that grows linearly.

    ``log alpha = -t^2 (beta_max - beta_min) / 4 - t beta_min / 2`` on ``0 <= t <= 1``.

    Attributes:
        beta_min, beta_max: rates at ``t = 0`` and ``t = 1``.
        start, end: where sampling begins and ends.

    Source: Song et al., Score-based generative modeling through stochastic differential equations, 2021.

    Example:
        >>> import torch, kutta as kt
        >>> schedule = kt.diffusion.VP()
        >>> t = torch.tensor([0.001, 0.5, 1.0], dtype=torch.float64)
        >>> bool(torch.allclose(schedule.time(schedule.log_snr(t)), t))
        True
    """

    domain = 0.0, 1.0
    beta_min: float = 0.1
    beta_max: float = 20.0
    start: float = 1.0
    end: float = 1e-3

    def log_alpha(self, t: Tensor) -> Tensor:
        t = as_float64(t)
        return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def time(self, log_snr: Tensor) -> Tensor:
        # The positive root of a quadratic, in the form without cancellation.
        wanted = -4.0 * log_alpha_of(log_snr)
        rise = self.beta_max - self.beta_min
        return wanted / (self.beta_min + torch.sqrt(self.beta_min**2 + rise * wanted))


@dataclass(frozen=True)
class VE(Schedule):
    """Variance exploding: ``alpha = 1``, ``sigma = sigma_min (sigma_max / sigma_min)^t`` on ``0 <= t <= 1``.

    Attributes:
        sigma_min, sigma_max: noise at the two ends.
        start, end: where sampling begins and ends.

    Source: Song et al., Score-based generative modeling through stochastic differential equations, 2021.
    """

    domain = 0.0, 1.0
    sigma_min: float = 0.01
    sigma_max: float = 50.0
    start: float = 1.0
    end: float = 0.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(as_float64(t))

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** as_float64(t)

    def time(self, log_snr: Tensor) -> Tensor:
        return -(as_float64(log_snr) + math.log(self.sigma_min)) / math.log(self.sigma_max / self.sigma_min)


@dataclass(frozen=True)
class EDM(Schedule):
    """``alpha = 1`` and ``sigma = t``: time is the noise itself.

    Attributes:
        start, end: the largest and the smallest noise; ``end`` may be 0.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022.
    """

    domain = 0.0, math.inf
    start: float = 80.0
    end: float = 0.002

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(as_float64(t))

    def sigma(self, t: Tensor) -> Tensor:
        return as_float64(t)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.exp(-as_float64(log_snr))


@dataclass(frozen=True)
class Cosine(_VariancePreserving):
    """``alpha = cos(a(t)) / cos(a(0))`` with ``a(t) = (pi / 2) (t + offset) / (1 + offset)``.

    Attributes:
        offset: keeps some noise at the smallest times.
        start, end: where sampling begins and ends; at ``t = 1`` nothing is left of the data.

    Source: Nichol and Dhariwal, Improved denoising diffusion probabilistic models, 2021.
    """

    domain = 0.0, 1.0
    offset: float = 0.008
    start: float = 0.9946
    end: float = 1e-3

    @property
    def _whole(self) -> float:
        """What is left of the right angle at ``t = 0``."""
        return 0.5 * math.pi / (1.0 + self.offset)

    def log_alpha(self, t: Tensor) -> Tensor:
        # The sine of what is left of the right angle, which is exactly 0 at t = 1, as the cosine of the angle is not.
        return torch.log(torch.sin(self._whole * (1.0 - as_float64(t))) / math.sin(self._whole))

    def time(self, log_snr: Tensor) -> Tensor:
        alpha = torch.exp(log_alpha_of(log_snr))
        return 1.0 - torch.asin(alpha * math.sin(self._whole)) / self._whole


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """The straight path ``alpha = 1 - t``, ``sigma = t``, of flow matching: no data at 1, no noise at 0.

    Attributes:
        start, end: where sampling begins and ends.

    Source: Liu, Gong and Liu, Flow straight and fast, 2023; Lipman et al., Flow matching, 2023.
    """

    domain = 0.0, 1.0
    start: float = 1.0
    end: float = 0.0

    def log_alpha(self, t: Tensor) -> Tensor:
        return torch.log1p(-as_float64(t))

    def alpha(self, t: Tensor) -> Tensor:
        return 1.0 - as_float64(t)

    def sigma(self, t: Tensor) -> Tensor:
        return as_float64(t)

    def time(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-as_float64(log_snr))


class Discrete(_VariancePreserving):
    """The schedule of a model trained on steps ``0 ... T - 1``, ``alpha_t^2 = prod_{s <= t} (1 - beta_s)``.

    Between two training steps, ``lambda`` is linear in ``t``. Two schedules of the same betas are equal.

    Args:
        betas: the variance added in each step, shape ``(T,)``, in ``[0, 1]``. A last one of 1 leaves nothing of the
            data (zero terminal signal-to-noise ratio).

    Source: Ho, Jain and Abbeel, Denoising diffusion probabilistic models, 2020.

    Example:
        >>> import torch, kutta as kt
        >>> schedule = kt.diffusion.Discrete(torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)
        >>> round(float(schedule.sigma(999.0)), 4)
        0.9977
    """

    def __init__(self, betas: Any):
        betas = as_float64(betas)
        if betas.dim() != 1 or len(betas) < 2 or not bool(((betas >= 0) & (betas <= 1)).all()) or not betas[0] > 0:
            raise ValueError(
                f"betas must be a vector of two and more numbers in (0, 1]; got shape {tuple(betas.shape)}"
            )
        logs = 0.5 * torch.cumsum(torch.log1p(-betas), 0)
        self.betas, self.start, self.end = betas, float(len(betas) - 1), 0.0
        self.domain = self.end, self.start
        self._log_snr = logs - 0.5 * torch.log(-torch.expm1(2.0 * logs))

    def __repr__(self) -> str:
        return f"Discrete(betas of {len(self.betas)} steps)"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and torch.equal(self.betas, other.betas)  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(tuple(self.betas.tolist()))

    def log_snr(self, t: Tensor) -> Tensor:
        return interpolated(self._log_snr, as_float64(t))

    def log_alpha(self, t: Tensor) -> Tensor:
        return log_alpha_of(self.log_snr(t))

    def time(self, log_snr: Tensor) -> Tensor:
        log_snr = as_float64(log_snr)
        falling = -self._log_snr  # grows with t
        right = torch.searchsorted(falling, -log_snr.detach().contiguous()).clamp(1, len(self.betas) - 1)
        here, there = _entries(self._log_snr, right - 1), _entries(self._log_snr, right)
        return torch.where(log_snr == there, right.double(), (right - 1) + (log_snr - here) / (there - here))


def interpolated(table: Tensor, t: Tensor) -> Tensor:
    """The entries of a table at whole times, with straight lines between them; on the device of both.

    Args:
        table: finite but for the last entry.
        t: times, any shape; of one that is NaN, NaN.
    """
    left = t.detach().nan_to_num().floor().clamp(0, len(table) - 2).long()
    here, there, part = _entries(table, left), _entries(table, left + 1), t - left
    finite = torch.isfinite(there)
    # Written so that a last entry that is infinite has neither value nor slope inf - inf.
    between = here + part * torch.where(finite, there - here, 0.0)
    return torch.where(finite | (part == 0.0), between, there)


def _entries(numbers: Tensor, places: Tensor) -> Tensor:
    """``numbers[places]``; a compiler cannot follow this with places of no dimension."""
    return numbers.index_select(0, places.reshape(-1)).reshape(places.shape)
