"""What a sampler is: a frozen record that writes a plan for the nodes of a grid."""

from __future__ import annotations

from torch import Tensor

from kutta.solvers.diffusion.levels.grids import Nodes
from kutta.solvers.diffusion.plans.plan import Plan


class Sampler:
    """A sampler: a frozen dataclass of orders and options, without state.

    One of one's own derives from this and gives `plan`.
    """

    @property
    def times(self) -> Tensor | None:
        """The times of its nodes, if it brings them with it; ``None`` for one that follows any grid."""
        return None

    def plan(self, nodes: Nodes) -> Plan:
        """All that is done along the nodes of a grid.

        Args:
            nodes: times from noise to data. With gradients, the weights of the plan have them too.
        """
        raise NotImplementedError
