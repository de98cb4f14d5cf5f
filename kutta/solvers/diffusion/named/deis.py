"""DEIS: the polynomial through earlier predictions of the noise, integrated exactly against the noise level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import FORMS, weights
from kutta.solvers.diffusion.exponential.multistep import multistep_plan
from kutta.solvers.diffusion.exponential.orders import FinalOrdersLike, check_final_orders, check_order
from kutta.solvers.diffusion.exponential.starters import Step
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import Schedule, as_float64
from kutta.solvers.diffusion.plans.plan import Level, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler

# Points of the quadrature in time, one step long.
_POINTS = 32


@dataclass(frozen=True)
class DEIS(Sampler):
    """Multistep on ``d(x / alpha) = e dkappa``, ``kappa = sigma / alpha``, one evaluation a step.

    ``x_{n+1} / alpha_{n+1} = x_n / alpha_n + int q dkappa`` over the step, where ``q`` is the polynomial of degree
    ``order - 1`` through the last predictions of the noise. Of order `order` after a start of lower orders, which
    limits the whole to the second.

    In ``lambda = log(alpha / sigma)`` this is `ExponentialMultistep` with predictions of the noise.

    Attributes:
        order: from 1 to 4.
        variable: what the polynomial depends on: ``"log_snr"``, which is ``lambda``, or ``"time"``.
        final_orders: upper limits to the orders of the last steps, as for `ExponentialMultistep`.

    Source: Zhang and Chen, Fast sampling of diffusion models with exponential integrator, 2023: rho-AB in the
    logarithm of kappa, and t-AB.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> schedule = kt.diffusion.VP()
        >>> x = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
        >>> sol = kt.solve(kt.DiffusionProblem(teacher.model(schedule), schedule, x), kt.DEIS(3), steps=12)
        >>> bool((sol.y1.mean(0) - torch.tensor([3.0, -1.0])).abs().max() < 0.1), sol.stats.function_evaluations
        (True, 12)
    """

    order: int = 3
    variable: str = "log_snr"
    final_orders: FinalOrdersLike = ()

    def __post_init__(self) -> None:
        check_order(self.order, 4)
        check_final_orders(self.final_orders)
        if self.variable not in VARIABLES:
            raise ValueError(f"variable must be one of {', '.join(VARIABLES)}; got {self.variable!r}")

    def plan(self, nodes: Nodes) -> Plan:
        return multistep_plan(nodes, FORMS["noise"], VARIABLES[self.variable], self.order, self.final_orders)


def step_in_time(walk: Walk, order: int) -> None:
    """Go to the next node by the polynomial in time through the latest predictions."""
    start, end, past = walk.draft.level_of(walk.here), walk.next, walk.past[-order:]
    places = torch.stack([(walk.draft.level_of(one).t - start.t) / (end.t - start.t) for one in past])
    found = end.alpha * weights(places, moments_in_time(walk.draft.nodes.schedule, start, end, order))
    walk.arrive({walk.here: end.alpha / start.alpha}, {"noise": dict(zip(past, found, strict=True))})


def moments_in_time(schedule: Schedule, start: Level, end: Level, count: int) -> Tensor:
    """``int r^k dkappa`` over a step for ``k < count``, where `r` is linear in time, from 0 to 1; by Gauss's rule.

    By parts, this is ``-k int_0^1 r^(k-1) (kappa(r) - kappa(1)) dr`` for ``k > 0``.
    """
    first, last = start.sigma / start.alpha, end.sigma / end.alpha
    roots, shares = (as_float64(one) for one in np.polynomial.legendre.leggauss(_POINTS))
    r = 0.5 * (1.0 + roots)
    excess = torch.exp(-schedule.log_snr(start.t + r * (end.t - start.t))) - last
    k = torch.arange(1, count)
    higher = -k * ((r ** (k[:, None] - 1) * excess) @ (0.5 * shares))
    return torch.cat([(last - first)[None], higher])


VARIABLES: dict[str, Step] = {"log_snr": Walk.predict, "time": step_in_time}
