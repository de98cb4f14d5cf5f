"""The nodes that a configuration of diffusers asks for.

What diffusers calls sigma is a number that tells the noise of a time: for schedules made of betas the ratio of noise
to data ``sigma / alpha``, for flows the time itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.compat.diffusers.training import TrainedFlow, TrainedSteps
from kutta.solvers.diffusion.levels.grids import Beta, Grid, Nodes, Rho, TrainingSteps, UniformLogSNR, UniformTime
from kutta.solvers.diffusion.levels.schedules import EDM, as_float64

Trained = TrainedSteps | TrainedFlow

# Rules for sigma from its first value to its last one, by the option that asks for them. They are grids of the schedule
# whose time is its noise, whatever the model's own is.
RULES: dict[str, Grid] = {
    "use_karras_sigmas": Rho(),
    "use_exponential_sigmas": UniformLogSNR(),
    "use_beta_sigmas": Beta(),
}


def sigmas(schedule: Trained, t: Tensor) -> Tensor:
    """What diffusers calls sigma, at times of a schedule."""
    return as_float64(t) if isinstance(schedule, TrainedFlow) else torch.exp(-schedule.log_snr(t))


def times(schedule: Trained, sigmas: Tensor) -> Tensor:
    """The reverse of `sigmas`."""
    return sigmas if isinstance(schedule, TrainedFlow) else schedule.time(-torch.log(sigmas))


def by_rule(config: Any, schedule: Trained, steps: int, shift: float) -> Nodes:
    """The nodes of a number of steps, as the options of a scheduler say.

    Args:
        config: those options.
        schedule: that of the model.
        steps: how many; fewer where training steps would be repeated.
        shift: of the times of a flow: ``t`` becomes ``shift t / (1 + (shift - 1) t)``.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"num_inference_steps must be a positive whole number; got {steps!r}")
    rule = next((RULES[name] for name in RULES if config[name]), None)
    if rule is None:
        spaced = _spaced(config, schedule, steps)
        return _ended(config, schedule, _in_flow(spaced, config, schedule, shift), shift)
    ends = _in_flow(_bounds(config, schedule), config, schedule, shift)
    found = times(schedule, rule.times(EDM(), _between(config, steps), *sigmas(schedule, ends).tolist()))
    found[[0, -1]] = ends  # as they are, not to rounding
    return _ended(config, schedule, found[:steps], shift)


def given_timesteps(config: Any, schedule: Trained, timesteps: Any, shift: float) -> Nodes:
    """The nodes of what the model is to be told."""
    told = _checked("timesteps", timesteps)
    found = told / schedule.count if isinstance(schedule, TrainedFlow) else told
    if float(found[0]) > schedule.start or float(found[-1]) < schedule.end:
        most = schedule.count if isinstance(schedule, TrainedFlow) else int(schedule.start)
        raise ValueError(f"timesteps must lie between {most} and 0; got {float(told[0]):g} to {float(told[-1]):g}")
    if config.final_sigmas_type == "sigma_min" and found[-1] <= _ends(config, schedule, shift)[1]:
        raise ValueError("timesteps must stay above the first training step, where final_sigmas_type='sigma_min' ends")
    return _ended(config, schedule, found, shift)


def given_sigmas(config: Any, schedule: Trained, values: Any, shift: float) -> Nodes:
    """The nodes of given sigmas; a last one of zero is where the last step leads to."""
    values = _checked("sigmas", values)
    if len(values) > 1 and values[-1] == 0.0:
        found = _in_flow(times(schedule, values[:-1]), config, schedule, shift)
        return Nodes.at(schedule, found).with_clean_end()
    if not values[-1] > 0.0:
        raise ValueError(f"sigmas must be positive, except for a last one of zero; got {float(values[-1]):g}")
    return _ended(config, schedule, _in_flow(times(schedule, values), config, schedule, shift), shift)


