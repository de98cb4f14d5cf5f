"""UniPC: an exponential multistep rule, corrected by the next evaluation at no cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.solvers.diffusion.grids import Nodes
from kutta.solvers.diffusion.orders import check_orders, orders_of_steps, regular
from kutta.solvers.diffusion.phi import data_moments, noise_moments
from kutta.solvers.diffusion.plan import Draft, Plan, Terms
from kutta.solvers.diffusion.sampler import Sampler


class Integral(NamedTuple):
    """What a step adds up: ``x_{n+1} = kept x_n + scale int q``, with an exponential weight in the integral.

    Attributes:
        kept, scale: these factors.
        moments: the integrals of ``q = r^k``, where r goes from 0 to 1 over the step.
        plain: that of ``q = 1`` with the weight at the start of the step throughout.
    """

    kept: Tensor
    scale: Tensor
    moments: Tensor
    plain: Tensor


@dataclass(frozen=True)
class UniPC(Sampler):
    """Unified predictor and corrector, one evaluation a step.

    The predictor integrates the polynomial in ``lambda = log(alpha / sigma)`` through the last predictions of the
    model with its exact exponential weights. The model is evaluated at the predicted state, as the next step needs it
    anyway; the corrector repeats the step with this prediction among the others, one order higher. The next step starts
    from the corrected state. The last state is not corrected, which would cost an evaluation.

    Where the polynomial goes through two predictions, its slope is not integrated exactly but as ``B / 2``, with
    ``B = h`` or ``B = exp(h) - 1``. That is all that the two variants differ in.

    Attributes:
        order: of the predictor after the start, from 1 to 6.
        variant: ``"bh1"`` with ``B = h``, or ``"bh2"``, with ``B = 1 - exp(-h)`` for data and ``exp(h) - 1`` for noise.
        form: which prediction the polynomial goes through, ``"data"`` or ``"noise"``.
        final_orders: upper limits to the orders of the last steps, such as ``(2, 1)``.

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
    form: str = "data"
    final_orders: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_orders(type(self).__name__, self.order, 6, self.final_orders)
        if self.variant not in VARIANTS:
            raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {self.variant!r}")
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}; got {self.form!r}")

    def plan(self, nodes: Nodes) -> Plan:
        draft, evaluated = Draft(nodes), [0]  # the state at which each node's prediction is made
        for n, order in enumerate(orders_of_steps(nodes, self.order, self.final_orders)):
            used = {node: evaluated[node] for node in range(n - order + 1, n + 1)}
            if not regular(nodes, n):
                evaluated.append(draft.arrive(n + 1, *_euler(draft, n, used[n])))
            elif n + 1 == nodes.steps:
                evaluated.append(draft.arrive(n + 1, *self._terms(draft, n, used)))
            else:
                evaluated.append(draft.add(draft.level(n + 1), *self._terms(draft, n, used)))
                draft.arrive(n + 1, *self._terms(draft, n, {**used, n + 1: evaluated[-1]}))
        return draft.plan()

    def _terms(self, draft: Draft, n: int, used: Mapping[int, int]) -> tuple[Terms, Mapping[str, Terms]]:
        """The step from node `n` with the predictions at some nodes, made at the given states."""
        nodes, count = draft.nodes, len(used)
        h = nodes.log_snr[n + 1] - nodes.log_snr[n]
        over = FORMS[self.form](nodes, n, h, count)
        moments = over.moments
        if count == 2:
            moments = torch.stack([moments[0], 0.5 * VARIANTS[self.variant](over)])
        positions = (nodes.log_snr[list(used)] - nodes.log_snr[n]) / h
        weights = over.scale * torch.linalg.solve(positions ** torch.arange(count)[:, None], moments)
        return {draft.outputs[n]: over.kept}, {self.form: dict(zip(used.values(), weights, strict=True))}


def _euler(draft: Draft, n: int, state: int) -> tuple[Terms, Mapping[str, Terms]]:
    """The step of `DDIM` from node `n` with the prediction at a state."""
    nodes = draft.nodes
    kept = nodes.sigma[n + 1] / nodes.sigma[n]
    return {draft.outputs[n]: kept}, {"data": {state: nodes.alpha[n + 1] - kept * nodes.alpha[n]}}


def of_data(nodes: Nodes, n: int, h: Tensor, count: int) -> Integral:
    """``x_{n+1} = (sigma_{n+1} / sigma_n) x_n + alpha_{n+1} int_0^h exp(-(h - s)) D ds``."""
    return Integral(nodes.sigma[n + 1] / nodes.sigma[n], nodes.alpha[n + 1], data_moments(h, count), h)


def of_noise(nodes: Nodes, n: int, h: Tensor, count: int) -> Integral:
    """``x_{n+1} = (alpha_{n+1} / alpha_n) x_n - sigma_{n+1} int_0^h exp(h - s) e ds``.

    A factor ``exp(-h)`` in the integral, which keeps it small, turns ``sigma_{n+1}`` into
    ``sigma_n alpha_{n+1} / alpha_n``.
    """
    kept = nodes.alpha[n + 1] / nodes.alpha[n]
    return Integral(kept, -kept * nodes.sigma[n], noise_moments(h, count), h * torch.exp(-h))


FORMS: dict[str, Callable[[Nodes, int, Tensor, int], Integral]] = {"data": of_data, "noise": of_noise}
VARIANTS: dict[str, Callable[[Integral], Tensor]] = {
    "bh1": lambda over: over.plain,
    "bh2": lambda over: over.moments[0],
}
