"""The one step of all exponential methods: a polynomial through predictions, integrated exactly.

With ``lambda = log(alpha / sigma)``, ``h = lambda_t - lambda_s`` and the linear part of the flow solved exactly,

    x_t = (sigma_t / sigma_s) x_s + alpha_t int_0^h exp(-(h - r)) D(lambda_s + r) dr        (data form)
    x_t = (alpha_t / alpha_s) x_s - sigma_t int_0^h exp(h - r) e(lambda_s + r) dr           (noise form)

What is left of both is the mean of a prediction over the step under a density that grows, or decays, exponentially:

    x_t = kept x_s + factor mean(F),

where ``kept`` and ``factor`` follow from the two levels without a logarithm, so that they are finite where data or
noise vanish. A rule of order p takes the mean of the polynomial through p predictions. They may be of earlier nodes
(multistep), of stages (singlestep), and of the end itself (corrector).

Source: Lu et al., DPM-Solver, 2022, and DPM-Solver++, 2022; Zhang and Chen, Fast sampling of diffusion models with
exponential integrator, 2023; Zhao et al., UniPC, 2023, for the corrector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.moments import data_moments, noise_moments
from kutta.solvers.diffusion.plans.plan import Level, Weight


class Form:
    """Which prediction is followed over a step, and with which density.

    Attributes:
        kind: of the predictions, as `kutta.solvers.diffusion.plans.plan.KINDS` has it.
    """

    kind: str

    def step(self, start: Level, end: Level) -> tuple[Weight, Weight]:
        """``kept`` and ``factor`` of a step."""
        raise NotImplementedError

    def means(self, h: Tensor, count: int) -> Tensor:
        """The means of ``(r / h)^k`` over a step of size `h`, for ``k < count``, along a new last axis."""
        raise NotImplementedError

    def noise(self, start: Level, end: Level) -> Weight:
        """The weight of fresh noise."""
        return 0.0


class DataForm(Form):
    """Predictions of the data, under a density that grows towards the end of the step."""

    kind = "data"

    def step(self, start: Level, end: Level) -> tuple[Weight, Weight]:
        kept = end.sigma / start.sigma
        return kept, end.alpha - kept * start.alpha

    def means(self, h: Tensor, count: int) -> Tensor:
        moments = data_moments(h, count)
        return moments / moments[..., :1]


class NoiseForm(Form):
    """Predictions of the noise, under a density that decays from the beginning of the step."""

    kind = "noise"

    def step(self, start: Level, end: Level) -> tuple[Weight, Weight]:
        kept = end.alpha / start.alpha
        return kept, end.sigma - kept * start.sigma

    def means(self, h: Tensor, count: int) -> Tensor:
        moments = noise_moments(h, count)
        return moments / moments[..., :1]


@dataclass(frozen=True)
class StochasticForm(DataForm):
    """Predictions of the data while noise is replaced by fresh noise, ``eta`` times as fast as it goes.

    ``x_t = (sigma_t / sigma_s) exp(-eta h) x_s + alpha_t (1 - exp(-(1 + eta) h)) mean(D)
    + sigma_t sqrt(1 - exp(-2 eta h)) z``: the mean is that of the deterministic form in a step ``1 + eta`` times as
    long. Every `eta` has the same densities at all times.

    Attributes:
        eta: 0 for the probability flow, 1 for the reverse diffusion.

    Source: Lu et al., DPM-Solver++, 2022, for 1.
    """

    eta: float

    def step(self, start: Level, end: Level) -> tuple[Weight, Weight]:
        kept = end.sigma / start.sigma * _decay(start, end) ** self.eta
        return kept, end.alpha - kept * start.alpha

    def means(self, h: Tensor, count: int) -> Tensor:
        return super().means((1.0 + self.eta) * h, count)

    def noise(self, start: Level, end: Level) -> Weight:
        return end.sigma * (1.0 - _decay(start, end) ** (2.0 * self.eta)) ** 0.5


@dataclass(frozen=True)
class Reweighted(Form):
    """A form with other means.

    Attributes:
        of: what it is otherwise.
    """

    of: Form

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.of.kind

    def step(self, start: Level, end: Level) -> tuple[Weight, Weight]:
        return self.of.step(start, end)

    def noise(self, start: Level, end: Level) -> Weight:
        return self.of.noise(start, end)


@dataclass(frozen=True)
class StraightLines(Reweighted):
    """Another mean of ``r / h`` where there are two predictions, through which there is a straight line.

    Attributes:
        middle: that mean, as a function of the size of the step; 1/2 by default.
    """

    middle: Callable[[Tensor], Tensor] = lambda h: torch.full_like(h, 0.5)

    def means(self, h: Tensor, count: int) -> Tensor:
        means = self.of.means(h, count)
        return torch.stack([means[..., 0], self.middle(h)], -1) if count == 2 else means


def _decay(start: Level, end: Level) -> Weight:
    """``exp(-h)``, also where ``h`` is infinite."""
    return end.sigma * start.alpha / (end.alpha * start.sigma)


FORMS: dict[str, Form] = {"data": DataForm(), "noise": NoiseForm()}


def log_snr(level: Level) -> Tensor:
    """``lambda = log(alpha / sigma)`` of a level."""
    alpha, sigma = (torch.as_tensor(one, dtype=torch.float64) for one in (level.alpha, level.sigma))
    return torch.log(alpha) - torch.log(sigma)


def weights(places: Tensor, means: Tensor) -> Tensor:
    """What to multiply values of a polynomial by, so that they sum to its mean.

    The weights solve ``sum_j b_j r_j^k = m_k``, ``k < p``: they are right for all polynomials of degree below `p`.

    Args:
        places: where the values are, ``r_j``, counted from the start of the step in units of its size: shape
            ``(..., p)``, all different.
        means: of the powers, ``m_k``, of the same shape; or whatever else is linear in the polynomial and wanted of it.
    """
    powers = torch.arange(places.shape[-1], dtype=places.dtype)
    return torch.linalg.solve(places[..., None, :] ** powers[:, None], means)


def combination(form: Form, start: Level, past: Sequence[Level], end: Level) -> tuple[Weight, list[Weight]]:
    """A step of the order of the number of predictions.

    Args:
        form: of data or of noise.
        start: the level of the state from which the step starts.
        past: the levels of the predictions.
        end: the level where it leads. Levels may hold one number, or one a sample.

    Returns:
        ``(a, b)`` such that ``x_end = a x_start + sum_j b_j F_j``.
    """
    kept, factor = form.step(start, end)
    if len(past) == 1:
        return kept, [factor]
    origin = log_snr(start)
    h = log_snr(end) - origin
    places = torch.stack([(log_snr(one) - origin) / h for one in past], -1)
    return kept, [factor * weight for weight in weights(places, form.means(h, len(past))).unbind(-1)]


def form_of(prediction: Any) -> Form:
    """The form of a sampler's argument `prediction`."""
    if prediction not in FORMS:
        raise ValueError(f'prediction must be "data" or "noise"; got {prediction!r}')
    return FORMS[prediction]
