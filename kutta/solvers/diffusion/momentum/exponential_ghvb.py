"""Generalised heavy ball on the data, with exact exponential weights. Experimental.

With ``X = x / sigma`` and ``s = exp(lambda)`` the flow is ``dX/ds = D``. Over a step, ``X_{n+1} - X_n`` is the length
``s_{n+1} - s_n`` times the mean of `D` with the weight ``exp(lambda)``. Momentum takes a part of it from the last step:

    u_n = (1 - beta) u_{n-1} + sum_{i < p} b_i D_{n-i},    u_n = (X_{n+1} - X_n) / (s_{n+1} - s_n),

where the ``b_i`` make the rule exact for polynomials in ``lambda`` of degree below `p`: for each of them, the mean over
the next step is ``1 - beta`` times that over the last one, and the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kutta.solvers.diffusion.exponential.forms import FORMS, log_snr, weights
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.ghvb import places
from kutta.solvers.diffusion.momentum.heavy_ball import check_damping
from kutta.solvers.diffusion.momentum.velocity import with_momentum
from kutta.solvers.diffusion.named.ddim import DDIM
from kutta.solvers.diffusion.plans.plan import Level, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler


@dataclass(frozen=True)
class ExponentialGHVB(Sampler):
    """Exponential multistep on the data, with momentum that keeps its order. Experimental.

    Not a remedy for strong guidance: on a mixture under classifier-free guidance of 15 with 8 steps, damping of 0.4
    only halves the error of order 3, which diverges there, and order 4 diverges with every damping; order 2 without
    momentum is many times more accurate. What helps samplers on the data is a lower order.

    Attributes:
        order: 1 to 5. Until there is history enough, it is the number of predictions; so the order is 2 in all unless
            the first step is nearly exact. Order 1 is `HeavyBall` on `DDIM`.
        beta: damping, in ``(0, 1]``; 1 is the exponential Adams-Bashforth method.

    Source: ours.
    """

    order: int = 2
    beta: float = 0.8

    def __post_init__(self) -> None:
        check_order(self.order, 5)
        check_damping("beta", self.beta)

    def plan(self, nodes: Nodes) -> Plan:
        return with_momentum(DDIM().plan(nodes), self._recursion, self)

    def _recursion(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        if len(levels) == 2:
            return (), (1.0,)
        nodes = torch.stack([log_snr(one) for one in levels[-max(self.order, 2) - 1 :]])
        tau, last = places(nodes, self.order)
        degrees, h, kept = torch.arange(len(tau), dtype=torch.float64), nodes[-1] - nodes[-2], 1.0 - self.beta
        # Seen from its end, where the powers are counted from, the last step has the density of the noise form.
        next_means, last_means = FORMS["data"].means(h, len(tau)), FORMS["noise"].means(-last * h, len(tau))
        return (kept,), tuple(weights(tau, next_means - kept * last**degrees * last_means))
