"""The kinetic energy of RNODE.

Finlay, Jacobsen, Nurbekyan, Oberman, How to train your neural ODE: the world of Jacobian and kinetic
regularization, ICML 2020, arXiv 2002.02798.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kutta.regularizers.integral import Integral
from kutta.solvers.method import Step


@dataclass(frozen=True)
class KineticEnergy(Integral):
    """``int mean |f(t, y)|^2 dt``: prefers straight paths at constant speed.

    The mean is over the entries of the state, where the paper has the sum, so that a coefficient does
    not depend on the width. Over a Runge-Kutta step the integral is ``h sum_i b_i mean |k_i|^2``, what
    the method would give for it as one more component of the state; this costs no evaluation.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: 3.0 * torch.ones_like(y), torch.zeros(2), (0.0, 2.0))
        >>> float(kt.solve(problem, penalties={"energy": kt.regularizers.KineticEnergy()}).penalties["energy"])
        18.0
    """

    def integrand(self, field: Any, t: Any, y: Tensor) -> Tensor:
        return self.mean(field.derivative(t, y).abs().square(), field)

    def over(self, step: Step) -> Tensor:
        if not step.weights or isinstance(step.covered, Tensor) or step.covered < 1.0:
            return super().over(step)
        pairs = [(weight, slope) for weight, slope in zip(step.weights, step.stages, strict=True) if weight]
        return step.size * sum(weight * self.mean(k.abs().square(), step.field) for weight, k in pairs)
