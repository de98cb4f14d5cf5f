"""Experts whose weights are found together, so that the field that they make up fulfils the equation."""

from __future__ import annotations

from typing import Any

from torch import nn

from kutta.operators.constraints.mixture_of_experts import MixtureOfExperts
from kutta.operators.constraints.routing.boxes import Boxes
from kutta.operators.constraints.weights_of_experts import Finding, Joint


class JointExperts(MixtureOfExperts):
    """Experts as in `MixtureOfExperts`, with the weights of all for which their blended field fulfils the equation.

        u = u_0 + s sum_k g_k sum_j w_kj b_j,    w = argmin  sum_i r(t_i, x_i)^2 / m  +  ridge^2 |w|^2 / K

    The products ``g_k b_j`` are a basis of their own: that of a `ConstrainedBasis`, which they contain with equal
    weights of all ``K`` experts, as the shares add up to 1, and what varies from expert to expert. So for the same
    network the least sum of squares is at most that of one constraint, and what is made least is what training makes
    small. Experts that are solved one by one make the residuals of their own fields least instead, which are blended
    only afterwards, and which nothing holds outside of their boxes; but they can be solved by several processes.

    It is made with the arguments of `MixtureOfExperts` but `continuity` and `processes`. Shares must be continuous:
    `Boxes` need an overlap. ``points`` are those of all experts together.

    Source: Babuška, Melenk, The partition of unity method, 1997, for bases that are multiplied with shares.

    Raises:
        TypeError: for `continuity` and `processes`.
        ValueError: for boxes without an overlap, and when it is called for such as have no points.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(32)
        >>> problem = kt.pde.Burgers(0.05).problem(grid, lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.5))
        >>> backbone = kt.operators.FNO(1, 8, modes=(8, 8), width=8, layers=2)
        >>> model = kt.operators.JointExperts(backbone, steps=16, routing=kt.operators.Boxes((1, 2), overlap=0.25))
        >>> model(problem).weights.shape
        torch.Size([1, 2, 8])
    """

    def __init__(self, backbone: nn.Module, steps: int, routing: Any, **options: Any):
        for name in ("continuity", "processes"):
            if options.get(name):
                raise TypeError(f"{name} is for experts that are solved apart, a MixtureOfExperts; leave it out")
        if isinstance(routing, Boxes) and routing.overlap == 0.0 and routing.experts > 1:
            raise ValueError(
                "routing must have shares that are continuous; got Boxes that do not overlap: take "
                "Boxes(counts, overlap=0.25)"
            )
        super().__init__(backbone, steps, routing, **options)

    @property
    def finding(self) -> Finding:
        return Joint()
