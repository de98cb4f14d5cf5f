"""Samplers that remember nothing: each step starts from one state and one prediction."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.grids import Nodes
from kutta.solvers.diffusion.plan import Draft, Plan
from kutta.solvers.diffusion.sampler import Sampler


@dataclass(frozen=True)
class DDIM(Sampler):
    """The exponential Euler step, first order.

    ``x_{n+1} = (sigma_{n+1} / sigma_n) x_n + (alpha_{n+1} - sigma_{n+1} alpha_n / sigma_n) D_n``: the prediction of
    the data is kept for the step, and the rest is exact. In exact arithmetic this is Euler's method in
    ``d(x / alpha) / d(sigma / alpha) = e``. It is the only step that makes sense where there is no data yet
    (``alpha_n = 0``) or no noise any more (``sigma_{n+1} = 0``).

    Source: Song, Meng and Ermon, Denoising diffusion implicit models, 2021.
    """

    def plan(self, nodes: Nodes) -> Plan:
        draft = Draft(nodes)
        for n in range(nodes.steps):
            euler(draft, n, n, n + 1)
        return draft.plan()


def euler(draft: Draft, state: int, n: int, node: int) -> int:
    """The step of `DDIM` from a state at node `n`, whose prediction it uses, to another node."""
    nodes = draft.nodes
    kept = nodes.sigma[node] / nodes.sigma[n]
    return draft.arrive(node, {state: kept}, {"data": {state: nodes.alpha[node] - kept * nodes.alpha[n]}})
