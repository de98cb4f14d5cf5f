"""The order and the damping that guidance allows: chosen by the stability of the rules, before the first step.

Guidance makes a model overshoot. In the simplest picture it answers a state, in units of the data, by ``D = -mu y``,
the more the stronger it is; `feedback` is a guess of `mu`. Whether a step of size ``h`` in ``log(alpha / sigma)`` is
stable then follows from the rule, on the noise with ``dy/dkappa = e = (1 + mu) y / kappa`` and hence

    z = -(1 + mu) (1 - exp(-h)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solvers.diffusion.exponential.multistep import ExponentialMultistep
from kutta.solvers.diffusion.guidance.cfg import CFG
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.ghvb import GHVB, multistep_polynomials
from kutta.solvers.diffusion.momentum.heavy_ball import HeavyBall
from kutta.solvers.diffusion.momentum.stability import MomentumRule, alternating, corrected_limit
from kutta.solvers.diffusion.named.adams import PLMS
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sampler import Sampler

LEAST_DAMPING = 0.7
LONG = 2.0  # a last step, in ``log(alpha / sigma)``


def default_sampler(problem: DiffusionProblem) -> Sampler:
    """What `kutta.solve` takes for a `DiffusionProblem` when no method is given: `Automatic` for its guidance.

    That is exponential multistep on the data with a corrector, one evaluation a step: second order where steps are few,
    the more so under guidance, as higher orders diverge there, and else third order. Where samples have weights of
    their own the strongest counts. With guidance of another kind than `CFG` it is `kutta.DDIM`, which any guidance can
    be used with.
    """
    if problem.guidance is None:
        return Automatic(1.0)
    if not isinstance(problem.guidance, CFG):
        return DDIM()
    return Automatic(strength(problem.guidance.weight))


@dataclass(frozen=True)
class Automatic(Sampler):
    """A sampler of a family with the order and the damping that guidance and grid allow.

    - ``"multistep"``: `kutta.ExponentialMultistep` on the data with its corrector, which costs no evaluation: third
      order, with a predictor of order 2, where that is stable for `feedback`; and else second order. A last step of
      more than 2 in ``log(alpha / sigma)`` is of order 1.
    - ``"ghvb"``: `kutta.GHVB` with the largest number, from 4 down, that is stable; see `kutta.GHVB.numbered`.
    - ``"heavy ball"``: `kutta.HeavyBall` on `kutta.PLMS`, of the highest order that a `beta` of 0.7 makes stable, with
      the largest `beta` that does.

    All are stable in the picture of a linear model, at the mean step of the grid. What is stable for a model in use no
    formula tells: `feedback` is measured on mixtures, and where guidance leads far from all data, samples may still be
    thrown off in few steps.

    Attributes:
        weight: of classifier-free guidance; 1 for none. A negative one leads away from the condition; see `strength`.
        family: one of the above.

    Source: ours.

    Example:
        >>> import kutta as kt
        >>> from kutta.solvers.diffusion.levels.grids import nodes
        >>> few = nodes(kt.diffusion.Rho(7), kt.diffusion.VP(), 12, 1.0, 1e-3)
        >>> kt.diffusion.Automatic(1.0).choice(few).order, kt.diffusion.Automatic(15.0).choice(few).order
        (2, 1)
        >>> kt.diffusion.Automatic(15.0, "ghvb").choice(few).order
        2
    """

    weight: float = 1.0
    family: str = "multistep"

    def __post_init__(self) -> None:
        if isinstance(self.weight, bool) or not isinstance(self.weight, int | float) or not math.isfinite(self.weight):
            raise ValueError(f"weight must be a finite number, 1 for no guidance; got {self.weight!r}")
        if self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(map(repr, FAMILIES))}; got {self.family!r}")

    def plan(self, nodes: Nodes) -> Plan:
        return self.choice(nodes).plan(nodes)

    def choice(self, nodes: Nodes) -> Sampler:
        """The sampler for a grid."""
        return FAMILIES[self.family](finite_steps(nodes), feedback(self.weight))


def strength(weight: float | Tensor) -> float:
    """How far guidance goes beyond the two outputs of the model, at least 1; of weights of samples the largest.

    ``F_u + w (F_c - F_u)`` is the same with the outputs exchanged and ``1 - w`` for `w`, so it is as strong; between 0
    and 1 it leads nowhere that one of the two would not.
    """
    weights = torch.as_tensor(weight, dtype=torch.float64).detach()
    return max(1.0, float(torch.maximum(weights, 1.0 - weights).max()))


def feedback(weight: float) -> float:
    """A guess of `mu` for a weight of classifier-free guidance: ``0.63 w^(1/4)`` for the `strength` `w`.

    It is measured, not derived: with it no samples of mixtures, of two to eight components in 2 to 64 dimensions, are
    thrown off for weights up to 30, by several noise schedules and grids; see ``benchmarks/diffusion_feedback.py``.
    """
    return 0.63 * strength(weight) ** 0.25


def finite_steps(nodes: Nodes) -> Tensor:
    """The finite steps of ``log(alpha / sigma)``."""
    steps = torch.diff(nodes.log_snr.detach())
    return steps[torch.isfinite(steps)]


def typical_step(steps: Tensor) -> float:
    """The mean; infinite where there are no steps."""
    return float(steps.mean()) if len(steps) else math.inf


def multistep(steps: Tensor, mu: float) -> Sampler:
    """The rule of order 2 where it is stable, but for a last step so long that nothing is known of its end."""
    h = typical_step(steps)
    order = 2 if math.isfinite(h) and corrected_limit(2, h) >= mu else 1
    long = len(steps) > 0 and float(steps[-1]) > LONG
    return ExponentialMultistep(order, corrector=True, final_orders=(1,) if long else ())


def _ghvb(steps: Tensor, mu: float) -> Sampler:
    """The numbers make one scale: order `p` with ``beta`` towards 0 is order ``p - 1`` with 1."""
    z = (1.0 + mu) * -math.expm1(-typical_step(steps))
    order = max([p for p in range(2, 5) if z < MomentumRule.ghvb(p - 1, 1.0).real_limit], default=1)
    # Z = 2 (2 - beta) / (P + Q beta) where the alternating sum of the weights is P + Q beta.
    constant, slope = (float(alternating(part)) for part in zip(*multistep_polynomials(order), strict=True))
    return GHVB(order, min(1.0, (4.0 - z * constant) / (2.0 + z * slope)))


def _heavy_ball(steps: Tensor, mu: float) -> Sampler:
    """The highest order that is stable with damping of 0.7 and more: with less, velocities lag behind in few steps."""
    z = (1.0 + mu) * -math.expm1(-typical_step(steps))
    order = max([p for p in range(1, 5) if z <= MomentumRule.heavy_ball(p, LEAST_DAMPING).real_limit], default=1)
    limit = MomentumRule.heavy_ball(order, 1.0).real_limit
    return HeavyBall(PLMS(order), min(1.0, 2.0 * limit / (z + limit)))


FAMILIES: dict[str, Callable[[Tensor, float], Any]] = {
    "multistep": multistep,
    "ghvb": _ghvb,
    "heavy ball": _heavy_ball,
}
