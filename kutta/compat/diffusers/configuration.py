"""The options that all schedulers have, and how a class adds its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from diffusers.configuration_utils import register_to_config

from kutta.compat.diffusers.times import RULES
from kutta.solvers.diffusion.numbers import is_positive

PREDICTIONS = {"epsilon": "epsilon", "sample": "data", "v_prediction": "v", "flow_prediction": "flow"}
LEARNED = ("learned", "learned_range")
DEFAULTED = "_use_default_values"  # where diffusers lists the options of a configuration that nobody gave
CHOICES = {
    "prediction_type": tuple(PREDICTIONS),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "flow_spacing": (None, "inclusive"),
    "time_shift_type": ("exponential", "linear"),
}

# Options by which a configuration says what noise the model was trained with, and what it returns.
OF_BETAS = ("beta_schedule", "beta_start", "trained_betas")
OF_TRAINING = (
    *OF_BETAS,
    "beta_end",
    "num_train_timesteps",
    "prediction_type",
    "rescale_betas_zero_snr",
    "use_flow_sigmas",
)
# Options of other schedulers that mean another noise, or another time for the model, unless they have these values.
UNKNOWN_UNLESS = {
    "timestep_type": "discrete",
    "snr_shift_scale": 1.0,
    "sigma_data": None,
    "sigma_min": None,
    "sigma_max": None,
    "invert_sigmas": False,
    "stochastic_sampling": False,
    "stages": 1,
}


def configured(init: Callable[..., None]) -> Callable[..., None]:
    """Make of an `__init__` with a class's own options one that has those of `PlanScheduler` too.

    diffusers reads off the signature of `__init__` which options are kept in a configuration, so all must be in it.
    """
    own = list(inspect.signature(init).parameters.values())
    shared = [one for one in inspect.signature(_shared).parameters.values() if one.name not in {o.name for o in own}]

    @wraps(init)
    def both(self: Any, *args: Any, **options: Any) -> None:
        bound = signature.bind(self, *args, **options)
        mine = {one.name: bound.arguments[one.name] for one in own[1:] if one.name in bound.arguments}
        check(self.config)
        self.prepare()
        init(self, **mine)

    signature = inspect.Signature([*own, *shared])
    both.__signature__ = signature  # type: ignore[attr-defined]
    return register_to_config(both)


def _shared(
    num_train_timesteps: int = 1000,
    beta_start: float = 0.0001,
    beta_end: float = 0.02,
    beta_schedule: str = "linear",
    trained_betas: Any = None,
    prediction_type: str = "epsilon",
    timestep_spacing: str = "linspace",
    steps_offset: int = 0,
    final_sigmas_type: str = "zero",
    use_karras_sigmas: bool = False,
    use_exponential_sigmas: bool = False,
    use_beta_sigmas: bool = False,
    rescale_betas_zero_snr: bool = False,
    use_flow_sigmas: bool = False,
    flow_shift: float = 1.0,
    flow_spacing: str | None = None,
    shift_terminal: float | None = None,
    use_dynamic_shifting: bool = False,
    time_shift_type: str = "exponential",
    thresholding: bool = False,
    dynamic_thresholding_ratio: float = 0.995,
    sample_max_value: float = 1.0,
    variance_type: str | None = None,
) -> None:
    """The shared options, with their defaults, which are those of diffusers' multistep schedulers."""


def check(config: Any) -> None:
    """Raise an error for options that do not exist or do not go together."""
    for name, allowed in CHOICES.items():
        if config[name] not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {config[name]!r}")
    asked = [name for name in RULES if config[name]]
    if len(asked) > 1:
        raise ValueError(f"only one rule for sigmas can be used; got {' and '.join(asked)}")
    if not config.use_flow_sigmas:
        for name, missing in (("shift_terminal", None), ("use_dynamic_shifting", False), ("flow_spacing", None)):
            if config[name] != missing:
                raise ValueError(f"{name} is for the times of flows: it needs use_flow_sigmas=True")
    for name in ("flow_shift", "sample_max_value"):
        if not is_positive(config[name]):
            raise ValueError(f"{name} must be a positive number; got {config[name]!r}")
    if not 0.0 <= config.dynamic_thresholding_ratio <= 1.0:
        raise ValueError(
            f"dynamic_thresholding_ratio must lie between 0 and 1; got {config.dynamic_thresholding_ratio!r}"
        )


def translated(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of diffusers in the words of this module.

    What the model was trained with is taken over even where it was the default of another class. Schedulers of flows
    alone know a shift and nothing of betas.

    Args:
        config: the configuration.
        given: options that are to go before it.

    Raises:
        NotImplementedError: for an option that changes what the model is told or the noise, and is not known here.
        ValueError: for a configuration that says nothing of the noise in words known here.
    """
    asked = {**config, **given}
    for name, known in UNKNOWN_UNLESS.items():
        if asked.get(name, known) != known:
            raise NotImplementedError(
                f"{name}={asked[name]!r} of the given configuration has no counterpart here: it changes the noise, or "
                "what is asked of the model. kutta.solve has schedules for other noise, such as kutta.diffusion.EDM()"
            )
    found = {**config, DEFAULTED: [name for name in config.get(DEFAULTED, ()) if name not in OF_TRAINING]}
    if "timestep_spacing" in given:
        found["flow_spacing"] = None  # it takes the place of another spacing
    if any(asked.get(name) is not None for name in OF_BETAS) or asked.get("use_flow_sigmas"):
        return found
    if "shift" not in config:
        raise ValueError(
            "the configuration must say with which noise the model was trained: by betas (beta_schedule, beta_start, "
            "beta_end, or trained_betas) or as a flow (shift, or use_flow_sigmas=True); got one with "
            f"{', '.join(name for name in config if not name.startswith('_')) or 'no options'}. For models of other "
            "noise use kutta.solve with a schedule such as kutta.diffusion.EDM()"
        )
    return {
        "flow_spacing": "inclusive",
        **found,
        "use_flow_sigmas": True,
        "prediction_type": "flow_prediction",
        "flow_shift": config["shift"],
    }
