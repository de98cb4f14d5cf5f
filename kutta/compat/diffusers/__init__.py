"""Samplers of kutta as schedulers of diffusers: to switch a pipeline, change one line.

Needs the extra ``diffusers``::

    from kutta.compat.diffusers import GHVBScheduler

    pipeline.scheduler = GHVBScheduler.from_config(pipeline.scheduler.config)

Each class takes the configuration of a scheduler of diffusers whose noise is told by betas, or which is for flows, as
`PlanScheduler` describes. Others are refused: those of EDM, for one, for which there is `kutta.solve`.
"""

try:
    import diffusers  # noqa: F401
except ImportError as missing:
    raise ImportError(f'kutta.compat.diffusers needs {missing.name}: pip install "kutta[diffusers]"') from missing

from kutta.compat.diffusers.scheduler import PlanScheduler
from kutta.compat.diffusers.schedulers import (
    AdaptiveScheduler,
    ExponentialMultistepScheduler,
    GHVBScheduler,
    HeavyBallDPMSolverScheduler,
    SearchedScheduler,
)

__all__ = [
    "AdaptiveScheduler",
    "ExponentialMultistepScheduler",
    "GHVBScheduler",
    "HeavyBallDPMSolverScheduler",
    "PlanScheduler",
    "SearchedScheduler",
]
