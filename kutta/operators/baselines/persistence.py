"""The prediction that nothing changes."""

from __future__ import annotations

from torch import Tensor

from kutta.operators.operator import Operator, check_counts
from kutta.pde.grids.grid import Grid


class Persistence(Operator):
    """``u = a``, or of several fields the last ones: what every model has to beat.

    Where states of some times come in one after the other, the last ones are those of the latest time.

    Args:
        in_channels: fields ``a``.
        out_channels: fields ``u``; by default as many.
        dim: axes of the grid.

    Raises:
        ValueError: for more fields out than in.

    Example:
        >>> import torch, kutta as kt
        >>> kt.operators.Persistence(2, 1, dim=1)(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]), kt.pde.Grid(3))
        tensor([[[4., 5., 6.]]])
    """

    def __init__(self, in_channels: int, out_channels: int | None = None, dim: int = 2):
        super().__init__()
        out_channels = in_channels if out_channels is None else out_channels
        check_counts(in_channels=in_channels, out_channels=out_channels, dim=dim)
        if out_channels > in_channels:
            raise ValueError(f"out_channels must be at most in_channels, {in_channels}; got {out_channels}")
        self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        return a[:, -self.out_channels :]
