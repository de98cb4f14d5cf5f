"""A deep operator network between fields: its sensors are the points of one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kutta.operators.deeponet.deeponet import DeepONet, checked_periods
from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float


class FieldDeepONet(Operator):
    """A `DeepONet` whose sensors are the points of a grid, and which is read at these points, or anywhere.

        u_c(y) = sum_k b_ck(a) t_ck(y) + b_0c

    It knows its sensors by their number, so that other grids are refused; coordinates are counted from 0 to 1 along
    each axis.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        shape: of the grid.
        terms: of each sum.
        branch_widths: of what lies between the branch's input and its output.
        trunk_widths: likewise of the trunk.
        nonlinearity: the name of the activation.
        sharing: what several fields have in common, see `DeepONet`.
        periods: for each axis its period, in units of its length, or nothing.
        waves: by how many waves the trunk sees an axis that has one.

    Attributes:
        net: the `DeepONet`, whose branch is given ``(n, in_channels * points)``.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((16, 20), boundary=kt.pde.Dirichlet())
        >>> model = kt.operators.FieldDeepONet(1, 1, grid.shape)
        >>> a = torch.randn(2, 1, 16, 20)
        >>> model(a, grid).shape
        torch.Size([2, 1, 16, 20])
        >>> finer = kt.pde.Grid((64, 64), boundary=kt.pde.Dirichlet())
        >>> model.at(a, grid, finer.points(torch.float32)).shape
        torch.Size([2, 1, 64, 64])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        terms: int = 64,
        branch_widths: Sequence[int] = (128, 128),
        trunk_widths: Sequence[int] = (128, 128),
        nonlinearity: str = "relu",
        sharing: str = "split",
        periods: Sequence[float | None] | None = None,
        waves: int = 2,
    ):
        super().__init__()
        shape = tuple(shape)
        check_counts(in_channels=in_channels, **{f"shape[{axis}]": count for axis, count in enumerate(shape)})
        self.in_channels, self.out_channels, self.dim, self.shape = in_channels, out_channels, len(shape), shape
        self.terms, self.branch_widths, self.trunk_widths = terms, tuple(branch_widths), tuple(trunk_widths)
        self.nonlinearity, self.sharing, self.waves = nonlinearity, sharing, waves
        self.periods = checked_periods(periods, self.dim)
        self.net = DeepONet(
            in_channels * math.prod(shape),
            self.dim,
            out_channels,
            terms,
            self.branch_widths,
            self.trunk_widths,
            nonlinearity,
            sharing=sharing,
            periods=self.periods,
            waves=waves,
        )

    def check(self, a: Any, grid: Any) -> None:
        super().check(a, grid)
        if grid.shape != self.shape:
            raise ValueError(
                f"the sensors of this FieldDeepONet are the points of grids of the shape {self.shape}; got one of "
                f"{grid.shape}: sample the field there, and read the result where you like with at(a, grid, places)"
            )

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        return self._read(a, grid, grid.points(a.dtype, a.device))

    def at(
        self, a: Float[Tensor, "n i *shape"], grid: Grid, places: Float[Tensor, " d *places"]
    ) -> Float[Tensor, "n o *places"]:
        """``u`` at places of one's own.

        Args:
            a: values at the points of the grid.
            grid: where the sensors are.
            places: coordinates, as `Grid.points` returns them; of another grid, or a list ``(d, P)``.

        Raises:
            TypeError, ValueError: for a field, a grid or places that do not fit.
        """
        self.check(a, grid)
        if places.dim() < 2 or len(places) != self.dim:
            raise ValueError(f"places must have the shape ({self.dim}, ...) of coordinates; got {tuple(places.shape)}")
        return self._read(a, grid, places)

    def _read(self, a: Tensor, grid: Grid, places: Tensor) -> Tensor:
        y = (places.flatten(1).mT - a.new_tensor(grid.origin)) / a.new_tensor(grid.length)
        u = self.net(a.flatten(1), y).view(len(a), y.shape[0], self.out_channels)
        return u.movedim(-1, 1).unflatten(2, places.shape[1:])
