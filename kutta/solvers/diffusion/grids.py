"""Where a sampler stops on its way: grids of times, from noise to data.

A grid is a rule; `nodes` makes of it the times of a schedule with all that samplers need to know of them, in
float64 on the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from kutta.solvers.diffusion.schedules import Schedule, as_float64


@dataclass(frozen=True, eq=False)
class Nodes:
    """Times from noise to data, with the schedule there; float64, shape ``(steps + 1,)``.

    Attributes:
        t: the times.
        alpha: factors of the data.
        sigma: standard deviations of the noise; the last one may be 0.
        log_snr: ``lambda = log(alpha / sigma)``, increasing; may begin with ``-inf`` and end with ``inf``.
        model_t: what the model is told.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor
    model_t: Tensor

    @classmethod
    def at(cls, schedule: Schedule, t: Tensor) -> Nodes:
        """The nodes of a schedule at given times."""
        t = as_float64(t)
        return cls(t, schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t), schedule.model_time(t))

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.t) - 1

    @property
    def kappa(self) -> Tensor:
        """The ratio of noise to data, ``sigma / alpha``."""
        return self.sigma / self.alpha

    def with_clean_end(self) -> Nodes:
        """The same with a last node that has no noise at all, and the factor of the data of the last one."""
        alpha = torch.ones_like(self.alpha[-1:])
        ends = {"t": self.t[-1:], "alpha": alpha, "sigma": 0 * alpha, "log_snr": torch.inf * alpha}
        ends["model_t"] = self.model_t[-1:]
        return Nodes(**{name: torch.cat([getattr(self, name), end]) for name, end in ends.items()})


class Grid:
    """A rule for the times of a sampler. One of one's own derives from this and gives `times`."""

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        """``steps + 1`` times from `start` to `end`, decreasing, in float64."""
        raise NotImplementedError


def nodes(grid: Any, schedule: Schedule, steps: int | None, start: float, end: float, clean: bool = False) -> Nodes:
    """The nodes of a grid, checked.

    Args:
        grid: a `Grid`, or the times themselves.
        schedule: what the times belong to.
        steps: how many; may be ``None`` where the times are given.
        start, end: the first and the last time of a rule.
        clean: whether the last step leads to no noise at all instead of to `end`; it is then one of the `steps`.

    Raises:
        ValueError: for times that do not decrease, or not enough of them.
    """
    if not isinstance(grid, Grid):
        return _given(grid, schedule, steps, clean)
    if steps is None:
        raise ValueError("steps must say how many steps there are; got None")
    inner = steps - 1 if clean else steps
    if not isinstance(steps, int) or inner < (0 if clean else 1):
        raise ValueError(f"steps must be a positive whole number; got {steps!r}")
    times = grid.times(schedule, inner, start, end) if inner else as_float64([start])
    found = Nodes.at(schedule, _distinct(times))
    return _checked(found.with_clean_end() if clean else found)


def _given(times: Any, schedule: Schedule, steps: int | None, clean: bool) -> Nodes:
    times = as_float64(times)
    if times.dim() != 1 or len(times) < 2 - clean:
        raise ValueError(f"grid must be a Grid or a vector of two and more times; got shape {tuple(times.shape)}")
    found = Nodes.at(schedule, times)
    found = found.with_clean_end() if clean else found
    if steps is not None and steps != found.steps:
        raise ValueError(f"steps must be {found.steps}, as many as the given grid has; got {steps!r}")
    return _checked(found)


def _distinct(times: Tensor) -> Tensor:
    """Without repetitions, which appear where times are rounded to whole ones: a step of no size has no slope."""
    return torch.cat([times[:1], times[1:][torch.diff(times) != 0]])


def _checked(found: Nodes) -> Nodes:
    if not bool((torch.diff(found.log_snr) > 0).all()):
        raise ValueError(
            "the times of a grid must lead from noise to data, without repetitions; got "
            f"{', '.join(f'{t:.4g}' for t in found.t.tolist()[:12])}"
        )
    return found


def _even(steps: int) -> Tensor:
    return torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)


