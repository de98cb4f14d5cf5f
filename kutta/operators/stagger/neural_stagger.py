"""A next step in many small parts: each sub-field and each time has a network of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import kutta.operators
from kutta.operators.operator import Operator, check_counts
from kutta.operators.stagger.subfields import check_stagger, count_of, shuffle, subgrids, unshuffle
from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float


class NeuralStagger(Operator):
    """The states after ``1..T`` steps, each sub-field of each by a small network.

        u_q[p::s] = f_{p,q}( a[p::s] ),    p in {0..s-1}^d,   q = 1..T

    All networks see a sub-field of ``a``, which has ``s^d`` times fewer points, and none waits for another one. A
    smooth field is known from each of its sub-fields. One with waves that a sub-grid cannot show is not, so the error
    grows with ``s``; and as networks do not talk to each other, nothing holds values at even and odd points together:
    watch the wave that alternates between them.

    No solutions are needed for training, see `SchemeResidual`.

    Args:
        architecture: of the networks: the name of an operator in `kutta.operators`, or a class of one's own.
        arguments: what each is made with.
        stagger: ``s`` along each axis.
        times: ``T``.

    Source: Huang, Shi, Meng, Zhang, Zhang, Wang, Liu, NeuralStagger: accelerating physics-constrained neural PDE solver
    with spatial-temporal decomposition, ICML 2023, arXiv 2302.10255.

    Example:
        >>> import torch, kutta as kt
        >>> of_each = {"in_channels": 1, "out_channels": 1, "modes": (8, 8), "width": 8}
        >>> model = kt.operators.NeuralStagger("FNO", of_each, stagger=(2, 2), times=3)
        >>> a, grid = torch.randn(2, 1, 32, 48), kt.pde.Grid((32, 48))
        >>> len(model.parts), model(a, grid).shape, model.states(a, grid).shape
        (12, torch.Size([2, 3, 32, 48]), torch.Size([2, 3, 1, 32, 48]))
    """

    def __init__(
        self, architecture: str | type[Operator], arguments: Mapping[str, Any], stagger: Sequence[int], times: int = 1
    ):
        super().__init__()
        stagger = tuple(stagger)
        check_counts(times=times, **{f"stagger[{axis}]": step for axis, step in enumerate(stagger)})
        made = operator_class(architecture)
        self.parts = nn.ModuleList(made(**arguments) for _ in range(count_of(stagger) * times))
        one: Any = self.parts[0]
        if one.dim != len(stagger):
            raise ValueError(
                f"stagger must have an entry for each of the {one.dim} axes of the networks; got {stagger}"
            )
        self.architecture, self.arguments, self.stagger, self.times = architecture, dict(arguments), stagger, times
        self.in_channels, self.out_channels, self.dim = one.in_channels, times * one.out_channels, len(stagger)

    def states(self, a: Float[Tensor, "n i *shape"], grid: Grid) -> Float[Tensor, "n times o *shape"]:
        """The states after 1 to ``T`` steps; arguments as of the call, which returns them as channels."""
        return self(a, grid).unflatten(1, (self.times, -1))

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_stagger(grid, self.stagger)

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        found = []
        for place, (part, own) in enumerate(zip(unshuffle(a, self.stagger), subgrids(grid, self.stagger), strict=True)):
            models = self.parts[place * self.times : (place + 1) * self.times]
            found.append(torch.cat([model(part, own) for model in models], 1))
        return shuffle(torch.stack(found), self.stagger)


def operator_class(architecture: str | type[Operator]) -> type[Operator]:
    """The class of a name in `kutta.operators`, or as given.

    Raises:
        TypeError, ValueError: for what is no operator.
    """
    if isinstance(architecture, type) and issubclass(architecture, Operator):
        return architecture
    if not isinstance(architecture, str):
        raise TypeError(f"architecture must be the name of an operator or a class of them; got {architecture!r}")
    found = getattr(kutta.operators, architecture, None)
    if not (isinstance(found, type) and issubclass(found, Operator)) or found is Operator:
        raise ValueError(f"architecture must be the name of an operator in kutta.operators; got {architecture!r}")
    return found
