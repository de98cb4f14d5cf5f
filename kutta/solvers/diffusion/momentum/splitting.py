"""Splitting: the unguided flow and the guidance, one after the other, each by a method that suits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kutta.solvers.diffusion.exponential.orders import check_orders, orders_of_steps, regular
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.heavy_ball import check_damping
from kutta.solvers.diffusion.named.ddim import along_noise, euler
from kutta.solvers.diffusion.plans.plan import Draft, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.tableaus.adams import adams_bashforth


@dataclass(frozen=True)
class LTSP(Sampler):
    """Lie-Trotter splitting: Adams-Bashforth for the unguided noise, then a step of first order for the guidance.

    With ``dy/dkappa = e_free + (e - e_free)`` and steps of size `h`,

        y* = y_n + h sum_i b_i e_free(y_{n-i}, kappa_{n-i}),
        y_{n+1} = y* + h v_{n+1},    v_{n+1} = (1 - beta) v_n + beta (e - e_free)(y*, kappa_n),

    which keeps the rough part, the guidance, away from the formula of high order. First order, and two evaluations a
    step. Without guidance it is `PLMS`.

    Attributes:
        order: of Adams-Bashforth, 1 to 4.
        beta: damping of the guidance, in ``(0, 1]``: 1 is Euler's method, less is GHVB of order 1.

    Source: Wizadwongsa and Suwajanakorn, Accelerating guided diffusion sampling with splitting numerical methods, 2023;
    with momentum Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024.
    """

    order: int = 4
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_orders(type(self).__name__, self.order, 4)
        check_damping("beta", self.beta)

    def plan(self, nodes: Nodes) -> Plan:
        draft, last = Draft(nodes), None
        for n, order in enumerate(orders_of_steps(nodes, self.order)):
            if regular(nodes, n):
                last = self._step(draft, n, order, last)
            else:
                euler(draft, draft.outputs[n], n, n + 1)
        return draft.plan()

    def _step(self, draft: Draft, n: int, order: int, last: Guided | None) -> Guided:
        """One step, which needs to know of the last one, and returns the same of itself."""
        state, here = draft.outputs[n], draft.level(n)
        kept, gain = along_noise(here, draft.level(n + 1))
        free = {draft.outputs[n - i]: gain / kept * float(weight) for i, weight in enumerate(adams_bashforth(order))}
        middle = draft.add(here, {state: 1.0}, {"free noise": free})
        states, fresh = {middle: kept}, gain
        if last is not None:  # v_n = (x_n - last.kept * last.middle) / last.gain
            share, fresh = (1.0 - self.beta) * gain / last.gain, self.beta * gain
            states |= {state: share, last.middle: -share * last.kept}
        draft.arrive(n + 1, states, {"noise": {middle: fresh}, "free noise": {middle: -fresh}})
        return Guided(middle, kept, gain)


class Guided(NamedTuple):
    """A step for the guidance: ``x_{n+1} = kept x_middle + gain v_{n+1}``."""

    middle: int
    kept: Weight
    gain: Weight
