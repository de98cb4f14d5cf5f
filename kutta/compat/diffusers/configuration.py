"""The options that all schedulers have, and how a class adds its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from diffusers.configuration_utils import register_to_config

from kutta.compat.diffusers.times import RULES

PREDICTIONS = {"epsilon": "epsilon", "sample": "data", "v_prediction": "v", "flow_prediction": "flow"}
LEARNED = ("learned", "learned_range")
DEFAULTED = "_use_default_values"  # where diffusers lists the options of a configuration that nobody gave
CHOICES = {
    "prediction_type": tuple(PREDICTIONS),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "time_shift_type": ("exponential", "linear"),
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
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {config[name]!r}")
    asked = [name for name in RULES if config[name]]
    if len(asked) > 1:
        raise ValueError(f"only one rule for sigmas can be used; got {' and '.join(asked)}")
    if not config.use_flow_sigmas:
        for name, missing in (("shift_terminal", None), ("use_dynamic_shifting", False)):
            if config[name] != missing:
                raise ValueError(f"{name} shifts the times of flows: it needs use_flow_sigmas=True")
    elif config.shift_terminal is not None and asked:
        raise ValueError(f"shift_terminal cannot be used with {asked[0]}")
    for name in ("flow_shift", "sample_max_value"):
        if not config[name] > 0.0:
            raise ValueError(f"{name} must be positive; got {config[name]!r}")
    if not 0.0 <= config.dynamic_thresholding_ratio <= 1.0:
        raise ValueError(
            f"dynamic_thresholding_ratio must lie between 0 and 1; got {config.dynamic_thresholding_ratio!r}"
        )


def translated(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in the words of this module, where it is of a scheduler of flows alone.

    Those know a shift and nothing of betas. Other configurations are returned as they are.
    """
    if "shift" not in config or "beta_schedule" in config:
        return dict(config)
    for name in ("invert_sigmas", "stochastic_sampling"):
        if config.get(name):
            raise NotImplementedError(f"{name}=True of a scheduler of flows has no counterpart here")
    return {
        **config,
        "use_flow_sigmas": True,
        "prediction_type": "flow_prediction",
        "flow_shift": config["shift"],
    }