def _through(schedule: Schedule, log_snr: Tensor, start: float, end: float) -> Tensor:
    """Times of given signal-to-noise ratios, with the two ends as they are."""
    times = schedule.time(log_snr)
    return torch.cat([as_float64([start]), times[1:-1], as_float64([end])])


def _finite(schedule: Schedule, start: float, end: float, name: str) -> tuple[Tensor, Tensor]:
    first, last = schedule.log_snr(as_float64(start)), schedule.log_snr(as_float64(end))
    if not bool(torch.isfinite(first)) or not bool(torch.isfinite(last)):
        raise ValueError(
            f"{name} needs both data and noise at its ends; at t = {start:.6g} and {end:.6g} of {schedule!r} "
            f"log(alpha / sigma) is {float(first):.4g} and {float(last):.4g}: give t_span, or use UniformTime()"
        )
    return first, last


@dataclass(frozen=True)
class UniformLogSNR(Grid):
    """Equal steps of ``lambda = log(alpha / sigma)``."""

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        first, last = _finite(schedule, start, end, "UniformLogSNR()")
        return _through(schedule, first + _even(steps) * (last - first), start, end)


@dataclass(frozen=True)
class Rho(Grid):
    """Equal steps of ``kappa^(1 / rho)``, where ``kappa = sigma / alpha``: the larger `rho`, the more steps near the data.

    Attributes:
        rho: 7 by default; 1 has equal steps of ``kappa``, infinity those of `UniformLogSNR`.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022, equation 5.
    """

    rho: float = 7.0

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        first, last = _finite(schedule, start, end, "Rho()")
        roots = torch.exp(-first / self.rho), torch.exp(-last / self.rho)
        roots = roots[0] + _even(steps) * (roots[1] - roots[0])
        return _through(schedule, -self.rho * torch.log(roots), start, end)


@dataclass(frozen=True)
class UniformTime(Grid):
    """Equal steps of ``t^(1 / power)``.

    Attributes:
        power: 1 by default; 2 is the quadratic spacing.
        shift: ``t`` becomes ``shift t / (1 + (shift - 1) t)``, as flow models of large images want it.
    """

    power: float = 1.0
    shift: float = 1.0

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        roots = start ** (1 / self.power), end ** (1 / self.power)
        t = (roots[0] + _even(steps) * (roots[1] - roots[0])) ** self.power
        return self.shift * t / (1.0 + (self.shift - 1.0) * t)


@dataclass(frozen=True)
class Beta(Grid):
    """Times at the quantiles of a beta distribution: close together at both ends.

    Attributes:
        a, b: its parameters.

    Source: Lee et al., Beta sampling is all you need, 2024.
    """

    a: float = 0.6
    b: float = 0.6

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        quantiles = as_float64(stats.beta.ppf(np.linspace(1.0, 0.0, steps + 1), self.a, self.b))
        return end + quantiles * (start - end)


@dataclass(frozen=True)
class TrainingSteps(Grid):
    """Whole training steps of a `Discrete` schedule.

    Attributes:
        spacing: ``"linspace"``, both ends included; ``"leading"``, multiples of the ratio of the numbers of steps;
            ``"trailing"``, such multiples counted from the last one.
        offset: added to leading steps.

    Source: Lin et al., Common diffusion noise schedules and sample steps are flawed, 2024, table 2.
    """

    spacing: str = "linspace"
    offset: int = 0

    def __post_init__(self) -> None:
        if self.spacing not in ("linspace", "leading", "trailing"):
            raise ValueError(f'spacing must be "linspace", "leading" or "trailing"; got {self.spacing!r}')

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        count = start - end + 1.0
        if self.spacing == "linspace":
            return (start + _even(steps) * (end - start)).round()
        if self.spacing == "trailing":
            times = (start + 1.0 - count / (steps + 1) * torch.arange(steps + 1, dtype=torch.float64)).round() - 1.0
            return times.clamp(end, start)
        ratio = count // (steps + 1)
        return (end + ratio * torch.arange(steps, -1, -1, dtype=torch.float64) + self.offset).clamp(end, start)


GridLike = Grid | Sequence[float] | Tensor
