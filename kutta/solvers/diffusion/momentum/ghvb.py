"""Generalised heavy ball: momentum that keeps the order of the Adams-Bashforth method it damps.

In ``y = x / alpha`` and ``kappa = sigma / alpha`` the flow is ``dy/dkappa = e``. With steps of size `h`

    v_{n+1} = (1 - beta) v_n + beta e_n,    y_{n+1} = y_n + h sum_{k < p} (g_k / beta) D^k v_{n+1},

where `D` is the backward difference and ``g_k`` are the weights of the Adams-Bashforth series times
``beta + (1 - beta) D``. Without the velocities this is the linear multistep method

    y_{n+1} - y_n = (1 - beta) (y_n - y_{n-1}) + h sum_{i < p} b_i e_{n-i},    sum_i b_i E^i = sum_k g_k D^k,

with the backward shift ``E = 1 - D``. The grids in use have unequal steps, and there the coefficients of equal ones are
only second order; so there is also the rule with ``(1 - beta) (h_n / h_{n-1}) (y_n - y_{n-1})`` and with weights that
are exact for polynomials of degree below `p` on the nodes at hand.

Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024, where the
equation of order 2 has a wrong sign; the variable weights are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil, comb
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.exponential.forms import weights
from kutta.solvers.diffusion.exponential.orders import check_order
from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.momentum.heavy_ball import check_damping
from kutta.solvers.diffusion.momentum.velocity import with_momentum
from kutta.solvers.diffusion.named.adams import PLMS
from kutta.solvers.diffusion.plans.plan import Level, Plan, Weight
from kutta.solvers.diffusion.plans.sampler import Sampler
from kutta.solvers.tableaus.adams import difference_weights

COEFFICIENTS = ("constant", "variable")


@dataclass(frozen=True)
class GHVB(Sampler):
    """Adams-Bashforth with momentum on the noise, one evaluation a step.

    Attributes:
        order: 1 to 5. Until there is history enough, the order is that of the number of predictions.
        beta: damping, in ``(0, 1]``; 1 is plain Adams-Bashforth, and towards 0 the method becomes the one of an order
            less. Suggested with order 4 for classifier-free guidance of 7.5, 15 and 22.5: 0.5, 0.2 and 0.1.
        coefficients: ``"constant"``, those of equal steps of ``kappa``, which make the method of the publication, often
            accurate at few steps and second order on unequal ones; or ``"variable"``, of full order on all grids.

    Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024; the variable
    coefficients are ours.

    Example:
        >>> import torch, kutta as kt
        >>> kt.GHVB.numbered(2.5)
        GHVB(order=3, beta=0.5, coefficients='constant')
        >>> teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
        >>> schedule = kt.diffusion.EDM(start=10.0, end=0.01)
        >>> problem = kt.DiffusionProblem(teacher.model(schedule), schedule, torch.tensor([[4.0], [-9.0]]))
        >>> sol = kt.solve(problem, kt.GHVB(2, beta=0.8), steps=20)
        >>> sol.y1.sign().flatten().tolist(), sol.stats.function_evaluations
        ([1.0, -1.0], 20)
    """

    order: int = 3
    beta: float = 0.5
    coefficients: str = "constant"

    def __post_init__(self) -> None:
        check_order(self.order, 5)
        check_damping("beta", self.beta)
        if self.coefficients not in COEFFICIENTS:
            raise ValueError(f'coefficients must be "constant" or "variable"; got {self.coefficients!r}')

    @classmethod
    def numbered(cls, number: float | str, coefficients: str = "constant") -> GHVB:
        """The method by its number in the literature, "GHVB 2.5": the next whole number is the order, the rest `beta`.

        Args:
            number: above 0 and not above 5. A whole one is plain Adams-Bashforth.
            coefficients: those of the method.
        """
        exact = Decimal(str(number))
        order = ceil(exact)
        return cls(order, float(exact - order + 1), coefficients)

    def plan(self, nodes: Nodes) -> Plan:
        recursion = {"constant": self._constant, "variable": self._variable}[self.coefficients]
        return with_momentum(PLMS(1).plan(nodes), recursion, self)

    def _constant(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        steps = len(levels) - 1
        if steps <= self.order:
            return (), of_first_velocities(steps, self.beta)
        return (1.0 - self.beta,), multistep_weights(self.order, self.beta)

    def _variable(self, levels: Sequence[Level]) -> tuple[Sequence[Weight], Sequence[Weight]]:
        if len(levels) == 2:
            return (), (1.0,)
        kappa = [torch.as_tensor(one.sigma / one.alpha) for one in levels[-max(self.order, 2) - 1 :]]
        tau, last = places(torch.stack(kappa), self.order)
        degrees, kept = torch.arange(len(tau), dtype=torch.float64), 1.0 - self.beta
        return (kept,), tuple(weights(tau, (1.0 - kept * last**degrees) / (degrees + 1.0)))


def series(order: int) -> list[tuple[Fraction, Fraction]]:
    """The weights ``g_k`` of the backward differences, each as ``(p, q)``: ``g_k = p + q beta``.

    The product of ``sum_k c_k D^k`` with ``beta + (1 - beta) D``: ``g_k = c_{k-1} + (c_k - c_{k-1}) beta``.
    """
    c = (Fraction(0), *difference_weights(order))
    return [(before, weight - before) for before, weight in pairwise(c)]


def multistep_polynomials(order: int) -> list[tuple[Fraction, Fraction]]:
    """The weights ``b_i`` of the linear multistep form, newest first, as ``(p, q)``: ``b_i = p + q beta``."""
    g = series(order)

    def shifted(i: int, part: int) -> Fraction:
        return sum((Fraction((-1) ** i * comb(k, i)) * g[k][part] for k in range(i, order)), Fraction(0))

    return [(shifted(i, 0), shifted(i, 1)) for i in range(order)]


def multistep_weights(order: int, beta: Any) -> list[Any]:
    """The weights ``b_i`` for a damping, a number or an exact fraction."""
    if isinstance(beta, Fraction):
        return [p + q * beta for p, q in multistep_polynomials(order)]
    return [float(p) + float(q) * beta for p, q in multistep_polynomials(order)]


def velocity_weights(order: int, beta: Any) -> list[Any]:
    """The weights ``c_i = b_i / beta`` of the velocities, newest first."""
    return [weight / beta for weight in multistep_weights(order, beta)]


def of_first_velocities(count: int, beta: float) -> list[float]:
    """The step of order `count` with the first `count` velocities, in terms of the predictions, newest first.

    With ``v_1 = e_0``, velocity ``v_{m+1}`` is ``(1 - beta)^m e_0 + sum_{j=1}^m beta (1 - beta)^{m-j} e_j``.
    """
    total = [0.0] * count
    for i, weight in enumerate(velocity_weights(count, beta)):
        newest = count - 1 - i
        for j in range(newest + 1):
            share = (1.0 - beta) ** (newest - j) * (beta if j else 1.0)
            total[count - 1 - j] += weight * share
    return total


def places(nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Where the last predictions are, newest first, and where the last step began, in units of the step to be taken.

    Args:
        nodes: ``t_0 ... t_{n+1}``; the step leads from ``t_n``, the place 0, to the place 1.
        count: of the predictions, at most.
    """
    past = (nodes[:-1].flip(0) - nodes[-2]) / (nodes[-1] - nodes[-2])
    return past[:count], past[1]
