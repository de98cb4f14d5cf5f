"""The schedulers of diffusers and the samplers of k-diffusion, each run by its own loop on the exact models."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from benchmarks._diffusion import Target
from tests.solvers.diffusion.problems import stable_diffusion_betas

TRAINED = {"trained_betas": stable_diffusion_betas().tolist()}
HALF = 0.5  # the deviation of the data that Karras's preconditioning assumes


def one_each(evaluations: int) -> int:
    return evaluations


@dataclass(frozen=True)
class Peer:
    """A scheduler of diffusers.

    Attributes:
        kind: its class.
        config: its arguments.
        steps: how many steps it can take with so many evaluations, on its own grid and on a given one.
        exploding: whether its states are data plus noise, and not those of unit variance.
        repeats: of each node but the first, in its list of noise levels.
    """

    kind: str
    config: dict[str, Any] = field(default_factory=lambda: dict(TRAINED))
    steps: tuple[Callable[[int], int], Callable[[int], int]] = (one_each, one_each)
    exploding: bool = False
    repeats: int = 1

    @property
    def preconditioned(self) -> bool:
        return self.kind.startswith("EDM")

    def on_nodes(self, target: Target, grid: Any, evaluations: int) -> Tensor | None:
        """The samples on a given grid."""
        steps = self.steps[1](evaluations)
        return self.along(target, target.nodes(grid, steps).kappa) if steps else None

    def along(self, target: Target, kappa: Tensor) -> Tensor:
        """The samples on given noise levels."""
        levels = torch.cat([kappa[:1], kappa[1:].repeat_interleave(self.repeats)])
        with _Double(self.kind) as kind:
            scheduler = kind(**self._config(kind, target, "sigma_min"))
            scheduler.set_timesteps(len(kappa) - 1)
            # The last level is asked for as often as there are evaluations, so that the last step is corrected too.
            scheduler.sigmas = levels[: len(levels) - self.repeats + 1]
            scheduler.timesteps = torch.arange(len(levels) - 1, 0, -1).double()
            return self._followed(target, scheduler, scheduler.sigmas, kappa[-1])

    def on_its_own(self, target: Target, evaluations: int) -> tuple[Tensor, bool] | None:
        """The samples on its usual grid, and whether that ends without noise."""
        steps = self.steps[0](evaluations)
        if not steps:
            return None
        with _Double(self.kind) as kind:
            scheduler = kind(**self._config(kind, target, "zero"))
            scheduler.set_timesteps(steps)
            if not hasattr(scheduler, "sigmas"):
                asked = torch.exp(-target.problem.schedule.log_snr(scheduler.timesteps))
                return self._followed(target, scheduler, asked, target.kappa[1]), False
            last = scheduler.sigmas[-1].double()
            return self._followed(target, scheduler, scheduler.sigmas.double(), last), float(last) == 0.0

    def _config(self, kind: Any, target: Target, end: str) -> dict[str, Any]:
        config = dict(self.config)
        if "final_sigmas_type" in inspect.signature(kind).parameters:
            config["final_sigmas_type"] = end
        if self.preconditioned:
            first, last = target.kappa.tolist()
            config |= {"sigma_max": first, "sigma_min": last, "sigma_data": HALF}
        return config

    def _followed(self, target: Target, scheduler: Any, asked: Tensor, last: Tensor) -> Tensor:
        x = target.problem.x / self._scale(target, 0, target.kappa[0])
        network = self._preconditioned if self.preconditioned else Target.noise
        for kappa, t in zip(asked, scheduler.timesteps, strict=False):
            given = scheduler.scale_model_input(x, t)
            x = scheduler.step(network(target, given, kappa), t, x).prev_sample
        return x if float(last) == 0.0 else self._scale(target, 1, last) * x

    def _scale(self, target: Target, end: int, kappa: Tensor) -> Tensor:
        """What its states at an end are multiplied by to be those of the problem."""
        alpha = target.problem.schedule.alpha(torch.tensor(target.span[end], dtype=torch.float64))
        return alpha if self.exploding else alpha * torch.sqrt(1.0 + kappa**2)

    @staticmethod
    def _preconditioned(target: Target, x: Tensor, kappa: Tensor) -> Tensor:
        """The network inside Karras's preconditioning, table 1 there."""
        total = kappa**2 + HALF**2
        x = x * total.sqrt()
        data = x - kappa * target.noise(x * torch.rsqrt(1.0 + kappa**2), kappa)
        return (data - HALF**2 / total * x) * total.sqrt() / (HALF * kappa)


class _Wide:
    """PyTorch, but what asks for float32 gets float64."""

    float32 = torch.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


class _Double:
    """The class of a scheduler, whose tables and steps are in float64 meanwhile: it would round them to float32."""

    def __init__(self, name: str):
        self.kind = getattr(importlib.import_module("diffusers"), name)
        self.patch = mock.patch.object(sys.modules[self.kind.__module__], "torch", _Wide())

    def __enter__(self) -> Any:
        self.patch.start()
        return self.kind

    def __exit__(self, *_: Any) -> None:
        self.patch.stop()


def of_order(order: int, **config: Any) -> dict[str, Any]:
    """Arguments of a multistep scheduler."""
    return {**TRAINED, "solver_order": order, **config}


# With two evaluations a step but in the last one where that ends without noise.
HEUN = (lambda evaluations: (evaluations + 1) // 2, lambda evaluations: evaluations // 2)
SCHEDULERS = {
    "DPMSolverMultistep 2": Peer("DPMSolverMultistepScheduler", of_order(2)),
    "DPMSolverMultistep 3": Peer("DPMSolverMultistepScheduler", of_order(3)),
    "UniPCMultistep 2": Peer("UniPCMultistepScheduler", of_order(2)),
    "UniPCMultistep 3": Peer("UniPCMultistepScheduler", of_order(3)),
    "DEISMultistep 3": Peer("DEISMultistepScheduler", of_order(3)),
    "EulerDiscrete": Peer("EulerDiscreteScheduler", exploding=True),
    "HeunDiscrete": Peer("HeunDiscreteScheduler", steps=HEUN, exploding=True, repeats=2),
    "EDMEuler": Peer("EDMEulerScheduler", {}, exploding=True),
    "EDMDPMSolverMultistep 2": Peer("EDMDPMSolverMultistepScheduler", {"solver_order": 2}, exploding=True),
}
# Its nodes are training steps and nothing else, and its first step has two evaluations.
PNDM = Peer(
    "PNDMScheduler",
    {**TRAINED, "skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False},
    (lambda evaluations: evaluations - 1, lambda evaluations: 0),
)
# The samplers of k-diffusion without noise, with their options, and the evaluations of a step.
K_DIFFUSION: dict[str, tuple[dict[str, Any], int]] = {
    "sample_euler": ({}, 1),
    "sample_heun": ({}, 2),
    "sample_dpm_2": ({}, 2),
    "sample_lms": ({}, 1),
    "sample_dpmpp_2m": ({}, 1),
    "sample_dpmpp_3m_sde": ({"eta": 0.0, "noise_sampler": lambda *_: 0.0}, 1),
}


def by_k_diffusion(name: str, target: Target, kappa: Tensor) -> Tensor:
    """The samples of a function of k-diffusion on given noise levels, for a problem of the exploding kind."""
    sampling = importlib.import_module("k_diffusion.sampling")

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return target.case.teacher.data(x, 1.0, sigma)

    return getattr(sampling, name)(denoise, target.problem.x, kappa, disable=True, **K_DIFFUSION[name][0])
