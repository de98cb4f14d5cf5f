"""Exact exponential multistep methods of any order."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import Form, form_of
from kutta.solvers.diffusion.exponential.orders import (
    FinalOrdersLike,
    check_final_orders,
    check_order,
    orders_of_steps,
)
from kutta.solvers.diffusion.exponential.starters import RAMP, Starter, Step
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Draft, Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.exponential.phi import HIGHEST


@dataclass(frozen=True)
class ExponentialMultistep(Sampler):
    """The polynomial through the last predictions, integrated exactly: one evaluation a step, and any order.

    ``x_{n+1} = (sigma_{n+1} / sigma_n) x_n + alpha_{n+1} sum_j b_j D_{n-j}``, where the weights solve
    ``sum_j b_j (lambda_{n-j} - lambda_n)^k = int_0^h exp(-(h - r)) r^k dr`` for ``k < order``, whatever the sizes of
    the steps; or the same with predictions of the noise. A step that begins without data or ends without noise is of
    order 1.

    High orders are for many steps or smooth models: with strong guidance and few steps, order 2 errs less.

    Attributes:
        order: from 1 to 9.
        prediction: what is interpolated, ``"data"`` or ``"noise"``; whatever the model predicts.
        starter: the first steps: `Ramp` (the usual; order 2 as a whole), or, of the order of the method,
            `CorrectedRamp` (up to order 4), `SinglestepStart` (up to order 5), `GradedStart`.
        corrector: whether each step but the last is taken once more with the prediction at its end, which adds an
            order and costs no evaluation.
        final_orders: the largest orders in the last steps, such as ``(2, 1)``; or a rule that tells them for a number
            of steps: `LowerOrderFinal`, `EulerAtFinal`.

    Source: Zhang and Chen, Fast sampling of diffusion models with exponential integrator, 2023; Zhao et al., UniPC,
    2023, for the corrector.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.VP()
        >>> x = torch.randn(4, 1, generator=torch.Generator().manual_seed(0))
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
        >>> method = kt.ExponentialMultistep(3, starter=kt.diffusion.SinglestepStart())
        >>> kt.solve(problem, method, steps=10).stats.function_evaluations  # the first two steps take 3 each
        14
    """

    order: int = 3
    prediction: str = "data"
    starter: Starter = RAMP
    corrector: bool = False
    final_orders: FinalOrdersLike = ()

    def __post_init__(self) -> None:
        form_of(self.prediction)
        if not isinstance(self.starter, Starter):
            raise TypeError(f"starter must be such as kutta.diffusion.Ramp(); got {self.starter!r}")
        check_order(self.order, min(HIGHEST - 1, self.starter.highest), f" with {self.starter!r}")
        check_final_orders(self.final_orders)

    def plan(self, nodes: Nodes) -> Plan:
        step = Walk.correct_but_the_last if self.corrector else Walk.predict
        return multistep_plan(nodes, form_of(self.prediction), step, self.order, self.final_orders, self.starter)


def multistep_plan(
    nodes: Nodes,
    form: Form,
    step: Step,
    order: int,
    final_orders: FinalOrdersLike = (),
    starter: Starter = RAMP,
) -> Plan:
    """Steps along a grid, each of an order as far as there are predictions for it.

    Args:
        nodes: the grid.
        form: of the steps.
        step: takes a step of an order.
        order: of the steps.
        final_orders: the largest ones of the last steps.
        starter: takes the steps for whose order there are too few predictions.
    """
    walk = Walk(Draft(nodes), form)
    for n, allowed in enumerate(orders_of_steps(order, final_orders, nodes.steps)):
        if not nodes.regular(n):
            walk.cross()
        elif allowed > len(walk.past):
            starter.step(walk, allowed, step)
        else:
            step(walk, allowed)
    return walk.draft.plan()
