"""Adams-Bashforth on the noise, with the coefficients of equal steps: PLMS, PNDM and iPNDM.

In ``y = x / alpha`` and ``kappa = sigma / alpha`` the flow is ``dy/dkappa = e``, and

    y_{n+1} = y_n + (kappa_{n+1} - kappa_n) sum_i b_i e_{n-i}

with the classical weights ``b``. These belong to equal steps of ``kappa``, which no grid in use has; on other grids
the rule is second order however high its nominal order, and yet often accurate where steps are few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.orders import check_orders, orders_of_steps, regular
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.named.ddim import along_noise, euler, heun_from
from kutta.solvers.diffusion.plans.plan import Draft, Level, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.tableaus.adams import adams_bashforth

Step = Callable[[Draft, int, int], int]  # of a draft, the number of the step, and the order that its history allows


@dataclass(frozen=True)
class PLMS(Sampler):
    """Pseudo linear multistep: Adams-Bashforth of order 1 to 4 on the noise, one evaluation a step.

    Second order on grids whose steps of ``sigma / alpha`` are not equal. The first step from pure noise and the last
    one to no noise at all are those of `DDIM`.

    Attributes:
        order: nominal, from 1 to 4.
        start: what is done until there is history enough. ``"ramp"``: the same with lower orders, no further
            evaluations; this is iPNDM. ``"heun"``: the ramp, but its first step with the mean of the noise at both
            ends, one further evaluation. ``"runge-kutta"``: steps like those of Runge and Kutta, three further
            evaluations each; this is `PNDM`.

    Source: Liu et al., Pseudo numerical methods for diffusion models on manifolds, 2022; for the ramp Zhang and Chen,
    Fast sampling of diffusion models with exponential integrator, 2023.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.002)
        >>> x = 10.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        >>> sol = kt.solve(kt.DiffusionProblem(teacher.model(schedule), schedule, x), kt.PLMS(4), steps=20)
        >>> bool((sol.y1.mean(0) - torch.tensor([3.0, -1.0])).abs().max() < 0.1), sol.stats.function_evaluations
        (True, 20)
    """

    order: int = 4
    start: str = "ramp"

    def __post_init__(self) -> None:
        check_orders(type(self).__name__, self.order, 4)
        if self.start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}; got {self.start!r}")

    def plan(self, nodes: Nodes) -> Plan:
        draft = Draft(nodes)
        for n, order in enumerate(orders_of_steps(nodes, self.order)):
            if not regular(nodes, n):
                euler(draft, draft.outputs[n], n, n + 1)
            elif order == self.order:
                adams(draft, n, order)
            else:
                STARTS[self.start](draft, n, order)
        return draft.plan()


@dataclass(frozen=True)
class PNDM(PLMS):
    """`PLMS` whose first steps are pseudo Runge-Kutta steps: four evaluations each of the first three, at order 4.

    Such a step is Runge's and Kutta's in which every move is one of `DDIM`, and the middle lies at the middle *time*.

    Source: Liu et al., Pseudo numerical methods for diffusion models on manifolds, 2022, where it is F-PNDM.
    """

    start: str = "runge-kutta"


def adams(draft: Draft, n: int, order: int) -> int:
    """The Adams-Bashforth step from node `n`."""
    kept, push = along_noise(draft.level(n), draft.level(n + 1))
    weights = {draft.outputs[n - i]: push * float(weight) for i, weight in enumerate(adams_bashforth(order))}
    return draft.arrive(n + 1, {draft.outputs[n]: kept}, {"noise": weights})


def heun_then_adams(draft: Draft, n: int, order: int) -> int:
    """The step of a ramp that begins with Heun's."""
    return heun_from(draft, draft.outputs[n], draft.level(n), n + 1) if order == 1 else adams(draft, n, order)


def pseudo_runge_kutta(draft: Draft, n: int, order: int) -> int:
    """The classical Runge-Kutta step with moves of `DDIM`, whatever the history."""
    state, nodes, here, end = draft.outputs[n], draft.nodes, draft.level(n), draft.level(n + 1)
    middle = draft.between(0.5 * (nodes.t[n] + nodes.t[n + 1]))

    def moved(level: Level, slope: int) -> int:
        kept, push = along_noise(here, level)
        return draft.add(level, {state: kept}, {"noise": {slope: push}})

    second = moved(middle, state)
    third = moved(middle, second)
    fourth = moved(end, third)
    kept, push = along_noise(here, end)
    weights = {state: push / 6, second: push / 3, third: push / 3, fourth: push / 6}
    return draft.arrive(n + 1, {state: kept}, {"noise": weights})


STARTS: dict[str, Step] = {"ramp": adams, "heun": heun_then_adams, "runge-kutta": pseudo_runge_kutta}
