"""Where a sampler stops on its way: grids of times, from noise to data.

A grid is a rule; `nodes` makes of it the times of a schedule with all that samplers need to know of them, in
float64 on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from kutta.solvers.diffusion.levels.schedules import Discrete, Schedule, as_float64, check_times
from kutta.solvers.diffusion.numbers import is_number, is_positive

Rule = Callable[[Tensor, Tensor, int], Tensor]  # ``log(alpha / sigma)`` from one to another in so many steps


@dataclass(frozen=True, eq=False)
class Nodes:
    """Times from noise to data, with the schedule there; float64, shape ``(steps + 1,)``.

    Attributes:
        t: the times.
        alpha: factors of the data.
        sigma: standard deviations of the noise; the last one may be 0.
        log_snr: ``lambda = log(alpha / sigma)``, increasing; may begin with ``-inf`` and end with ``inf``.
        model_t: what the model is told.
        schedule: tells the same of the times between them.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor
    model_t: Tensor
    schedule: Schedule

    @classmethod
    def at(cls, schedule: Schedule, t: Tensor) -> Nodes:
        """The nodes of a schedule at given times."""
        t = as_float64(t)
        return cls(t, schedule.alpha(t), schedule.sigma(t), schedule.log_snr(t), schedule.model_time(t), schedule)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.t) - 1

    @property
    def kappa(self) -> Tensor:
        """The ratio of noise to data, ``sigma / alpha``."""
        return self.sigma / self.alpha

    def regular(self, step: int) -> bool:
        """Whether a step, counted from 0, begins with some data and ends with some noise.

        Elsewhere ``log(alpha / sigma)`` is infinite, and only the step of first order is defined.
        """
        return bool(torch.isfinite(self.log_snr[step : step + 2]).all())

    def since(self, first: int) -> Nodes:
        """The same from one of them on."""
        names = ("t", "alpha", "sigma", "log_snr", "model_t")
        return replace(self, **{name: getattr(self, name)[first:] for name in names})

    def with_clean_end(self) -> Nodes:
        """The same with one more node that has no noise at all, only the data; its time is that of the last one."""
        alpha = torch.ones_like(self.alpha[-1:])
        ends = {"t": self.t[-1:], "alpha": alpha, "sigma": 0 * alpha, "log_snr": torch.inf * alpha}
        ends["model_t"] = self.model_t[-1:]
        return replace(self, **{name: torch.cat([getattr(self, name), end]) for name, end in ends.items()})


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A rule for the times of a sampler. One of one's own derives from this and gives `times`.

    Attributes:
        clean: whether the last step leads to no noise at all, instead of to the last time, which is then where it
            begins. It counts as one of the steps. Where there is no noise at the last time it changes nothing.
    """

    clean: bool = False

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        """``steps + 1`` times from `start` to `end`, decreasing, in float64; the first one is `start`."""
        raise NotImplementedError


def nodes(grid: Any, schedule: Schedule, steps: int | None, start: float, end: float) -> Nodes:
    """The nodes of a grid, checked.

    Args:
        grid: a `Grid`, or the times themselves.
        schedule: what the times belong to.
        steps: how many; may be ``None`` where the times are given.
        start: the first time of a rule.
        end: the last one.

    Raises:
        ValueError: for times that do not decrease, begin elsewhere, lie beyond the schedule, or are not enough.
    """
    if not isinstance(grid, Grid):
        return _given(grid, schedule, steps)
    if steps is None:
        raise ValueError("steps must say how many steps there are; got None")
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps must be a positive whole number; got {steps!r}")
    clean = grid.clean and not bool(schedule.log_snr(as_float64(end)) == torch.inf)
    times = _distinct(grid.times(schedule, steps - clean, start, end)) if steps > clean else as_float64([start])
    if steps > clean and len(times) < 2:
        raise ValueError(
            f"steps={steps} of {grid!r} do not leave t = {float(times[0]):.9g}: take more steps, or another grid"
        )
    if float(times[0]) != start:
        raise ValueError(
            f"{grid!r} begins at t = {float(times[0]):.9g}, and the state at t = {start:.9g}: give the problem "
            f"t_span=({float(times[0]):.9g}, {end:.9g}) and a state x that belongs to its beginning"
        )
    found = Nodes.at(schedule, times)
    return _checked(found.with_clean_end() if clean else found)


def _given(times: Any, schedule: Schedule, steps: int | None) -> Nodes:
    found = Nodes.at(schedule, given_times(times))
    if steps is not None and steps != found.steps:
        raise ValueError(f"steps must be {found.steps}, as many as the given grid has; got {steps!r}")
    return _checked(found)


def given_times(grid: Any) -> Tensor:
    """The times of a grid that is given by them."""
    return time_vector("grid must be a Grid such as kutta.diffusion.Rho(), or", grid)


def time_vector(wanted: str, times: Any) -> Tensor:
    """Times as a vector, float64, or an error that begins with what is wanted."""
    wanted = f"{wanted} a vector of two and more times"
    try:
        found = as_float64(times)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{wanted}; got {times!r:.80}") from None
    if found.dim() != 1 or len(found) < 2:
        raise ValueError(f"{wanted}; got shape {tuple(found.shape)}")
    return found


def _distinct(times: Tensor) -> Tensor:
    """Without repetitions, which appear where times are rounded to whole ones: a step of no size has no slope."""
    return torch.cat([times[:1], times[1:][torch.diff(times) != 0]])


def _checked(found: Nodes) -> Nodes:
    check_times(found.schedule, found.t.detach())
    if not bool((torch.diff(found.log_snr) > 0).all()):
        raise ValueError(
            "the times of a grid must lead from noise to data, without repetitions; got "
            f"{', '.join(f'{t:.4g}' for t in found.t.tolist()[:12])}"
        )
    return found


def _even(steps: int) -> Tensor:
    return torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)


def _by_log_snr(
    grid: UniformLogSNR | Rho, schedule: Schedule, steps: int, start: float, end: float, rule: Rule
) -> Tensor:
    """Times whose ``log(alpha / sigma)`` follows a rule. A last time without noise is reached from `least` of it."""
    first, last = schedule.log_snr(as_float64(start)), schedule.log_snr(as_float64(end))
    if not bool(torch.isfinite(first)):
        raise ValueError(
            f"{type(grid).__name__}() needs data at the beginning; at t = {start:.6g} of {schedule!r} there is only "
            "noise: give t_span, or use UniformTime()"
        )
    if bool(torch.isfinite(last)):
        return _pinned(schedule.time(rule(first, last, steps)), start, end)
    least = -torch.log(as_float64(grid.least))
    before = schedule.time(rule(first, least, steps - 1)) if steps > 1 else as_float64([start])
    return _pinned(torch.cat([before, as_float64([end])]), start, end)


def _check_positive(name: str, value: Any) -> None:
    if not is_positive(value):
        raise ValueError(f"{name} must be a positive number; got {value!r}")


def _pinned(times: Tensor, start: float, end: float) -> Tensor:
    """Times whose ends are not off by a rounding error."""
    return torch.cat([as_float64([start]), times[1:-1], as_float64([end])])


@dataclass(frozen=True)
class UniformLogSNR(Grid):
    """Equal steps of ``lambda = log(alpha / sigma)``.

    Attributes:
        least: the ``sigma / alpha`` from which the last step leads to no noise, where the last time has none.
    """

    least: float = 0.002

    def __post_init__(self) -> None:
        _check_positive("least", self.least)

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        def rule(first: Tensor, last: Tensor, steps: int) -> Tensor:
            return first + _even(steps) * (last - first)

        return _by_log_snr(self, schedule, steps, start, end, rule)


@dataclass(frozen=True)
class Rho(Grid):
    """Equal steps of ``kappa^(1 / rho)``, ``kappa = sigma / alpha``: the larger `rho`, the more steps near the data.

    Attributes:
        rho: positive, 7 by default; 1 has equal steps of ``kappa``, infinity those of `UniformLogSNR`.
        least: the ``kappa`` from which the last step leads to no noise, where the last time has none. By default that
            of the source.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022, equation 5.
    """

    rho: float = 7.0
    least: float = 0.002

    def __post_init__(self) -> None:
        _check_positive("rho", self.rho)
        _check_positive("least", self.least)

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        if math.isinf(self.rho):
            return UniformLogSNR(least=self.least).times(schedule, steps, start, end)

        def rule(first: Tensor, last: Tensor, steps: int) -> Tensor:
            roots = torch.exp(-first / self.rho), torch.exp(-last / self.rho)
            return -self.rho * torch.log(roots[0] + _even(steps) * (roots[1] - roots[0]))

        return _by_log_snr(self, schedule, steps, start, end, rule)


@dataclass(frozen=True)
class UniformTime(Grid):
    """Equal steps of ``u^(1 / power)``, ``t = shift u / (1 + (shift - 1) u)``.

    Attributes:
        power: positive, 1 by default; 2 is the quadratic spacing.
        shift: positive; more than 1 means more steps near the noise, as flow models of large images want it. Only for
            times between 0 and 1.
    """

    power: float = 1.0
    shift: float = 1.0

    def __post_init__(self) -> None:
        _check_positive("power", self.power)
        _check_positive("shift", self.shift)

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        if self.shift != 1.0 and not 0.0 <= end < start <= 1.0:
            raise ValueError(f"shift is for times between 0 and 1; got times from {start:.6g} to {end:.6g}")
        roots = [(t / (self.shift - (self.shift - 1.0) * t)) ** (1 / self.power) for t in (start, end)]
        u = (roots[0] + _even(steps) * (roots[1] - roots[0])) ** self.power
        return _pinned(self.shift * u / (1.0 + (self.shift - 1.0) * u), start, end)


@dataclass(frozen=True)
class Beta(Grid):
    """Times at the quantiles of a beta distribution: close together at both ends.

    Attributes:
        a, b: its parameters, positive.

    Source: Lee et al., Beta sampling is all you need, 2024.
    """

    a: float = 0.6
    b: float = 0.6

    def __post_init__(self) -> None:
        _check_positive("a", self.a)
        _check_positive("b", self.b)

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        quantiles = as_float64(stats.beta.ppf(np.linspace(1.0, 0.0, steps + 1), self.a, self.b))
        return _pinned(end + quantiles * (start - end), start, end)


@dataclass(frozen=True)
class TrainingSteps(Grid):
    """Whole training steps of a `Discrete` schedule, as many different ones as there are.

    Attributes:
        spacing: ``"linspace"``, from the first time to the last; ``"leading"``, multiples of a whole number counted
            from the last time, so that the first of them is not quite the noisiest, and `t_span` must begin there (an
            error says where that is); ``"trailing"``, equal distances counted from the first time. The latter two end
            with a step to the last time, or with ``clean=True`` to the data.
        offset: added to leading steps.

    Source: Lin et al., Common diffusion noise schedules and sample steps are flawed, 2024, table 2.
    """

    spacing: str = "linspace"
    offset: int = 0

    def __post_init__(self) -> None:
        if self.spacing not in ("linspace", "leading", "trailing"):
            raise ValueError(f'spacing must be "linspace", "leading" or "trailing"; got {self.spacing!r}')
        if not is_number(self.offset):
            raise ValueError(f"offset must be a number; got {self.offset!r}")
        if self.offset and self.spacing != "leading":
            raise ValueError(f"offset is for leading steps; got {self.offset!r} with spacing={self.spacing!r}")

    def times(self, schedule: Schedule, steps: int, start: float, end: float) -> Tensor:
        if not isinstance(schedule, Discrete):
            raise ValueError(f"TrainingSteps() is for kutta.diffusion.Discrete(betas); got {schedule!r}")
        if self.spacing == "linspace":
            return (start + _even(steps) * (end - start)).round()
        # Leading steps are what they are wherever sampling begins: multiples in the whole range of training.
        noisiest = start if self.spacing == "trailing" else schedule.start
        if self.clean:
            return self._spaced(steps + 1, noisiest, end)
        return torch.cat([self._spaced(steps, noisiest, end), as_float64([end])])

    def _spaced(self, count: int, noisiest: float, end: float) -> Tensor:
        total = noisiest - end + 1.0
        numbers = torch.arange(count, dtype=torch.float64)
        if self.spacing == "trailing":
            return ((noisiest + 1.0 - total / count * numbers).round() - 1.0).clamp(end, noisiest)
        ratio = max(total // count, 1.0)
        return (end + ratio * numbers.flip(0) + self.offset).clamp(end, noisiest)
