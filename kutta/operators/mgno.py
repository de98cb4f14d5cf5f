"""The multigrid neural operator, ``v <- s(V v + K v + b)`` with a learned multigrid cycle ``V``."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from kutta.operators.layers.activation import activation
from kutta.operators.layers.convolution import check_levels
from kutta.operators.layers.multigrid_cycle import MultigridCycle
from kutta.operators.layers.pointwise import Linear
from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid


class MgNO(Operator):
    """Layers whose linear parts are multigrid cycles, so that few weights see all of space.

        v_{l+1} = s( V_l v_l + K_l v_l + b_l ),    v_0 = a         K pointwise
        u       = K_out v_L

    The cycle's convolutions take what lies beyond the sides from the boundary conditions of the grid, so those hold in
    every layer. Coarsest grids of about 2 x 2 points are what makes layers global: with ``levels`` from the sizes of
    the grid, ``log2`` of the points along an axis.

    The weights serve grids of all sizes, and are right for the spacing they were trained with.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``.
        dim: axes of the grid.
        width: channels of ``v``.
        layers: how many.
        sweeps: of each level, the finest first, whose number is that of levels. With the default six levels, four
            layers and 24 channels there are 572,661 weights for one input field in two dimensions, as in the paper.
        after: sweeps on the way up; by default none.
        nonlinearity: the name of ``s``.
        true_residual: whether coarse grids see the residual and not the right-hand side.
        kernel: points of the prolongation along an axis: 4, or 3 where all axes have ``2 n - 1`` points for the next
            coarser ``n``, as nodes have.
        groups: of channels that are normalised together after each correction; 0 for none.

    Source: He, Liu, Xu, MgNO: efficient parameterization of linear operators via multigrid, ICLR 2024, arXiv
    2310.19809.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid((24, 32), boundary=kt.pde.Dirichlet())
        >>> model = kt.operators.MgNO(1, 1, width=8, layers=2, sweeps=(1, 1, 1, 2))
        >>> model(torch.randn(2, 1, 24, 32), grid).shape
        torch.Size([2, 1, 24, 32])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dim: int = 2,
        width: int = 24,
        layers: int = 4,
        sweeps: Sequence[int] = (1, 1, 1, 1, 1, 2),
        after: Sequence[int] = (),
        nonlinearity: str = "gelu",
        true_residual: bool = False,
        kernel: int = 4,
        groups: int = 0,
    ):
        super().__init__()
        sweeps, after = tuple(sweeps), tuple(after)
        check_counts(in_channels=in_channels, out_channels=out_channels, dim=dim, width=width, layers=layers)
        check_counts(**{f"sweeps[{level}]": count for level, count in enumerate(sweeps)})
        if not sweeps or (after and len(after) != len(sweeps) - 1):
            raise ValueError(
                f"after must have an entry for each level but the coarsest of the {len(sweeps)}, or none; got {after!r}"
            )
        if kernel not in (3, 4):
            raise ValueError(f"kernel must be 3 or 4; got {kernel!r}")
        self.in_channels, self.out_channels, self.dim, self.width, self.layers = (
            in_channels,
            out_channels,
            dim,
            width,
            layers,
        )
        self.sweeps, self.after, self.nonlinearity = sweeps, after, nonlinearity
        self.true_residual, self.kernel, self.groups = true_residual, kernel, groups
        self.activation = activation(nonlinearity)
        widths = [in_channels, *[width] * (layers - 1)]
        options = (dim, sweeps, after, true_residual, kernel, groups)
        self.cycles = nn.ModuleList(MultigridCycle(count, width, *options) for count in widths)
        self.pointwise = nn.ModuleList(Linear(count, width) for count in widths)
        self.projection = Linear(width, out_channels, bias=False)

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_levels(len(self.sweeps), grid, "sweeps")

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        v = a
        for cycle, pointwise in zip(self.cycles, self.pointwise, strict=True):
            v = self.activation(cycle(v, grid) + pointwise(v))
        return self.projection(v)
