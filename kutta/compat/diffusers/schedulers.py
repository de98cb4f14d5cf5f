"""The schedulers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from diffusers.schedulers.scheduling_utils import SchedulerMixin  # noqa: F401  for pipelines, which look for it here
from torch import Tensor

from kutta.compat.diffusers.configuration import PREDICTIONS, configured
from kutta.compat.diffusers.scheduler import PlanScheduler
from kutta.problems import DiffusionProblem
from kutta.solve import solve
from kutta.solvers.diffusion.adaptive.adaptive_multistep import AdaptiveMultistep
from kutta.solvers.diffusion.exponential.multistep import ExponentialMultistep
from kutta.solvers.diffusion.exponential.orders import LowerOrderFinal
from kutta.solvers.diffusion.exponential.starters import CorrectedRamp, GradedStart, Ramp, SinglestepStart
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.median_grid import median_grid
from kutta.solvers.diffusion.levels.schedules import as_float64, check_times
from kutta.solvers.diffusion.momentum.ghvb import GHVB
from kutta.solvers.diffusion.momentum.heavy_ball import HeavyBall
from kutta.solvers.diffusion.named.dpm_solver import DPMSolverPP
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.solver_schedules.solver_schedule import SolverSchedule

STARTERS = {
    "ramp": Ramp(),
    "corrected_ramp": CorrectedRamp(),
    "singlestep": SinglestepStart(),
    "graded": GradedStart(),
}

# How much more of the data, ``alpha / sqrt(alpha^2 + sigma^2)``, a searched schedule may leave at its first time than
# the noise schedule does. "Leading" training steps of few steps leave about 0.1 more.
MOST_DATA = 0.25


class GHVBScheduler(PlanScheduler):
    """`kutta.GHVB`: momentum that damps what strong guidance excites, at almost no loss of accuracy.

    Args:
        solver_order: 1 to 5.
        damping: the `beta` of `kutta.GHVB`, in ``(0, 1]``; 1 is no momentum.
        coefficients: ``"constant"`` or ``"variable"``.

    The other options are those of `PlanScheduler`.

    Example:
        >>> import torch
        >>> from diffusers import DDIMScheduler
        >>> from kutta.compat.diffusers import GHVBScheduler
        >>> scheduler = GHVBScheduler.from_config(DDIMScheduler(beta_schedule="scaled_linear").config, damping=0.8)
        >>> scheduler.set_timesteps(4)
        >>> x = torch.ones(1, 4, 8, 8)
        >>> for t in scheduler.timesteps:
        ...     x = scheduler.step(0.1 * x, t, x).prev_sample
        >>> scheduler.timesteps.tolist(), x.shape
        ([999, 749, 500, 250], torch.Size([1, 4, 8, 8]))
    """

    @configured
    def __init__(self, solver_order: int = 3, damping: float = 0.5, coefficients: str = "constant"):
        self.method = GHVB(solver_order, damping, coefficients)


class HeavyBallDPMSolverScheduler(PlanScheduler):
    """`kutta.HeavyBall` on `kutta.DPMSolverPP`: damps more than `GHVBScheduler`, and is of first order.

    Args:
        solver_order: of DPM-Solver++, 1 to 3.
        damping: the `beta` of `kutta.HeavyBall`, in ``(0, 1]``; 1 is no momentum.
        lower_order_final: whether the orders are lowered in the last two of fewer than 15 steps.

    The other options are those of `PlanScheduler`.
    """

    @configured
    def __init__(self, solver_order: int = 2, damping: float = 0.8, lower_order_final: bool = True):
        self.method = HeavyBall(DPMSolverPP(solver_order, final_orders=_finals(lower_order_final)), damping)


class ExponentialMultistepScheduler(PlanScheduler):
    """`kutta.ExponentialMultistep`: the exact exponential rule of any order.

    Args:
        solver_order: 1 to 9.
        starter: ``"ramp"`` or ``"corrected_ramp"``; or ``"singlestep"`` or ``"graded"``, which evaluate the model more
            often in the first steps. With those there are more `timesteps` than steps, and a run cannot begin in their
            middle.
        corrector: whether each step is taken once more with the prediction at its end.
        lower_order_final: whether the orders are lowered in the last two of fewer than 15 steps.

    The other options are those of `PlanScheduler`.
    """

    @configured
    def __init__(
        self,
        solver_order: int = 2,
        starter: str = "ramp",
        corrector: bool = False,
        lower_order_final: bool = True,
    ):
        if starter not in STARTERS:
            raise ValueError(f"starter must be one of {', '.join(STARTERS)}; got {starter!r}")
        self.method = ExponentialMultistep(
            solver_order, starter=STARTERS[starter], corrector=corrector, final_orders=_finals(lower_order_final)
        )


def _finals(lower: bool) -> Any:
    return LowerOrderFinal() if lower else ()


class SearchedScheduler(PlanScheduler):
    """A `kutta.SolverSchedule`, such as `kutta.diffusion.search` finds: it brings its times.

    Args:
        solver_schedule: what `kutta.SolverSchedule.to_json` gave, as text or as the record in it. Its times are those
            of the schedule that the other options describe.

    The other options are those of `PlanScheduler`. What they say about spacing, sigmas and the end means nothing here.
    """

    method: SolverSchedule

    @configured
    def __init__(self, solver_schedule: Any = None):
        if solver_schedule is None:
            raise ValueError("solver_schedule must be given: what kutta.SolverSchedule.to_json() returns")
        text = solver_schedule if isinstance(solver_schedule, str) else json.dumps(solver_schedule)
        self.method = SolverSchedule.from_json(text)
        self._check_times()

    def _check_times(self) -> None:
        """Refuse times of another noise schedule: pipelines begin with nothing but noise."""
        times = self.method.times
        check_times(self.schedule, times)
        found = Nodes.at(self.schedule, times)
        self.method.check_schedule(found)
        ends = self.schedule.log_snr(torch.stack([times[0], as_float64(self.schedule.start)]))
        left, least = torch.sigmoid(2.0 * ends).sqrt().tolist()
        if left > least + MOST_DATA:
            raise ValueError(
                f"this solver schedule begins at t = {float(times[0]):.6g}, where {left:.3g} of the data is left; a "
                f"pipeline begins with noise alone, at t = {self.schedule.start:.6g}. The times must be those of the "
                "noise schedule that the options of the scheduler describe"
            )

    def nodes(self, num_inference_steps: Any, timesteps: Any, sigmas: Any, shift: float) -> Nodes:
        count = len(self.method.steps)
        if timesteps is not None or sigmas is not None or num_inference_steps != count:
            raise ValueError(
                f"this solver schedule has {count} steps at times of its own: call set_timesteps({count}), or give a "
                f"pipeline num_inference_steps={count}"
            )
        return Nodes.at(self.schedule, self.method.times)

    def sampler(self, nodes: Nodes) -> Sampler:
        if nodes.steps != len(self.method.steps):
            raise ValueError("a searched schedule cannot begin in the middle, where it would lack the history it reads")
        return self.method


class AdaptiveScheduler(PlanScheduler):
    """The steps that `kutta.AdaptiveMultistep` chose once, replayed.

    A pipeline asks for all times before it evaluates the model, so a scheduler cannot choose them on the way. This one
    is calibrated: `calibrate` samples a batch adaptively, and keeps the median of the steps in the configuration, where
    `save_pretrained` finds it. A run takes those steps, with the same predictor and corrector and one evaluation each;
    it does not look at errors, so the tolerance is as good as the batch was typical.

    Args:
        solver_order: of the predictor, 1 to 6.
        calibrated_times: the nodes that `calibrate` found, in the time of the noise schedule: training steps, or for
            flows from 1 to 0.

    The other options are those of `PlanScheduler`. What they say about spacing and sigmas means nothing here.
    """

    @configured
    def __init__(self, solver_order: int = 3, calibrated_times: list[float] | None = None):
        AdaptiveMultistep(solver_order)  # says which orders there are
        self.method = ExponentialMultistep(solver_order, corrector=True)

    def calibrate(
        self, model: Callable[[Tensor, Tensor], Tensor], x: Tensor, steps: int | None = None, **tolerances: Any
    ) -> int:
        """Choose the times for a model.

        Args:
            model: called as ``model(x, t)`` with states ``(B, ...)`` and what the model is told, ``(B,)``; with
                guidance, if the runs will have it.
            x: standard normal numbers, as many samples as the steps are to be typical for.
            steps: how many; by default the median of what the samples took.
            tolerances: `rtol` and `atol` of `kutta.solve`, in the units of the data.

        Returns:
            the number of steps of a run: its `num_inference_steps`.
        """
        flow, zero = self.is_flow, self.config.final_sigmas_type == "zero"
        end = (0.0 if zero else 1.0 / len(self)) if flow else self.schedule.end
        prediction = PREDICTIONS[self.config.prediction_type]
        problem = DiffusionProblem(model, self.schedule, x, prediction=prediction, t_span=(self.schedule.start, end))
        with torch.no_grad():
            found = solve(problem, AdaptiveMultistep(self.config.solver_order), save_at="steps", **tolerances)
        self.register_to_config(calibrated_times=median_grid(found, self.schedule, steps).tolist())
        return self._calibrated().steps

    def nodes(self, num_inference_steps: Any, timesteps: Any, sigmas: Any, shift: float) -> Nodes:
        if timesteps is not None or sigmas is not None:
            return super().nodes(num_inference_steps, timesteps, sigmas, shift)
        found = self._calibrated()
        if num_inference_steps != found.steps:
            raise ValueError(
                f"this scheduler is calibrated for {found.steps} steps: call set_timesteps({found.steps}), give a "
                f"pipeline num_inference_steps={found.steps}, or calibrate with steps={num_inference_steps}"
            )
        return found

    def _calibrated(self) -> Nodes:
        if self.config.calibrated_times is None:
            raise ValueError("the steps are not known yet: call calibrate(model, x), or give set_timesteps timesteps")
        found = Nodes.at(self.schedule, as_float64(self.config.calibrated_times))
        ends_clean = self.config.final_sigmas_type == "sigma_min" or found.sigma[-1] == 0.0
        return found if ends_clean else found.with_clean_end()
