"""A deep operator network whose trunk is known: the modes of what it is to return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from kutta.operators.deeponet.deeponet import check_sensors
from kutta.operators.deeponet.perceptron import Perceptron
from kutta.pde.reduced.pod import POD

if TYPE_CHECKING:
    from jaxtyping import Float


class PODDeepONet(nn.Module):
    """A network that finds the coefficients of the best modes of the training outputs.

        G(u) = mean + sum_k b_k(u) sigma_k phi_k

    ``phi_k`` are the modes of `kutta.pde.POD` and ``sigma_k`` the root mean squares of their coefficients, so that what
    the branch learns has the size 1. It answers at the places of the training outputs only, and no better than its
    modes can.

    Args:
        sensors: ``m``.
        outputs: those of the training, ``(samples, *state)``, at the same places.
        terms: modes; by default all that the outputs span.
        branch_widths: of what lies between the branch's input and the coefficients.
        nonlinearity: the name of the activation.

    Attributes:
        branch: from ``(n, m)`` to ``(n, terms)``; may be replaced.
        modes: ``sigma_k phi_k (terms, *state)``.
        mean: ``(*state)``.

    Raises:
        ValueError: for more modes than the outputs span.

    Source: Lu, Meng, Cai, Mao, Goswami, Zhang, Karniadakis, A comprehensive and fair comparison of two neural
    operators based on FAIR data,
    Computer Methods in Applied Mechanics and Engineering 393, 2022, arXiv 2111.05512.

    Example:
        >>> import torch, kutta as kt
        >>> outputs = torch.randn(64, 3, 1) * torch.randn(3, 40) + 1.0
        >>> model = kt.operators.PODDeepONet(100, outputs.sum(1), terms=3)
        >>> model(torch.randn(8, 100)).shape
        torch.Size([8, 40])
    """

    modes: Tensor
    mean: Tensor

    def __init__(
        self,
        sensors: int,
        outputs: Tensor,
        terms: int | None = None,
        branch_widths: Sequence[int] = (40,),
        nonlinearity: str = "relu",
    ):
        super().__init__()
        mean = outputs.mean(0)
        basis = POD(outputs, modes=terms, reference=mean)
        count = len(basis.modes)
        sizes = basis.singular_values[:count] / math.sqrt(len(outputs))
        self.sensors = sensors
        self.branch = Perceptron((sensors, *branch_widths, count), nonlinearity)
        self.register_buffer("modes", sizes.view(-1, *[1] * mean.dim()) * basis.modes)
        self.register_buffer("mean", mean)

    def forward(self, u: Float[Tensor, "n m"]) -> Float[Tensor, " n *state"]:
        """``G(u)`` of values at the sensors.

        Raises:
            ValueError: for values of another number of sensors.
        """
        check_sensors(u, self.sensors)
        return self.mean + (self.branch(u) @ self.modes.flatten(1)).unflatten(-1, self.mean.shape)
