"""What operators have in common whose layers see fields by their waves."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from kutta.operators.layers.continuation import check_modes, continued, cut
from kutta.operators.layers.coordinates import with_coordinates
from kutta.operators.operator import Operator
from kutta.pde.grids.grid import Grid


class ContinuedOperator(Operator):
    """``u = Q(v_L)`` of layers on ``v_0 = P(a, x)``, between which axes that do not wrap around are longer.

    An architecture says in `layered` what its layers make of ``v``.

    Attributes:
        modes: kept waves along each axis.
        padding: by how much of itself an axis that does not wrap around is continued, by zeros.
        coordinates: whether ``P`` sees them.
        lifting: ``P``, pointwise.
        projection: ``Q``, pointwise.
    """

    modes: tuple[int, ...]
    padding: float
    coordinates: bool
    lifting: Callable[[Tensor], Tensor]
    projection: Callable[[Tensor], Tensor]

    def layered(self, v: Tensor) -> Tensor:
        """``v_L`` of ``v_0``, both ``(n, width, *continued)``."""
        raise NotImplementedError

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_modes(self.modes, grid)

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        v = self.lifting(with_coordinates(a, grid) if self.coordinates else a)
        return self.projection(cut(self.layered(continued(v, grid, self.padding)), grid))
