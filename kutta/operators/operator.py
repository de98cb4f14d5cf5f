"""What all neural operators have in common: fields on a grid in, fields on the same grid out."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float


class Operator(nn.Module):
    """A network that maps fields to fields, ``u = G(a)``.

    An architecture derives from this, keeps each argument of its constructor as an attribute of that name, and says
    what it makes of fields in `transform`. So a model can be built again from its `settings`.

    Attributes:
        in_channels: fields that it takes.
        out_channels: fields that it returns.
        dim: axes of the grid.

    Example:
        >>> import torch, kutta as kt
        >>> class Shift(kt.operators.Operator):
        ...     def __init__(self, in_channels: int, out_channels: int, dim: int = 1):
        ...         super().__init__()
        ...         self.in_channels, self.out_channels, self.dim = in_channels, out_channels, dim
        ...     def transform(self, a, grid):
        ...         return a.roll(1, -1)
        >>> Shift(1, 1)(torch.tensor([[[1.0, 2.0, 3.0]]]), kt.pde.Grid(3))
        tensor([[[3., 1., 2.]]])
    """

    in_channels: int
    out_channels: int
    dim: int

    def transform(self, a: Float[Tensor, "n i *shape"], grid: Grid) -> Float[Tensor, "n o *shape"]:
        """``G(a)`` of fields that fit."""
        raise NotImplementedError

    def forward(self, a: Float[Tensor, "n i *shape"], grid: Grid) -> Float[Tensor, "n o *shape"]:
        """``G(a)``.

        Args:
            a: values at the points of the grid, a batch of samples with their channels.
            grid: with its boundary conditions; what is given at its sides counts as zero.

        Returns:
            values at the same points.

        Raises:
            TypeError, ValueError: for a field or a grid that does not fit.
        """
        self.check(a, grid)
        return self.transform(a, grid)

    def check(self, a: Any, grid: Any) -> None:
        """Refuse what is no batch of fields on a grid for this operator."""
        name = type(self).__name__
        if not isinstance(grid, Grid):
            raise TypeError(f"grid must be a kutta.pde.Grid; got {type(grid).__name__}")
        if grid.dim != self.dim:
            raise ValueError(f"{name} was made for grids of {self.dim} dimensions; got one of {grid.dim}")
        if not isinstance(a, Tensor) or not a.is_floating_point():
            kind = a.dtype if isinstance(a, Tensor) else type(a).__name__
            raise TypeError(f"a must be a tensor of real floating-point numbers; got {kind}")
        if a.dim() != self.dim + 2 or tuple(a.shape[1:]) != (self.in_channels, *grid.shape):
            wanted = ", ".join(map(str, (self.in_channels, *grid.shape)))
            raise ValueError(f"a must have the shape (n, {wanted}) of a batch for {name}; got {tuple(a.shape)}")

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned, also once they are fixed."""
        return sum(one.numel() for one in self.parameters())


def check_counts(**counts: Any) -> None:
    """Refuse sizes that are not whole numbers of at least 1.

    Args:
        counts: by the names of the arguments.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; got {count!r}")


def checked_at_least_zero(name: str, value: Any) -> float:
    """A finite number of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of at least 0; got {value!r}")
    return float(value)
