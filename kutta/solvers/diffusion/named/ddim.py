"""Samplers that remember nothing: each step starts from one state and one prediction."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Draft, Plan
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
        walk = Walk(Draft(nodes), FORMS["data"])
        for _ in range(nodes.steps):
            euler(walk, walk.here)
        return walk.draft.plan()


def euler(walk: Walk, start: int) -> None:
    """Go to the next node from a state, wherever it lies, by the step of `DDIM`."""
    walk.arrive(*walk.terms(start, [start], walk.next, FORMS["data"]))


def heun(walk: Walk, start: int) -> None:
    """Likewise by the mean of the predictions at both ends: of the noise, Heun's step in ``sigma / alpha``."""
    guess = walk.draft.add(walk.next, *walk.averaged(start, {start: 1.0}, walk.next))
    walk.arrive(*walk.averaged(start, {start: 0.5, guess: 0.5}, walk.next))
