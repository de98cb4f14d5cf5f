"""UniPC: an exponential multistep rule, corrected by the next evaluation at no cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kutta.solvers.diffusion.exponential.forms import Form, StraightLines, form_of
from kutta.solvers.diffusion.exponential.multistep import multistep_plan
from kutta.solvers.diffusion.exponential.orders import FinalOrdersLike, check_final_orders, check_order
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.exponential.phi import phi


@dataclass(frozen=True)
class UniPC(Sampler):
    """Unified predictor and corrector, one evaluation a step.

    The predictor integrates the polynomial in ``lambda = log(alpha / sigma)`` through the last predictions of the
    model with its exact exponential weights. The model is evaluated at the predicted state, as the next step needs it
    anyway; the corrector repeats the step with this prediction among the others, one order higher. The next step starts
    from the corrected state. The last state is not corrected, which would cost an evaluation.

    Where the polynomial is a line, through two predictions, its slope is not integrated exactly but as ``B / 2``. That
    is all that the two variants differ in, and all that tells them from `ExponentialMultistep` with a corrector.

    Attributes:
        order: of the predictor after the start, from 1 to 6.
        variant: ``"bh1"``, where ``B`` is the size `h` of the step, or ``"bh2"``, where it is ``1 - exp(-h)`` for
            predictions of the data and ``exp(h) - 1`` for those of the noise.
        prediction: what is interpolated, ``"data"`` or ``"noise"``; whatever the model predicts.
        final_orders: upper limits to the orders of the last steps, as for `ExponentialMultistep`.

    Source: Zhao et al., UniPC: a unified predictor-corrector framework for fast sampling of diffusion models, 2023.

    Example:
        >>> import torch, kutta as kt
        >>> teacher = kt.diffusion.GaussianMixture([1.0], [[3.0, -1.0]], [0.04])
        >>> schedule = kt.diffusion.VP()
        >>> x = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
        >>> sol = kt.solve(kt.DiffusionProblem(teacher.model(schedule), schedule, x), kt.UniPC(3), steps=10)
        >>> bool((sol.y1.mean(0) - torch.tensor([3.0, -1.0])).abs().max() < 0.1), sol.stats.function_evaluations
        (True, 10)
    """

    order: int = 2
    variant: str = "bh2"
    prediction: str = "data"
    final_orders: FinalOrdersLike = ()

    def __post_init__(self) -> None:
        check_order(self.order, 6)
        check_final_orders(self.final_orders)
        form_of(self.prediction)
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {self.variant!r}")

    def plan(self, nodes: Nodes) -> Plan:
        form = VARIANTS[self.variant](form_of(self.prediction))
        return multistep_plan(nodes, form, Walk.correct_but_the_last, self.order, self.final_orders)


def _with_full_step(form: Form) -> Form:
    """``B = h``, divided by the integral of a constant, which is ``h phi_1(-h)`` or ``h phi_1(h)``."""
    sign = {"data": -1.0, "noise": 1.0}[form.kind]
    return StraightLines(form, lambda h: 0.5 / phi(1, sign * h))


# ``B`` of the second one is that integral itself.
VARIANTS: dict[str, Callable[[Form], Form]] = {"bh1": _with_full_step, "bh2": StraightLines}
