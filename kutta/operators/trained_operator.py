"""A network with the units and the problems that it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kutta.operators.normalisation import Normalisation
from kutta.operators.operator import Operator
from kutta.operators.scope import Scope
from kutta.pde.grids.boundary import Dirichlet, Robin
from kutta.pde.grids.given import filled
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number

if TYPE_CHECKING:
    from jaxtyping import Float

    from kutta.operators.data.fields import Data


class TrainedOperator(nn.Module):
    """``u = G(a)`` in physical units: ``scale . network . scale^-1``.

    Args:
        network: any `Operator`.
        scope: what it is trained for.
        of_inputs: normalisation of ``a``.
        of_outputs: of ``u``.
        change: whether the network says by how much the state changes in a step, which is less than the state for
            short ones; its units are those of changes then.

    Attributes:
        card: what is to be known of it: data, metrics, versions; see `kutta.operators.save`.
    """

    def __init__(
        self,
        network: Operator,
        scope: Scope,
        of_inputs: Normalisation | None = None,
        of_outputs: Normalisation | None = None,
        change: bool = False,
    ):
        super().__init__()
        check_fits(network, scope, change)
        self.network, self.scope, self.change = network, scope, change
        self.of_inputs = of_inputs or Normalisation(network.in_channels)
        self.of_outputs = of_outputs or Normalisation(network.out_channels)
        self.card: Mapping[str, Any] = {}

    @classmethod
    def for_data(cls, network: Operator, data: Data, change: bool = False) -> TrainedOperator:
        """A network in the units of its training data.

        Args:
            network: any `Operator`.
            data: inputs and outputs.
            change: see above.
        """
        outputs = data.outputs - data.inputs[:, : network.out_channels] if change else data.outputs
        of_outputs = Normalisation.of(outputs, shifts=not _vanishes_at_sides(data.scope.grid, change))
        return cls(network, data.scope, Normalisation.of(data.inputs), of_outputs, change)

    def forward(self, a: Float[Tensor, "n i *s"], grid: Grid) -> Float[Tensor, "n o *s"]:
        """Fields in physical units; at nodes where the boundary gives values, these."""
        u = self.of_outputs.inverse(self.network(self.of_inputs(a), grid))
        if self.change:
            u = u + a[:, : self.network.out_channels]
        return filled(grid, u, 0.0)


def _vanishes_at_sides(grid: Grid, change: bool) -> bool:
    """Whether fields, or changes of them, are zero at a side: what a shift would take from them."""
    given = [side for sides in grid.boundary for side in sides if isinstance(side, Dirichlet | Robin)]
    return any(change or (is_number(side.g) and bool(side.g == 0)) for side in given)


def check_fits(network: Any, scope: Scope, change: bool) -> None:
    """Refuse a network whose channels are not those of a scope."""
    if not isinstance(network, Operator):
        raise TypeError(f"network must be a kutta.operators.Operator; got {type(network).__name__}")
    for name, count, wanted in (
        ("in_channels", network.in_channels, scope.channels),
        ("out_channels", network.out_channels, scope.components),
    ):
        if count != len(wanted):
            raise ValueError(f"network.{name} must be {len(wanted)}, for {', '.join(wanted)}; got {count}")
    if change and scope.inputs[:1] != ("u0",):
        raise ValueError(f"change needs 'u0' as the first input; got {scope.inputs}")
