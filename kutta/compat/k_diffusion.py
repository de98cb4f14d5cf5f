"""Samplers as functions with the signature of k-diffusion, which user interfaces expect.

Each is called as ``sample_xxx(model, x, sigmas, extra_args=None, callback=None, disable=None)``, where
``model(x, sigma, **extra_args)`` returns the expected data for states ``x = x_0 + sigma z``. k-diffusion itself is
not needed. `sampler_function` makes such a function of any sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.multistep import ExponentialMultistep
from kutta.solvers.diffusion.guidance.denoiser import with_checked_output
from kutta.solvers.diffusion.levels.grids import Nodes, nodes
from kutta.solvers.diffusion.levels.schedules import EDM, as_float64
from kutta.solvers.diffusion.momentum.ghvb import GHVB
from kutta.solvers.diffusion.momentum.heavy_ball import HeavyBall
from kutta.solvers.diffusion.named.adams import PLMS
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.named.deis import DEIS
from kutta.solvers.diffusion.named.dpm_solver import DPMSolverPP
from kutta.solvers.diffusion.named.edm import AncestralEuler, EDMHeun
from kutta.solvers.diffusion.named.unipc import UniPC
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.plan import Level, Plan, is_free
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.diffusion.plans.states import first_uses, states
from kutta.solvers.progress import progress_bar

Sample = Callable[..., Tensor]


def sampler_function(make: Callable[..., Sampler], name: str = "sample") -> Sample:
    """A sampler as a function.

    Args:
        make: makes the sampler of the options that the function is given beyond those below: the class of a sampler,
            for example. It must follow any grid, and need no predictions without guidance beside those with it.
        name: of the function.

    Returns:
        ``function(model, x, sigmas, extra_args=None, callback=None, disable=None, generator=None, **options)``, which
        returns the last state, in the dtype of ``x``. Its arguments are

        - ``model``: called as ``model(x, sigma, **extra_args)`` with ``sigma`` of shape ``(B,)``,
        - ``x``: the state, ``(B, ...)``, of standard deviation ``sigmas[0]``,
        - ``sigmas``: noise levels, decreasing; the last one may be 0,
        - ``callback``: called once a step with a dictionary: ``i``, ``sigma``, ``sigma_hat``, the state ``x`` at which
        the model was evaluated, and what it returned, ``denoised``,
        - ``disable``: ``False`` shows a progress bar, which needs the extra ``progress``,
        - ``generator``: of the noise, if there is any.

    Example:
        >>> import torch, kutta as kt
        >>> from kutta.compat.k_diffusion import sampler_function
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> sample = sampler_function(kt.DDIM)
        >>> x = sample(lambda x, sigma: teacher.data(x, 1.0, sigma), torch.zeros(1, 2), [10.0, 1.0, 0.1, 0.0])
        >>> (x - torch.tensor([3.0, -1.0])).abs().max() < 0.2
        tensor(True)
    """

    def sample(
        model: Callable[..., Tensor],
        x: Tensor,
        sigmas: Any,
        extra_args: Mapping[str, Any] | None = None,
        callback: Callable[[dict[str, Any]], None] | None = None,
        disable: bool | None = None,
        generator: Any = None,
        **options: Any,
    ) -> Tensor:
        grid = nodes(as_float64(sigmas), EDM(), None, 0.0, 0.0)
        with torch.no_grad(), progress_bar(disable is False, 0.0, float(grid.steps)) as reached:
            plan = _plan(make(**options), grid, name)
            denoise = _Denoise(model, dict(extra_args or {}), x.dtype, plan, callback)
            found = x.to(torch.promote_types(x.dtype, torch.float32))
            for number, state in enumerate(states(plan, denoise, found, Noise(generator)), 1):
                if number in plan.outputs:
                    found = state
                    reached(float(plan.outputs.index(number)))
        return found.to(x.dtype)

    sample.__name__ = sample.__qualname__ = name
    return sample


def _plan(sampler: Sampler, grid: Nodes, name: str) -> Plan:
    if sampler.times is not None:
        raise ValueError(
            f"{name} is given its sigmas, but the sampler {type(sampler).__name__} brings times of its own: use "
            "kutta.solve, or a sampler that follows any grid"
        )
    plan = sampler.plan(grid).fixed()
    if any(is_free(kind) for move in plan.moves for kind in move.predictions):
        raise NotImplementedError(f"{name} needs predictions without guidance beside those with it; use kutta.solve")
    return plan


class _Denoise:
    """The model as plans evaluate it, one time after the other, with reports of the steps."""

    def __init__(
        self,
        model: Callable[..., Tensor],
        extra_args: dict[str, Any],
        dtype: torch.dtype,
        plan: Plan,
        callback: Callable[[dict[str, Any]], None] | None,
    ):
        self.model = with_checked_output(partial(model, **extra_args))
        self.dtype, self.plan, self.callback = dtype, plan, callback
        self.steps = _steps_by_state(plan)
        self.evaluations = iter([state for states in first_uses(plan) for state in states])

    def __call__(self, x: Tensor, level: Level, kinds: Iterable[str]) -> dict[str, Tensor]:
        given = x.to(self.dtype)
        sigma = torch.full((len(x),), level.sigma, dtype=self.dtype, device=x.device)
        denoised = self.model(given, sigma)
        step = self.steps.get(next(self.evaluations))
        if self.callback is not None and step is not None:
            start = torch.full_like(sigma[0], self.plan.levels[self.plan.outputs[step]].sigma)
            self.callback({"x": given, "i": step, "sigma": start, "sigma_hat": sigma[0], "denoised": denoised})
        denoised = denoised.to(x.dtype)
        return {kind: denoised if kind == "data" else (x - denoised) / level.sigma for kind in kinds}


def _steps_by_state(plan: Plan) -> dict[int, int]:
    """The steps by the states at which the model is evaluated for them: near the start of the step.

    That is the state at the node, or one that noise was added to, or one before its correction.
    """
    found = {}
    for step, start in enumerate(plan.outputs[:-1]):
        before = plan.outputs[step - 1] if step else -1
        near = [one for one in plan.evaluated if before < one < plan.outputs[step + 1]]
        found[min(near, key=lambda one: (abs(plan.levels[one].t - plan.levels[start].t), -one))] = step
    return found


def _heavy_ball(order: int = 2, beta: float = 0.8) -> Sampler:
    return HeavyBall(DPMSolverPP(order), beta)


sample_ddim = sampler_function(DDIM, "sample_ddim")
sample_dpmpp = sampler_function(DPMSolverPP, "sample_dpmpp")
sample_exponential_multistep = sampler_function(ExponentialMultistep, "sample_exponential_multistep")
sample_unipc = sampler_function(UniPC, "sample_unipc")
sample_deis = sampler_function(DEIS, "sample_deis")
sample_plms = sampler_function(PLMS, "sample_plms")
sample_heun = sampler_function(EDMHeun, "sample_heun")
sample_euler_ancestral = sampler_function(AncestralEuler, "sample_euler_ancestral")
sample_ghvb = sampler_function(GHVB, "sample_ghvb")
sample_heavy_ball = sampler_function(_heavy_ball, "sample_heavy_ball")
