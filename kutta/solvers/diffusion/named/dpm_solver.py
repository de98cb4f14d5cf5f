"""DPM-Solver and DPM-Solver++: exponential methods of orders 1 to 3 with a few weights of their own.

They are the rules of `kutta.solvers.diffusion.exponential.forms` but for two means of ``(r / h)^k`` over a step.
With two predictions the flavour ``"midpoint"`` takes 1/2 for the mean of ``r / h``, which has the same order as the
exact one of ``"heun"``. With three, their multistep rule takes half of the mean of ``(r / h)^2``, and so is of order 2
when steps are many; `kutta.ExponentialMultistep` has the exact one.

Source: Lu et al., DPM-Solver, 2022; Lu et al., DPM-Solver++, 2022.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import FORMS, Form, Reweighted, StochasticForm, StraightLines, form_of
from kutta.solvers.diffusion.exponential.multistep import multistep_plan
from kutta.solvers.diffusion.exponential.orders import (
    FinalOrdersLike,
    LowerOrderFinal,
    check_final_orders,
    check_order,
)
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Draft, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler


class HalfCurvature(Reweighted):
    """Half of the mean of ``(r / h)^2`` where there are three predictions."""

    def means(self, h: Tensor, count: int) -> Tensor:
        means = self.of.means(h, count)
        return means * torch.tensor([1.0, 1.0, 0.5], dtype=means.dtype) if count == 3 else means


SOLVER_TYPES: dict[str, Callable[[Form], Form]] = {"midpoint": StraightLines, "heun": lambda form: form}


@dataclass(frozen=True)
class DPMSolver(Sampler):
    """DPM-Solver, multistep: predictions of the noise.

    Attributes:
        order: 1, 2 or 3.
        solver_type: ``"midpoint"`` or ``"heun"``: which weights two predictions have.
        final_orders: the largest orders in the last steps; see `kutta.ExponentialMultistep`.

    Source: Lu et al., DPM-Solver, 2022.
    """

    order: int = 2
    solver_type: str = "midpoint"
    final_orders: FinalOrdersLike = field(default_factory=LowerOrderFinal)

    def __post_init__(self) -> None:
        _check(self)
        check_final_orders(self.final_orders)

    def plan(self, nodes: Nodes) -> Plan:
        return _multistep(self, FORMS["noise"], nodes)


@dataclass(frozen=True)
class DPMSolverPP(Sampler):
    """DPM-Solver++, multistep: predictions of the data; of the probability flow, or with fresh noise.

    Attributes:
        order: 1, 2 or 3.
        solver_type: ``"midpoint"`` or ``"heun"``: which weights two predictions have.
        eta: how fast noise is replaced by fresh noise: 0 not at all, 1 as in the reverse diffusion, which is
            SDE-DPM-Solver++.
        final_orders: the largest orders in the last steps; see `kutta.ExponentialMultistep`.

    Source: Lu et al., DPM-Solver++, 2022.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.VP()
        >>> x = torch.randn(4, 1, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> kt.solve(problem, kt.DPMSolverPP(2), steps=10).stats.function_evaluations
        10
    """

    order: int = 2
    solver_type: str = "midpoint"
    eta: float = 0.0
    final_orders: FinalOrdersLike = field(default_factory=LowerOrderFinal)

    def __post_init__(self) -> None:
        _check(self)
        check_final_orders(self.final_orders)
        if not (isinstance(self.eta, int | float) and 0.0 <= self.eta < math.inf):
            raise ValueError(f"eta must be a number from 0 (no fresh noise) on; got {self.eta!r}")

    def plan(self, nodes: Nodes) -> Plan:
        return _multistep(self, StochasticForm(float(self.eta)) if self.eta else FORMS["data"], nodes)


@dataclass(frozen=True)
class DPMSolverSinglestep(Sampler):
    """DPM-Solver and DPM-Solver++, singlestep, with nodes of the grid for stages.

    Each `order` steps of the grid make one step of that order, so that there is one evaluation a node; what is left
    over is of lower order, and so is a step that begins without data or ends without noise. The states at nodes in
    between are stages, of lower order. For stages between the nodes of a grid see `kutta.diffusion.Singlestep`.

    Attributes:
        order: 1, 2 or 3.
        prediction: ``"noise"`` for DPM-Solver, ``"data"`` for DPM-Solver++.
        solver_type: ``"midpoint"`` or ``"heun"``. With ``"midpoint"`` a step of order 3 uses the first and the third
            prediction only, which is of order 3 where the third is made after two thirds of the step.

    Source: Lu et al., DPM-Solver, 2022; Lu et al., DPM-Solver++, 2022.
    """

    order: int = 3
    prediction: str = "data"
    solver_type: str = "midpoint"

    def __post_init__(self) -> None:
        _check(self)
        form_of(self.prediction)

    def plan(self, nodes: Nodes) -> Plan:
        walk = Walk(Draft(nodes), form_of(self.prediction))
        last = nodes.steps - (not nodes.regular(nodes.steps - 1))
        while walk.node <= nodes.steps:
            if nodes.regular(walk.node - 1):
                self._group(walk, min(self.order, last - walk.node + 1))
            else:
                walk.cross()
            walk.past = [walk.here]
        return walk.draft.plan()

    def _group(self, walk: Walk, size: int) -> None:
        """One step of an order of as many steps of the grid, each from the state where it begins."""
        two = SOLVER_TYPES[self.solver_type](walk.form)
        uses = {1: [0], 2: [0, 1], 3: [0, 2] if self.solver_type == "midpoint" else [0, 1, 2]}
        start, states = walk.here, [walk.here]
        for count in range(1, size + 1):
            form = two if count == 2 else walk.form
            terms = walk.terms(start, [states[one] for one in uses[count]], walk.next, form)
            states.append(walk.draft.arrive(walk.node, *terms))


def _multistep(method: Any, form: Form, nodes: Nodes) -> Plan:
    form = HalfCurvature(SOLVER_TYPES[method.solver_type](form))
    return multistep_plan(nodes, form, Walk.predict, method.order, method.final_orders)


def _check(method: Any) -> None:
    check_order(method.order, 3)
    if method.solver_type not in SOLVER_TYPES:
        raise ValueError(f'solver_type must be "midpoint" or "heun"; got {method.solver_type!r}')
