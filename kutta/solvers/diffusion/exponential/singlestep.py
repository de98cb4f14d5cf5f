"""Single steps of high order: stages within a step, each an exponential step with some of the earlier predictions.

A stage at a part ``c`` of the step needs a state with an error of one order less than the predictions made there are
to have. Where the polynomial ``prod_j (r - c_j)`` of the predictions used has the mean zero over the way to a stage,
as for 0 and 2/3 (Radau) or 0, 1/2 and 1 (Simpson), that stage is of one order more than there are predictions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kutta.solvers.diffusion.exponential.forms import form_of, log_snr
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Draft, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler


class Stage(NamedTuple):
    """A state within a step.

    Attributes:
        part: where it lies, in parts of the step.
        uses: the stages whose predictions lead there; 0 is the start.
    """

    part: float
    uses: tuple[int, ...]


# By order; the last one is the end of the step. Orders 2 and 3: Lu et al., DPM-Solver, 2022.
STAGES = {
    1: (Stage(1.0, (0,)),),
    2: (Stage(1 / 2, (0,)), Stage(1.0, (0, 1))),
    3: (Stage(1 / 3, (0,)), Stage(2 / 3, (0, 1)), Stage(1.0, (0, 2))),
    4: (
        Stage(1 / 6, (0,)),
        Stage(1 / 3, (0, 1)),
        Stage(1 / 2, (0, 2)),  # 1/3 is 2/3 of the way there
        Stage(1.0, (0, 2, 3)),
        Stage(1.0, (0, 3, 4)),
    ),
}
HIGHEST_SINGLE = max(STAGES)


def single_step(walk: Walk, order: int) -> None:
    """Go to the next node by one step with stages of its own."""
    *inner, end = STAGES[order]
    start = walk.here
    origin = log_snr(walk.draft.level_of(start))
    h = log_snr(walk.next) - origin
    states = [walk.past[-1]]
    for stage in inner:
        level = walk.draft.between(walk.draft.nodes.schedule.time(origin + stage.part * h))
        states.append(walk.draft.add(level, *walk.terms(start, [states[one] for one in stage.uses], level)))
    walk.arrive(*walk.terms(start, [states[one] for one in end.uses], walk.next))


@dataclass(frozen=True)
class Singlestep(Sampler):
    """Single steps of high order, which remember nothing: DPM-Solver-2 and -3 and a step of order 4.

    Each step of the grid takes as many evaluations as its order, and five for order 4; one that begins without data
    or ends without noise is of order 1. With one evaluation a step `kutta.ExponentialMultistep` usually gets further.

    Attributes:
        order: from 1 to 4.
        prediction: what is interpolated, ``"data"`` or ``"noise"``.

    Source: Lu et al., DPM-Solver, 2022, for orders 2 and 3; see `STAGES` for order 4.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.VP()
        >>> x = torch.randn(4, 1, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> kt.solve(problem, kt.diffusion.Singlestep(3), steps=5).stats.function_evaluations
        15
    """

    order: int = 3
    prediction: str = "data"

    def __post_init__(self) -> None:
        check_order(self.order, HIGHEST_SINGLE)
        form_of(self.prediction)

    def plan(self, nodes: Nodes) -> Plan:
        walk = Walk(Draft(nodes), form_of(self.prediction))
        for n in range(nodes.steps):
            if nodes.regular(n):
                single_step(walk, self.order)
            else:
                walk.cross()
                walk.past = [walk.here]
        return walk.draft.plan()
