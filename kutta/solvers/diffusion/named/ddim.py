"""Samplers that remember nothing: each step starts from one state and one prediction."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Draft, Level, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler


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
    return euler_from(draft, state, draft.level(n), node)


def euler_from(draft: Draft, state: int, here: Level, node: int) -> int:
    """The same from a state at any level."""
    there = draft.level(node)
    kept = there.sigma / here.sigma
    return draft.arrive(node, {state: kept}, {"data": {state: there.alpha - kept * here.alpha}})


def along_noise(here: Level, there: Level) -> tuple[Weight, Weight]:
    """``(p, q)`` such that ``p x + q e`` is the state at another level if the noise on the way is ``e``.

    It is ``d(x / alpha) = e d(sigma / alpha)``, integrated: ``p = alpha' / alpha``, ``q = sigma' - p sigma``.
    """
    kept = there.alpha / here.alpha
    return kept, there.sigma - kept * here.sigma


def heun_from(draft: Draft, state: int, here: Level, node: int) -> int:
    """Heun's step in ``sigma / alpha`` from a state at any level: the mean of the noise at its ends; second order."""
    there = draft.level(node)
    kept, push = along_noise(here, there)
    predicted = draft.add(there, {state: kept}, {"noise": {state: push}})
    return draft.arrive(node, {state: kept}, {"noise": {state: 0.5 * push, predicted: 0.5 * push}})
