"""Splitting: the unguided flow and the guidance, one after the other, each by a method that suits it."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.multistep import multistep_plan
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.heavy_ball import check_damping
from kutta.solvers.diffusion.plans.plan import Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.tableaus.adams import adams_bashforth


@dataclass(frozen=True)
class LTSP(Sampler):
    """Lie-Trotter splitting: Adams-Bashforth for the unguided noise, then a step of first order for the guidance.

    With ``dy/dkappa = e_free + (e - e_free)`` and steps of size `h`,

        y* = y_n + h sum_i b_i e_free(y_{n-i}, kappa_{n-i}),
        y_{n+1} = y* + h v_{n+1},    v_{n+1} = (1 - beta) v_n + beta (e - e_free)(y*, kappa_n),

    which keeps the rough part, the guidance, away from the formula of high order. First order, and two evaluations a
    step; at ``y_n`` only the free prediction is asked for, so that under `CFG` the model is called three times. Without
    guidance it is `PLMS`.

    Attributes:
        order: of Adams-Bashforth, 1 to 4.
        beta: damping of the guidance, in ``(0, 1]``: 1 is Euler's method, less is GHVB of order 1.

    Source: Wizadwongsa and Suwajanakorn, Accelerating guided diffusion sampling with splitting numerical methods, 2023;
    with momentum Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024.
    """

    order: int = 4
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_order(self.order, 4)
        check_damping("beta", self.beta)

    def plan(self, nodes: Nodes) -> Plan:
        return multistep_plan(nodes, FORMS["noise"], _Splitting(self.beta).step, self.order)


@dataclass
class _Splitting:
    """The steps of `LTSP`, each of which needs to know of the last one.

    The step for the guidance is ``x_{n+1} = kept x_middle + gain v_{n+1}``.

    Attributes:
        beta: damping.
        last: ``(middle, kept, gain)`` of the last step.
    """

    beta: float
    last: tuple[int, Weight, Weight] | None = None

    def step(self, walk: Walk, order: int) -> None:
        """Go to the next node."""
        draft, state = walk.draft, walk.here
        here = draft.level_of(state)
        kept, gain = walk.form.step(here, walk.next)
        recent = zip(walk.past[::-1], adams_bashforth(order), strict=False)
        free = {one: gain / kept * float(weight) for one, weight in recent}
        middle = draft.add(here, {state: 1.0}, {"free noise": free})
        states, fresh = {middle: kept}, gain
        if self.last is not None:  # v_n = (x_n - kept x_middle) / gain, of the last step
            before, factor, size = self.last
            share, fresh = (1.0 - self.beta) * gain / size, self.beta * gain
            states |= {state: share, before: -share * factor}
        walk.arrive(states, {"noise": {middle: fresh}, "free noise": {middle: -fresh}})
        self.last = middle, kept, gain
