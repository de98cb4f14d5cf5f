"""Heun's method with churn, and Euler's with fresh noise, in the noise level ``kappa = sigma / alpha``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import as_float64
from kutta.solvers.diffusion.named.ddim import euler, heun
from kutta.solvers.diffusion.numbers import is_number
from kutta.solvers.diffusion.plans.plan import Draft, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler


@dataclass(frozen=True)
class EDMHeun(Sampler):
    """Heun's method on ``d(x / alpha) / dkappa = e``, each step after some noise is added; second order.

    Two evaluations a step, but one in a step from pure noise or to no noise, which is that of `DDIM`. With churn the
    noise level is first raised,

        kappa_hat = kappa (1 + g),  x_hat / alpha_hat = x / alpha + S_noise sqrt(kappa_hat^2 - kappa^2) z,
        g = min(S_churn / N, sqrt(2) - 1)  where S_tmin <= kappa <= S_tmax, and 0 elsewhere,

    and not where that is more noise than the schedule has. This leaves the distribution that of its level if
    ``S_noise = 1``, and makes the sampler forget its errors.

    Attributes:
        s_churn: how much noise is added over all `N` steps; 0 for none, and for the same samples every time.
        s_tmin, s_tmax: values of kappa between which it is.
        s_noise: its standard deviation; a little more than 1 makes up for a model that removes too much.

    Source: Karras et al., Elucidating the design space of diffusion-based generative models, 2022, algorithms 1 and 2.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> schedule = kt.diffusion.EDM()
        >>> x = 80.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> sol = kt.solve(problem, kt.EDMHeun(), steps=18, grid=kt.diffusion.Rho(clean=True))
        >>> sol.stats.function_evaluations
        35
    """

    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0

    def __post_init__(self) -> None:
        for name in ("s_churn", "s_tmin", "s_tmax", "s_noise"):
            value = getattr(self, name)
            if not (is_number(value) and value >= 0.0):
                raise ValueError(f"{name} must be a number that is not negative; got {value!r}")

    def plan(self, nodes: Nodes) -> Plan:
        walk = Walk(Draft(nodes), FORMS["noise"])
        for n in range(nodes.steps):
            step = heun if nodes.regular(n) else euler
            step(walk, self._churned(walk.draft, n))
        return walk.draft.plan()

    def _churned(self, draft: Draft, n: int) -> int:
        """The state from which a step starts."""
        nodes, state = draft.nodes, draft.outputs[n]
        gain = self._gain(nodes, float(nodes.kappa[n].detach()))
        if gain == 0.0:
            return state
        kappa = nodes.sigma[n] / nodes.alpha[n]
        raised = (1.0 + gain) * kappa
        level = draft.between(nodes.schedule.time(-torch.log(raised)))
        noise = self.s_noise * level.alpha * torch.sqrt(raised**2 - kappa**2)
        return draft.add(level, {state: level.alpha / nodes.alpha[n]}, noise=noise)

    def _gain(self, nodes: Nodes, kappa: float) -> float:
        gain = min(self.s_churn / nodes.steps, math.sqrt(2.0) - 1.0)
        noisiest = float(torch.exp(-nodes.schedule.log_snr(as_float64(nodes.schedule.domain[1]))))
        beyond = not math.isfinite(kappa) or (1.0 + gain) * kappa > noisiest
        return gain if self.s_tmin <= kappa <= self.s_tmax and not beyond else 0.0


@dataclass(frozen=True)
class AncestralEuler(Sampler):
    """Euler's method to less noise than wanted, and fresh noise for the rest; first order.

    ``x' / alpha' = x / alpha + (k_down - kappa) e + k_up z`` with ``k_down^2 + k_up^2 = kappa'^2`` and
    ``k_up = eta kappa' sqrt(1 - (kappa' / kappa)^2)``.

    Attributes:
        eta: from 0, which is `DDIM`, to 1, the ancestral sampling of a diffusion model.

    Source: Song, Meng and Ermon, Denoising diffusion implicit models, 2021, equation 16; Ho, Jain and Abbeel, Denoising
    diffusion probabilistic models, 2020, for 1.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> schedule = kt.diffusion.VP()
        >>> generator = torch.Generator().manual_seed(0)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, torch.randn(256, 2, generator=generator))
        >>> sol = kt.solve(problem, kt.AncestralEuler(), steps=50, generator=generator)
        >>> bool((sol.y1.mean(0) - torch.tensor([3.0, -1.0])).abs().max() < 0.1)
        True
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not (is_number(self.eta) and 0.0 <= self.eta <= 1.0):
            raise ValueError(f"eta must be a number between 0 and 1; got {self.eta!r}")

    def plan(self, nodes: Nodes) -> Plan:
        draft = Draft(nodes)
        for n in range(nodes.steps):
            alpha, sigma = nodes.alpha[n + 1], nodes.sigma[n + 1]
            down, up = self._parts(nodes.alpha[n] * sigma / (nodes.sigma[n] * alpha))
            kept = sigma * down / nodes.sigma[n]
            draft.arrive(n + 1, {n: kept}, {"data": {n: alpha - kept * nodes.alpha[n]}}, sigma * up)
        return draft.plan()

    def _parts(self, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """``k_down / kappa'`` and ``k_up / kappa'``, of ``kappa' / kappa``."""
        # A norm, since its gradient stays finite where the ratio is 0, to no noise or from nothing but noise.
        kept = torch.stack([math.sqrt(1.0 - self.eta**2) * torch.ones_like(ratio), self.eta * ratio])
        return torch.linalg.vector_norm(kept), self.eta * torch.sqrt(1.0 - ratio**2)
