"""One step of a solver schedule: a Taylor expansion of the prediction inside the exact solution.

Over a step of size ``h = lambda_t - lambda_s`` from a start ``s``

    data    x_t = (sigma_t / sigma_s) x_s + alpha_t sum_{k < p} h^{k+1} phi_{k+1}(-h) E_k
    noise   x_t = (alpha_t / alpha_s) x_s - sigma_t sum_{k < p} h^{k+1} phi_{k+1}(h) E_k

where ``E_0`` is the prediction at the start, and ``E_k`` its k-th derivative in ``lambda`` as ``m_k`` other nodes tell
it: ``E_k = sum_j a_j (F_j - F_s)`` with ``sum_j a_j (lambda_j - lambda_s)^i / i! = 1`` for ``i = k`` and 0 for the
other ``i = 1 ... m_k``.

Source: Liu et al., A unified sampling framework for solver searching of diffusion probabilistic models, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kutta.solvers.diffusion.grids import Nodes
from kutta.solvers.diffusion.phi import data_moments, noise_moments
from kutta.solvers.diffusion.plan import Weight


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


# R(z, h, c), where z = -h in the form for data and z = h in that for noise. With those named bh1 and bh2 the term of
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


class Expansion:
    """The weights of the steps along the nodes of a grid.

    Args:
        nodes: times from noise to data; the weights have their gradients.
        starts: the node at which each step starts.
        order: the highest one of a step.
    """

    def __init__(self, nodes: Nodes, starts: Sequence[int], order: int):
        self.nodes = nodes
        h = nodes.log_snr[1:] - nodes.log_snr[list(starts)]
        self.h = torch.where(torch.isfinite(h), h, torch.ones_like(h))  # such a step is of first order
        self.moments = {"data": data_moments(self.h, order), "noise": noise_moments(self.h, order)}

    def weights(
        self, step: int, start: int, prediction: str, estimates: Sequence[Estimate], others: Sequence[int]
    ) -> tuple[str, Weight, dict[int, Weight]]:
        """The kind of prediction, the factor of the state at the start, and those of the predictions at nodes.

        Args:
            step: its number; it leads to node ``step + 1``.
            start: the node where it starts.
            prediction: ``"data"`` or ``"noise"``. Where no data or no noise are left only data make sense.
            estimates: of the first, second, ... derivative.
            others: nodes with predictions besides the start, the latest first.
        """
        nodes, target = self.nodes, step + 1
        finite = bool(torch.isfinite(nodes.log_snr[[start, target]]).all())
        if not finite or prediction == "data":
            kept = nodes.sigma[target] / nodes.sigma[start]
            found = {start: nodes.alpha[target] - kept * nodes.alpha[start]}
            scale, z = nodes.alpha[target], -self.h[step]
        else:
            kept = nodes.alpha[target] / nodes.alpha[start]
            found = {start: nodes.sigma[target] - kept * nodes.sigma[start]}
            scale, z = -kept * nodes.sigma[start], self.h[step]
        if not finite:
            return "data", kept, found
        for k, estimate in enumerate(estimates, 1):
            near = list(others[: estimate.nodes])
            factor = SCALINGS[estimate.scaling](z, self.h[step], estimate.coefficient)
            factor = factor * scale * self.moments[prediction][step, k] / math.factorial(k)
            distances = (nodes.log_snr[near] - nodes.log_snr[start]) / self.h[step]
            for node, share in zip(near, derivative(distances, k), strict=True):
                found[node] = found.get(node, 0.0) + factor * share
                found[start] = found[start] - factor * share
        return prediction, kept, found


def derivative(distances: Tensor, k: int) -> Tensor:
    """Weights ``a_j`` of ``F(r_j) - F(0)`` for the k-th derivative of `F` at 0.

    They are exact for polynomials up to degree ``m``: ``sum_j a_j r_j^i = k!`` for ``i = k`` and 0 for the other ``i``
    from 1 to ``m``.

    Args:
        distances: ``r_j``, distinct and none of them 0, shape ``(m,)``.
        k: from 1 to ``m``.
    """
    powers = torch.arange(1, len(distances) + 1)
    wanted = math.factorial(k) * (powers == k).to(distances)
    return torch.linalg.solve(distances ** powers[:, None], wanted)