def _spaced(config: Any, schedule: Trained, steps: int) -> Tensor:
    """Training steps, spaced as the options say: `steps` of them, and fewer if there are not as many."""
    spacing = config.timestep_spacing
    if isinstance(schedule, TrainedFlow):
        if config.flow_spacing == "inclusive":
            first, last = _bounds(config, schedule).tolist()
            return torch.linspace(first, last, _between(config, steps) + 1, dtype=torch.float64)[:steps]
        return _spaced_in_flow(spacing, config.steps_offset, schedule, steps)
    # Leading steps are counted as if one more were wanted, which would be the last training step.
    grid = TrainingSteps(spacing, config.steps_offset if spacing == "leading" else 0, clean=spacing == "leading")
    return grid.times(schedule, steps, schedule.start, schedule.end)[:steps]


def _between(config: Any, steps: int) -> int:
    """How many steps lie between the first time and the last one of the rule.

    That is one less than there are where the model is evaluated at the last one too.
    """
    ends_there = config.final_sigmas_type == "sigma_min" and config.shift_terminal is None
    return steps if ends_there else max(steps - 1, 1)


def _spaced_in_flow(spacing: str, offset: int, schedule: TrainedFlow, steps: int) -> Tensor:
    """The same without rounding, as a flow has a time between any two."""
    if spacing == "leading":
        ratio = max(schedule.count // (steps + 1), 1)
        steps_taken = 1 + offset + ratio * torch.arange(steps, 0, -1, dtype=torch.float64)
        return steps_taken.clamp(max=schedule.count) / schedule.count
    last = 1.0 / schedule.count if spacing == "linspace" else 0.0
    return UniformTime().times(schedule, steps, schedule.start, last)[:steps]


def _in_flow(t: Tensor, config: Any, schedule: Trained, shift: float) -> Tensor:
    """Times shifted, and stretched so that the model is last evaluated at ``shift_terminal``; for flows alone."""
    if not isinstance(schedule, TrainedFlow):
        return t
    t = _shifted(t, shift)
    if config.shift_terminal is None or t[-1] == 1.0:
        return t
    return 1.0 - (1.0 - t) * (1.0 - config.shift_terminal) / (1.0 - t[-1])


def _shifted(t: Tensor, shift: float) -> Tensor:
    return shift * t / (1.0 + (shift - 1.0) * t)


def _ends(config: Any, schedule: Trained, shift: float) -> Tensor:
    """The first and the last training step, shifted."""
    ends = _bounds(config, schedule)
    return _shifted(ends, shift) if isinstance(schedule, TrainedFlow) else ends


def _bounds(config: Any, schedule: Trained) -> Tensor:
    """The same as they are before the shift."""
    if not isinstance(schedule, TrainedFlow):
        return as_float64([schedule.start, schedule.end])
    ends = as_float64([1.0, 1.0 / schedule.count])
    shifted_twice = config.flow_spacing == "inclusive" and not config.use_dynamic_shifting
    return _shifted(ends, config.flow_shift) if shifted_twice else ends


def _ended(config: Any, schedule: Trained, t: Tensor, shift: float) -> Nodes:
    """The nodes where the model is evaluated, and the one where sampling ends."""
    if config.final_sigmas_type == "sigma_min":
        t = torch.cat([t, _ends(config, schedule, shift)[1:]])
    # Steps of no size, between training steps that are the same after rounding, are none.
    t = torch.cat([t[:1], t[1:][torch.diff(t) < 0]])
    found = Nodes.at(schedule, t)
    return found if config.final_sigmas_type == "sigma_min" else found.with_clean_end()


def _checked(name: str, values: Any) -> Tensor:
    """Given numbers, decreasing and one at least."""
    found = as_float64(values)
    if found.dim() != 1 or not len(found) or not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name} must be a list of finite numbers; got {values!r}")
    if not bool((torch.diff(found) < 0).all()):
        raise ValueError(f"{name} must decrease, without repetitions; got {found.tolist()[:12]}")
    return found
