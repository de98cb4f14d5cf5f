"""A batch of samples on its way from noise to data, each at a level of its own, with the predictions it remembers.

A sample at ``lambda = log(alpha / sigma)`` is advanced by ``h`` with the exponential multistep rule

    x_1 = kept x + factor sum_j b_j D_j,    sum_j b_j r_j^k = mean of (r / h)^k,

in the notation of `kutta.solvers.diffusion.exponential.forms`: it is exact where the predicted data are a polynomial in
`lambda` through the remembered ones at ``lambda + r_j h``. The predictor uses ``r = 0, r_1, ...``; the model is
evaluated where it leads, and the corrector uses ``r = 1`` as well, which raises the order by one. Their difference
estimates the predictor's error, and no evaluation of the model is spent on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.schedules import Schedule
from kutta.solvers.diffusion.plans.plan import Level
from kutta.solvers.diffusion.plans.sums import weighted_sum

_FORM = FORMS["data"]


@dataclass
class Trial:
    """A step that has been tried.

    Attributes:
        log_snr: where it leads, ``(B,)``.
        x: the corrected state there.
        data: the prediction there.
        order: of the predictor, ``(B,)``.
        norms: root mean squares of the difference of predictor and corrector, and of the state; both divided by
            `alpha`, on the host, ``(2, B)``.
    """

    log_snr: Tensor
    x: Tensor
    data: Tensor
    order: Tensor
    norms: Tensor


class Batch:
    """Samples, their predictions, and their levels; the latter on the host in float64.

    Attributes:
        x: states, ``(B, ...)``.
        data: the latest predictions, newest first.
        log_snr: where they were made, ``(order, B)``.
        known: how many of them there are, ``(B,)``.
    """

    def __init__(self, x: Tensor, log_snr: Tensor, order: int, denoiser: Denoiser, schedule: Schedule):
        self.x, self.denoiser, self.schedule = x, denoiser, schedule
        self.log_snr = log_snr.expand(order, len(x)).clone()
        self.known = torch.ones(len(x), dtype=torch.int64)
        level = self.level(log_snr)
        level = Level(float(level.t), float(level.alpha), float(level.sigma), float(level.model_t))
        self.data = [denoiser(x, level, ["data"])["data"]] * order

    @property
    def times(self) -> Tensor:
        """The times of the samples."""
        return self.schedule.time(self.log_snr[0])

    def level(self, log_snr: Tensor) -> Level:
        """The levels of samples."""
        t = self.schedule.time(log_snr)
        return Level(t, self.schedule.alpha(t), self.schedule.sigma(t), self.schedule.model_time(t))

    def try_step(self, log_snr: Tensor) -> Trial:
        """Predict, evaluate, correct.

        Args:
            log_snr: where to go, ``(B,)``. Samples that are there already are left alone.
        """
        kept, level, predictor, change = self._numbers(log_snr)
        predicted = weighted_sum([(kept, self.x), *zip(predictor, self.data, strict=True)], self.x)
        data = self.denoiser(predicted, level, ["data"])["data"]
        difference = weighted_sum([*zip(change, [data, *self.data], strict=True)], self.x)
        x = predicted + difference
        norms = torch.stack([_rms(difference), _rms(x)]).detach().to("cpu", torch.float64)
        return Trial(log_snr, x, data, self.known, norms / self.level(log_snr).alpha)

    def _numbers(self, log_snr: Tensor) -> tuple[Tensor, Level, list[Tensor], list[Tensor]]:
        """What a step needs on the device: the weight of the state, the level, the predictor, what the corrector adds.

        They go there together, and without waiting for it.
        """
        here, there = self.level(self.log_snr[0]), self.level(log_snr)
        size = log_snr - self.log_snr[0]
        size = torch.where(size > 0.0, size, 1.0)  # for samples that stay, whose factor is zero
        back = ((self.log_snr - self.log_snr[0]) / size).T
        kept, factor = _FORM.step(here, there)
        means = _FORM.means(size, back.shape[1] + 1)
        predictor = factor * fitted(back, means[:, :-1], self.known).T
        corrector = factor * fitted(torch.cat([torch.ones_like(back[:, :1]), back], 1), means, self.known + 1).T
        change = corrector - torch.cat([torch.zeros_like(predictor[:1]), predictor])
        rows = torch.stack([kept, there.t, there.alpha, there.sigma, there.model_t, *predictor, *change])
        kept, *rows = rows.to(self.x.dtype).to(self.x.device, non_blocking=True)
        return kept, Level(*rows[:4]), rows[4 : 4 + len(predictor)], rows[4 + len(predictor) :]

    def accept(self, trial: Trial, accepted: Tensor) -> None:
        """Go where a trial led, with those samples that `accepted` names."""
        on_device = by_sample(accepted, self.x)
        self.x = torch.where(on_device, trial.x, self.x)
        newer = [trial.data, *self.data[:-1]]
        self.data = [torch.where(on_device, *pair) for pair in zip(newer, self.data, strict=True)]
        moved = torch.cat([trial.log_snr[None], self.log_snr[:-1]])
        self.log_snr = torch.where(accepted, moved, self.log_snr)
        self.known = (self.known + accepted).clamp(max=len(self.data))


def fitted(r: Tensor, means: Tensor, count: Tensor) -> Tensor:
    """Weights ``b`` with ``sum_j b_j r_j^k = means_k`` for ``k < count``, where only the first `count` are not zero.

    Args:
        r: positions, ``(B, n)``.
        means: ``(B, n)``.
        count: how many positions each row has, ``(B,)``.
    """
    k = torch.arange(r.shape[1])
    used = k < count[:, None]
    powers = torch.where(
        used[:, :, None] & used[:, None, :], r[:, None, :] ** k[:, None], torch.eye(len(k), dtype=r.dtype)
    )
    return torch.linalg.solve(powers, torch.where(used, means, 0.0))


def by_sample(which: Tensor, x: Tensor) -> Tensor:
    """A choice of samples, so that it goes with their states."""
    return which.to(x.device, non_blocking=True).reshape(-1, *[1] * (x.dim() - 1))


def _rms(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.reshape(len(x), -1), dim=1) / x[0].numel() ** 0.5
