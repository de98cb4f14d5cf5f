"""DEIS: the polynomial through earlier predictions of the noise, integrated exactly against the noise level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential import weights
from kutta.solvers.diffusion.final_orders import FinalOrdersLike, check_final_orders
from kutta.solvers.diffusion.final_orders import orders_of_steps as wanted_orders
from kutta.solvers.diffusion.grids import Nodes
from kutta.solvers.diffusion.one_step import euler
from kutta.solvers.diffusion.orders import check_orders, orders_of_steps
from kutta.solvers.diffusion.phi import noise_moments
from kutta.solvers.diffusion.plan import Draft, Plan
from kutta.solvers.diffusion.sampler import Sampler
from kutta.solvers.diffusion.schedules import as_float64

# Points of the quadrature in time, one step long.
_POINTS = 32

Rule = Callable[[Nodes, int, int], tuple[Tensor, Tensor]]


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
        check_orders(type(self).__name__, self.order, 4)
        check_final_orders(self.final_orders)
        if self.variable not in VARIABLES:
            raise ValueError(f"variable must be one of {', '.join(VARIABLES)}; got {self.variable!r}")

    def plan(self, nodes: Nodes) -> Plan:
        draft, wanted = Draft(nodes), wanted_orders(self.order, self.final_orders, nodes.steps)
        for n, order in enumerate(map(min, orders_of_steps(nodes, self.order), wanted)):
            if order == 1:
                euler(draft, n, n, n + 1)
            else:
                integrate(draft, n, order, VARIABLES[self.variable])
        return draft.plan()


def integrate(draft: Draft, n: int, order: int, rule: Rule) -> int:
    """The step from node `n` with the last predictions, where the states are those of the nodes."""
    alpha = draft.nodes.alpha
    found = alpha[n + 1] * weights(*rule(draft.nodes, n, order))
    noise = {n - i: weight for i, weight in enumerate(found)}
    return draft.arrive(n + 1, {n: alpha[n + 1] / alpha[n]}, {"noise": noise})


def in_log_snr(nodes: Nodes, n: int, order: int) -> tuple[Tensor, Tensor]:
    """Positions ``r`` of the last nodes, newest first, and ``int r^k dkappa`` over the step, where r goes from 0 to 1.

    With ``kappa = exp(-lambda)``, the integral is ``-kappa_n exp(-h) int_0^h exp(h - s) (s / h)^k ds``.
    """
    kappa = _kappa(nodes, n, order)
    log_snr = -torch.log(kappa)
    h = log_snr[0] - log_snr[1]
    return (log_snr[1:] - log_snr[1]) / h, -kappa[1] * noise_moments(h, order)


def in_time(nodes: Nodes, n: int, order: int) -> tuple[Tensor, Tensor]:
    """The same with a position that is linear in time, by Gauss's quadrature.

    By parts, ``int r^k dkappa = -k int_0^1 r^(k-1) (kappa(r) - kappa_{n+1}) dr`` for ``k > 0``.
    """
    kappa, past, step = _kappa(nodes, n, order), nodes.t[n - order + 1 : n + 1].flip(0), nodes.t[n + 1] - nodes.t[n]
    roots, shares = (as_float64(one) for one in np.polynomial.legendre.leggauss(_POINTS))
    r = 0.5 * (1.0 + roots)
    excess = torch.exp(-nodes.schedule.log_snr(nodes.t[n] + r * step)) - kappa[0]
    k = torch.arange(1, order)
    moments = -k * ((r ** (k[:, None] - 1) * excess) @ (0.5 * shares))
    return (past - nodes.t[n]) / step, torch.cat([kappa[:1] - kappa[1:2], moments])


def _kappa(nodes: Nodes, n: int, order: int) -> Tensor:
    """That of the next node and of the last ones, newest first; a ratio elsewhere may be infinite."""
    some = slice(n - order + 1, n + 2)
    return (nodes.sigma[some] / nodes.alpha[some]).flip(0)


VARIABLES: dict[str, Rule] = {"log_snr": in_log_snr, "time": in_time}
