"""The Jacobian penalty of RNODE.

Finlay, Jacobsen, Nurbekyan, Oberman, How to train your neural ODE: the world of Jacobian and kinetic
regularization, ICML 2020, arXiv 2002.02798.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kutta.regularizers.choices import check_choice
from kutta.regularizers.integral import Integral, by_gauss
from kutta.regularizers.noise import normal, rademacher
from kutta.solvers.method import Step

Noise = Literal["normal", "rademacher"]


@dataclass(frozen=True)
class JacobianNorm(Integral):
    """``int mean |eps^T df/dy|^2 dt``, whose expectation is ``int |df/dy|_F^2 / d dt``.

    ``eps`` is drawn once a solve and stays the same all the way. The mean is over the entries of the
    state, where the paper has the sum. Costs two products of a vector with the Jacobian a step.

    Attributes:
        noise: distribution of the entries of ``eps``, of variance one.
        generator: where it is drawn from; by default PyTorch's global one.

    Example:
        >>> import torch, kutta as kt
        >>> problem = kt.ODEProblem(lambda t, y: -3.0 * y, torch.ones(2), (0.0, 2.0))
        >>> penalty = kt.regularizers.JacobianNorm(noise="rademacher")
        >>> round(float(kt.solve(problem, penalties={"jacobian": penalty}).penalties["jacobian"]), 4)
        18.0
    """

    noise: Noise = "normal"
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        check_choice("noise", self.noise, Noise)

    def init(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Zero, and the noise."""
        draw = normal if self.noise == "normal" else rademacher
        return super().init(y), draw(y.shape, self.generator, y.device).to(y.dtype)

    def update(self, state: tuple[Tensor, Tensor], step: Step) -> tuple[Tensor, Tensor]:
        """One more step."""
        total, noise = state
        counting = noise * step.field.layout.chosen(noise, self.part)

        def integrand(t: Any, y: Tensor) -> Tensor:
            return self.mean(_product(step.field, t, y, counting).abs().square(), step.field)

        return total + by_gauss(step, integrand), noise

    def value(self, state: tuple[Tensor, Tensor]) -> Tensor:
        """The integral."""
        return state[0]


def _product(field: Any, t: Any, y: Tensor, noise: Tensor) -> Tensor:
    """``eps^T df/dy``, differentiable where gradients are wanted."""
    return torch.func.vjp(lambda state: field.derivative(t, state), y)[1](noise)[0]
