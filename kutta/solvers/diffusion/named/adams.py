"""Adams-Bashforth on the noise, with the coefficients of equal steps: PLMS, PNDM and iPNDM.

In ``y = x / alpha`` and ``kappa = sigma / alpha`` the flow is ``dy/dkappa = e``, and

    y_{n+1} = y_n + (kappa_{n+1} - kappa_n) sum_i b_i e_{n-i}

with the classical weights ``b``. These belong to equal steps of ``kappa``, which no grid in use has; on other grids
the rule is second order however high its nominal order, and yet often accurate where steps are few.
"""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.multistep import multistep_plan
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.exponential.starters import RAMP, Starter, Step
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.named.ddim import heun
from kutta.solvers.diffusion.plans.plan import Level, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.tableaus.adams import adams_bashforth


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
        check_order(self.order, 4)
        if self.start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}; got {self.start!r}")

    def plan(self, nodes: Nodes) -> Plan:
        return multistep_plan(nodes, FORMS["noise"], adams, self.order, starter=STARTS[self.start])


@dataclass(frozen=True)
class PNDM(PLMS):
    """`PLMS` whose first steps are pseudo Runge-Kutta steps: four evaluations each of the first three, at order 4.

    Such a step is Runge's and Kutta's in which every move is one of `DDIM`, and the middle lies at the middle *time*.

    Source: Liu et al., Pseudo numerical methods for diffusion models on manifolds, 2022, where it is F-PNDM.
    """

    start: str = "runge-kutta"


def adams(walk: Walk, order: int) -> None:
    """The Adams-Bashforth step."""
    shares = {state: float(weight) for state, weight in zip(walk.past[::-1], adams_bashforth(order), strict=False)}
    walk.arrive(*walk.averaged(walk.here, shares, walk.next))


class HeunStart(Starter):
    """The ramp, but its first step is Heun's."""

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        if len(walk.past) == 1:
            heun(walk, walk.here)
        else:
            usual(walk, len(walk.past))


class RungeKuttaStart(Starter):
    """The classical Runge-Kutta step with moves of `kutta.DDIM`."""

    def step(self, walk: Walk, order: int, usual: Step) -> None:
        start, end, nodes = walk.here, walk.next, walk.draft.nodes
        middle = walk.draft.between(0.5 * (nodes.t[walk.node - 1] + nodes.t[walk.node]))

        def moved(level: Level, slope: int) -> int:
            return walk.draft.add(level, *walk.averaged(start, {slope: 1.0}, level))

        second = moved(middle, start)
        third = moved(middle, second)
        fourth = moved(end, third)
        walk.arrive(*walk.averaged(start, {start: 1 / 6, second: 1 / 3, third: 1 / 3, fourth: 1 / 6}, end))


STARTS: dict[str, Starter] = {"ramp": RAMP, "heun": HeunStart(), "runge-kutta": RungeKuttaStart()}
