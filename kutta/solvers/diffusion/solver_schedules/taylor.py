"""One step of a solver schedule: a Taylor expansion of the prediction inside the exact solution.

Over a step of size ``h = lambda_t - lambda_s`` from a start ``s``

    data    x_t = (sigma_t / sigma_s) x_s + alpha_t sum_{k < p} h^{k+1} phi_{k+1}(-h) E_k
    noise   x_t = (alpha_t / alpha_s) x_s - sigma_t sum_{k < p} h^{k+1} phi_{k+1}(h) E_k

where ``E_0`` is the prediction at the start, and ``E_k`` its k-th derivative in ``lambda`` as ``m_k`` other nodes tell
it: ``E_k = sum_j a_j F_j``, the start among them, with ``sum_j a_j (lambda_j - lambda_s)^i / i! = 1`` for ``i = k`` and
0 for the other ``i = 0 ... m_k``.

Both are members of one family. In ``y = x / alpha`` the flow is ``dy/dlambda = D - y``, and for any two numbers ``c``
and ``b``, with ``kappa = exp(-lambda)``,

    dy/dlambda = -c y + kappa^b F,    F = kappa^-b (D - (1 - c) y),
    y_t = exp(-c h) y_s + kappa_s^b exp(-b h) sum_{k < p} h^{k+1} phi_{k+1}((b - c) h) E_k

with ``c = 1, b = 0`` for data and ``c = 0, b = 1`` for noise. A model of which ``D = (1 - c) y`` holds on the whole is
solved exactly, whatever ``h`` is; this is what preconditioning by statistics of the model is for.

Source: Liu et al., A unified sampling framework for solver searching of diffusion probabilistic models, 2024; Zheng et
al., DPM-Solver-v3, 2023, for linear terms and growth that suit the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import weights
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.levels.schedules import as_float64
from kutta.solvers.diffusion.plans.plan import Weight
from kutta.solvers.exponential.phi import phi


@dataclass(frozen=True)
class Estimate:
    """How one derivative of the prediction is estimated, and how much of it is used.

    Attributes:
        nodes: ``m_k``, how many nodes besides the start it is read off, the latest first. As many as it is the
            ``k``-th derivative, or more.
        scaling: its factor ``R(h)``, of `SCALINGS`.
        coefficient: of the scalings that have one; a number, or a tensor where it is differentiated.
    """

    nodes: int
    scaling: str = "none"
    coefficient: Weight = 0.0


# R(z, h, c), where z = -h for data and z = h for noise. With those named bh1 and bh2 the term of
# the first derivative becomes h B / 2 with B = z and B = expm1(z); the others are those of table 6.1 of the source.
SCALINGS: dict[str, Callable[[Tensor, Tensor, Weight], Weight]] = {
    "none": lambda z, h, c: 1.0,
    "bh1": lambda z, h, c: 0.5 * z * z / (torch.expm1(z) - z),
    "bh2": lambda z, h, c: 0.5 * z * torch.expm1(z) / (torch.expm1(z) - z),
    "exponential": lambda z, h, c: 1.0 + c * torch.expm1(z),
    "linear": lambda z, h, c: 1.0 + c * h,
    "constant": lambda z, h, c: c,
}
SEARCHED = ("exponential", "linear", "constant")  # those whose coefficient is free
OF_FIRST = ("bh1", "bh2")  # those of the first derivative only


@dataclass(frozen=True)
class Integrand:
    """What is expanded, ``F = kappa^-growth (D - (1 - linear) y)``.

    Attributes:
        linear: ``c`` above.
        growth: ``b`` above.
    """

    linear: Weight
    growth: Weight

    @property
    def kind(self) -> str:
        """The prediction of the model that stands for it, up to factors."""
        return "noise" if self is NOISE else "data"


# These two are told from others by being these: the same numbers as tensors have gradients.
DATA, NOISE = Integrand(1.0, 0.0), Integrand(0.0, 1.0)


@dataclass
class Sum:
    """A new state as it is written: weights of states and of predictions, by the nodes where they are."""

    kept: Weight
    kind: str
    predictions: dict[int, Weight]
    seen: dict[int, Weight]  # of the states at which the predictions were made


class Expansion:
    """The weights of the steps along the nodes of a grid.

    Args:
        nodes: times from noise to data; the weights have their gradients.
        starts: the node at which each step starts.
        integrands: what each step expands.
        order: the highest one of a step.
    """

    def __init__(self, nodes: Nodes, starts: Sequence[int], integrands: Sequence[Integrand], order: int):
        self.nodes, self.integrands = nodes, integrands
        h = nodes.log_snr[1:] - nodes.log_snr[list(starts)]
        self.h = torch.where(torch.isfinite(h), h, torch.ones_like(h))  # such a step is of first order
        rates = torch.stack([as_float64(integrand.growth) - as_float64(integrand.linear) for integrand in integrands])
        self.phis = torch.stack([phi(k + 1, rates * self.h) for k in range(order)], -1)

    def weights(self, step: int, start: int, estimates: Sequence[Estimate], others: Sequence[int]) -> Sum:
        """One step, of which only data make sense where no data or no noise are left.

        Args:
            step: its number; it leads to node ``step + 1``.
            start: the node where it starts.
            estimates: of the first, second, ... derivative.
            others: nodes with predictions besides the start, the latest first.
        """
        log_snr, target, integrand = self.nodes.log_snr, step + 1, self.integrands[step]
        if not bool(torch.isfinite(log_snr[[start, target]]).all()):
            kept = self.nodes.sigma[target] / self.nodes.sigma[start]
            return Sum(kept, "data", {start: self.nodes.alpha[target] - kept * self.nodes.alpha[start]}, {})
        kept, scale = self._factors(step, start, integrand)
        terms = scale * self.h[step] * self.phis[step]  # those of ``h^-k E_k``
        found = {start: terms[0]}
        z = -self.h[step] if integrand.kind == "data" else self.h[step]
        for k, estimate in enumerate(estimates, 1):
            near = [start, *others[: estimate.nodes]]
            factor = SCALINGS[estimate.scaling](z, self.h[step], estimate.coefficient) * terms[k]
            places = (log_snr[near] - log_snr[start]) / self.h[step]
            for node, share in zip(near, weights(places, derivatives_at_zero(places, k)), strict=True):
                found[node] = found.get(node, 0.0) + factor * share
        return self._in_predictions(start, integrand, kept, found)

    def _factors(self, step: int, start: int, integrand: Integrand) -> tuple[Weight, Weight]:
        """The factor of the state at the start, and what stands before the sum, ``kappa_s^b`` left to `F`."""
        nodes, target, h = self.nodes, step + 1, self.h[step]
        if integrand is DATA:
            return nodes.sigma[target] / nodes.sigma[start], nodes.alpha[target]
        kept = nodes.alpha[target] / nodes.alpha[start]
        if integrand is NOISE:
            return kept, -nodes.sigma[target]
        return kept * torch.exp(-integrand.linear * h), nodes.alpha[target] * torch.exp(-integrand.growth * h)

    def _in_predictions(self, start: int, integrand: Integrand, kept: Weight, weights: dict[int, Weight]) -> Sum:
        """Weights of ``kappa_s^b F`` at nodes as those of predictions and of the states where they were made."""
        if integrand is DATA or integrand is NOISE:
            return Sum(kept, integrand.kind, weights, {})
        nodes = self.nodes
        data = {
            node: weight * torch.exp(integrand.growth * (nodes.log_snr[node] - nodes.log_snr[start]))
            for node, weight in weights.items()
        }
        seen = {node: -weight * (1.0 - integrand.linear) / nodes.alpha[node] for node, weight in data.items()}
        return Sum(kept, "data", data, seen)


def derivatives_at_zero(places: Tensor, k: int) -> Tensor:
    """The k-th derivative at 0 of ``r^0, r^1, ...``, as many as places: ``k!`` of ``r^k``, and 0 of the others."""
    return math.factorial(k) * (torch.arange(len(places)) == k).to(places)
