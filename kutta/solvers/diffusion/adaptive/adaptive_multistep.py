"""A sampler that chooses its steps: each sample its own, by an estimate of its error, with one evaluation a step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from kutta.solution import Result
from kutta.solvers.controllers import PI, tame
from kutta.solvers.diffusion.adaptive.batch import Trial
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.numbers import is_number, is_positive
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sampler import Sampler

SMALLEST_STEP = 1e-6  # in log(alpha / sigma)
_CONTROL = PI(min_factor=0.3, max_factor=2.0)


@dataclass(frozen=True)
class AdaptiveMultistep(Sampler):
    """Exponential multistep with an embedded error estimate and step sizes for each sample.

    A predictor of order `p` and a corrector of order ``p + 1`` share their evaluation of the model: their difference is
    the error estimate, and the corrected state goes on, so that a step costs one evaluation. Orders grow from 1 as
    predictions become known. With `y = x / alpha`, the error ratio of a sample is

        r = rms(y_corrected - y_predicted) / (atol + rtol rms(y_corrected)),

    so that tolerances are in the units of the data; `rtol` and `atol` of `kutta.solve` are numbers or tensors ``(B,)``.
    One that is left out is 0, and both are 0.01 if both are left out. The next step size in ``log(alpha / sigma)`` is
    ``h`` times ``0.9 r^(-0.7 / p) r_before^(0.4 / p)``, kept between 0.3 and 2.

    The tolerance bounds the estimated error of each step, up to `limit`, and not the error of a sample at the end:
    where the flow leads neighbours apart, errors of steps grow. Measured on a mixture in the plane, 256 starts, with
    `atol` from 1e-2 to 1e-6 and no `rtol`, the root mean square error of a sample divided by the tolerance is

    - with order 2 on average 0.6 to 0.95, for the worst sample 15 to 27, and above 1 for 9 to 13 samples of 100;
    - with order 3 on average 0.2 to 0.4, for the worst sample 4 to 21, and above 1 for 2 to 5 of 100;
    - with order 4 on average 0.2 to 0.45, for the worst sample 22 to 51, and above 1 for 2 to 4 of 100.

    This frees one from choosing grid and order, and keeps strong guidance from diverging; it is not more accurate
    than the best grid of as many steps would be. `median_grid` makes a grid of its steps, for any sampler.

    All samples are evaluated together until the last one has ended; those that have ended stay as they are. It needs
    no `steps` and no `grid`; `max_steps` is 1000 by default. An end where ``log(alpha / sigma)`` is infinite costs
    one more evaluation.

    Attributes:
        order: ``p``, from 1 to 6.
        first_step: size of the first step in ``log(alpha / sigma)``.
        largest_step: of all steps.
        limit: the largest error ratio that is accepted. Above 1 it lets the better, corrected state pass; with
            infinity no step is ever rejected, and the tolerance is no more than a wish.
        shared: ``None`` for a step size for each sample; otherwise all samples share one, and the error ratio is this
            quantile of theirs, such as 0.9.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> x = 10.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> sol = kt.solve(problem, kt.AdaptiveMultistep(3), atol=1e-3)
        >>> exact = kt.solve(problem, kt.Vern9(), rtol=1e-10, atol=1e-10).y1
        >>> bool((sol.y1 - exact).abs().mean() < 1e-3), sol.stats.function_evaluations.shape
        (True, torch.Size([64]))
    """

    order: int = 3
    first_step: float = 0.2
    largest_step: float = math.inf
    limit: float = 1.5
    shared: float | None = None

    def __post_init__(self) -> None:
        check_order(self.order, 6)
        for name in ("first_step", "largest_step", "limit"):
            if not is_positive(getattr(self, name)):
                raise ValueError(f"{name} must be a positive number; got {getattr(self, name)!r}")
        if self.shared is not None and not (is_number(self.shared) and 0.0 <= self.shared <= 1.0):
            raise ValueError(f"shared must be None or a quantile from 0 to 1; got {self.shared!r}")

    def plan(self, nodes: Nodes) -> Plan:
        raise TypeError(
            "AdaptiveMultistep chooses its own steps and has no plan for a grid: solve with it as it is, or give "
            "kutta.diffusion.median_grid(solution, schedule) as grid= to another sampler"
        )


@dataclass
class Pace:
    """Who goes how far, and what became of it; one number a sample, on the host.

    Attributes:
        method: sets the rules.
        end: the ``log(alpha / sigma)`` where all samples end.
        rtol, atol: tolerances.
        size: of the next step.
        before: error ratio of the last accepted step, to the power ``1 / p`` of its order.
        codes: how each sample ended; `RUNNING` until it has.
        accepted, rejected: counts of steps.
    """

    method: AdaptiveMultistep
    end: Tensor
    rtol: Tensor
    atol: Tensor
    size: Tensor
    before: Tensor = field(init=False)
    codes: Tensor = field(init=False)
    accepted: Tensor = field(init=False)
    rejected: Tensor = field(init=False)

    RUNNING = -1

    def __post_init__(self) -> None:
        self.size = self.size.clamp(max=self.method.largest_step)
        self.before = torch.ones_like(self.size)
        self.accepted, self.rejected = (torch.zeros_like(self.size, dtype=torch.int64) for _ in range(2))
        self.codes = torch.full_like(self.accepted, self.RUNNING)

    @property
    def running(self) -> Tensor:
        """Which samples have not ended."""
        return self.codes == self.RUNNING

    @property
    def ended_well(self) -> Tensor:
        """Which samples have reached the end."""
        return self.codes == int(Result.SUCCESS)

    def next(self, log_snr: Tensor) -> Tensor:
        """Where to go from there. The last two steps are of one size, lest the last one be tiny."""
        left = self.end - log_snr
        last = self.size >= left
        self.size = torch.where(last, left, torch.minimum(self.size, 0.5 * left))
        return torch.where(self.running, torch.where(last, self.end, log_snr + self.size), log_snr)

    def judge(self, trial: Trial) -> Tensor:
        """Which samples accept their step; all get a size for the next one."""
        error, size = trial.norms
        ratio = tame(error / (self.atol + self.rtol * size))
        if self.method.shared is not None:
            ratio = torch.quantile(ratio, self.method.shared).expand_as(ratio)
        accepted = self.running & (ratio <= self.method.limit)
        rejected = self.running & ~accepted
        self.accepted, self.rejected = self.accepted + accepted, self.rejected + rejected

        scaled, factor = _CONTROL.factor(ratio ** (1.0 / trial.order), [self.before], 1)
        self.before = torch.where(accepted, scaled, self.before)
        self.size = torch.where(self.running, self.size * factor, self.size).clamp(max=self.method.largest_step)
        self._end(accepted & (trial.log_snr >= self.end), Result.SUCCESS)
        self._end((self.size < SMALLEST_STEP) & ~torch.isfinite(error), Result.NON_FINITE)
        self._end(self.size < SMALLEST_STEP, Result.STEP_UNDERFLOW)
        return accepted

    def give_up(self, max_steps: int) -> None:
        """End the samples that have made as many attempts as they may."""
        self._end(self.accepted + self.rejected >= max_steps, Result.MAX_STEPS)

    def _end(self, which: Tensor, result: Result) -> None:
        self.codes = torch.where(which & self.running, int(result), self.codes)
