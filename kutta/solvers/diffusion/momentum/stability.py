"""How large a step may be before a sampler with momentum diverges.

On ``x' = lambda x`` with steps ``delta``, heavy ball on Adams-Bashforth and GHVB are the recursion

    x_{n+1} - x_n = (1 - beta) (x_n - x_{n-1}) + z sum_i b_i x_{n-i},      z = delta lambda,

whose solutions stay bounded where all roots ``zeta`` of its characteristic equation lie in the unit disc:

    (1 - E) (1 - (1 - beta) E) = z sum_i b_i E^{i+1},      E = 1 / zeta.

On the real axis the limiting root is ``zeta = -1``, so that errors stay bounded for ``-Z < z < 0`` with

    Z = 2 (2 - beta) / sum_i (-1)^i b_i.

Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024; the closed forms
are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from kutta.solvers.diffusion.exponential.forms import FORMS, weights
from kutta.solvers.diffusion.momentum.ghvb import multistep_weights
from kutta.solvers.tableaus.adams import adams_bashforth


@dataclass(frozen=True)
class MomentumRule:
    """A linear multistep method with momentum, on equal steps.

    Attributes:
        beta: damping.
        weights: ``b_i`` of the slopes, newest first; they sum to `beta`.

    Example:
        >>> from fractions import Fraction
        >>> MomentumRule.ghvb(2, Fraction(4, 5)).real_limit
        Fraction(6, 5)
    """

    beta: Any
    weights: tuple[Any, ...]

    @classmethod
    def heavy_ball(cls, order: int, beta: Any) -> MomentumRule:
        """Heavy ball on Adams-Bashforth, its weights times `beta`.

        ``Z`` is ``(2 - beta) / beta`` times that of the base: 2, 1, 6/11, 3/10 for orders 1 to 4.
        """
        exact = isinstance(beta, Fraction)
        return cls(beta, tuple(beta * (weight if exact else float(weight)) for weight in adams_bashforth(order)))

    @classmethod
    def ghvb(cls, order: int, beta: Any) -> MomentumRule:
        """`kutta.GHVB` with constant coefficients.

        ``Z = 2 (2 - beta), 2 - beta, 6 (2 - beta) / (12 - beta), ...`` for orders 1, 2, 3, ..., the first over `beta`.
        """
        return cls(beta, tuple(multistep_weights(order, beta)))

    @property
    def real_limit(self) -> Any:
        """``Z``; an exact fraction where `beta` is one."""
        return 2 * (2 - self.beta) / alternating(self.weights)

    def largest_root(self, z: complex) -> float:
        """The largest modulus of the roots ``zeta``; errors grow by it each step."""
        weights = np.array([float(one) for one in self.weights])
        polynomial = np.zeros(max(3, len(weights) + 1), complex)  # in zeta, highest power first
        polynomial[:3] = 1.0, float(self.beta) - 2.0, 1.0 - float(self.beta)
        polynomial[1 : 1 + len(weights)] -= z * weights
        return float(np.abs(np.roots(polynomial)).max())

    def locus(self, angles: Any) -> Any:
        """``z`` for which ``zeta = exp(i angle)`` is a root: where the region of stability can end."""
        shift = np.exp(-1j * np.asarray(angles))
        slopes = sum(float(weight) * shift ** (i + 1) for i, weight in enumerate(self.weights))
        return (1.0 - shift) * (1.0 - (1.0 - float(self.beta)) * shift) / slopes


def corrected_limit(order: int, h: float) -> float:
    """How strong a feedback ``D = -mu y`` exponential multistep with a corrector bears, on equal steps.

    The predictor ``p_{n+1} = E x_n + sum_j b_j D(p_{n-j})`` has an order, the corrector
    ``x_{n+1} = E x_n + c D(p_{n+1}) + sum_j c_j D(p_{n-j})`` one more, in units of ``alpha`` and with ``E = exp(-h)``.
    The limiting root is again -1: with the alternating sums `B` and `C` of the ``b_j`` and ``c_j``

        mu = 1 / (B - (C - c) E / (1 + E)).

    Args:
        order: of the predictor.
        h: the step of ``log(alpha / sigma)``.
    """
    kept, past = math.exp(-h), [-float(j) for j in range(order)]
    predictor, (newest, *corrector) = _means_weights(past, h), _means_weights([1.0, *past], h)
    return 1.0 / (alternating(predictor) - (alternating(corrector) - newest) * kept / (1.0 + kept))


def _means_weights(places: list[float], h: float) -> list[float]:
    """The weights of predictions of the data at some places, in steps counted from the start of one."""
    size = torch.tensor(h, dtype=torch.float64)
    found = weights(torch.tensor(places, dtype=torch.float64), FORMS["data"].means(size, len(places)))
    return (-torch.expm1(-size) * found).tolist()


def alternating(numbers: Sequence[Any]) -> Any:
    """``sum_j (-1)^j a_j``."""
    return sum((-1) ** j * number for j, number in enumerate(numbers))
