"""What learns between coefficients: one transform before all layers, and one after them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kutta.operators.layers import orthonormal
from kutta.operators.layers.continuation import check_modes
from kutta.operators.layers.coordinates import with_coordinates
from kutta.operators.layers.orthonormal import Kept
from kutta.operators.operator import Operator
from kutta.pde.grids.grid import Grid

if TYPE_CHECKING:
    from jaxtyping import Float


class TransformOnce(Operator):
    """``u = T^-1 G(T a)`` with an orthonormal transform ``T`` of few waves, which the sides of the grid choose.

    Before `mixed` coefficients are multiplied by ``sqrt(M / N)``, kept waves by points, and divided by it after. So
    their mean square is that of the field, and the same weights are the same function on all grids.

    An architecture says in `mixed` what it makes of coefficients.

    Attributes:
        modes: kept waves along each axis.
        keep_high: whether all other waves of ``a`` go to ``u`` as they are.
    """

    modes: tuple[Kept, ...]
    keep_high: bool

    def checked_high(self, keep_high: bool) -> bool:
        """As given.

        Raises:
            ValueError: where there are not as many fields out as in.
        """
        if keep_high and self.in_channels != self.out_channels:
            counts = f"in_channels={self.in_channels}, out_channels={self.out_channels}"
            raise ValueError(f"keep_high needs as many fields out as in; got {counts}")
        return keep_high

    def mixed(self, c: Tensor) -> Tensor:
        """From the `coefficients` of ``a``, the number 1 and the coordinates to those of ``u``."""
        raise NotImplementedError

    def spectrum(self, a: Float[Tensor, "n i *shape"], grid: Grid) -> Float[Tensor, "n o *counts"]:
        """The coefficients of ``u``; what is to be compared with those of `target` in training.

        Args:
            a: as of the call of the operator.
            grid: likewise.
        """
        self.check(a, grid)
        return self._spectrum(a, grid)

    def target(self, u: Float[Tensor, "n o *shape"], grid: Grid) -> Float[Tensor, "n o *counts"]:
        """The coefficients that `spectrum` is to be close to.

        The transform keeps sums of squares, so

            |G(a) - u|^2 = |spectrum(a) - target(u)|^2 + the sum of squares of u in all other waves,

        and training needs no inverse.

        Args:
            u: fields.
            grid: that they live on.
        """
        return orthonormal.forward(u, grid, self.modes)

    def transform(self, a: Tensor, grid: Grid) -> Tensor:
        u = orthonormal.backward(self._spectrum(a, grid), grid, self.modes)
        if not self.keep_high:
            return u
        return u + a - orthonormal.backward(orthonormal.forward(a, grid, self.modes), grid, self.modes)

    def check(self, a: Tensor, grid: Grid) -> None:
        super().check(a, grid)
        check_modes([kept if isinstance(kept, int) else max(kept) + 1 for kept in self.modes], grid)

    def _spectrum(self, a: Tensor, grid: Grid) -> Tensor:
        scale = math.sqrt(math.prod(orthonormal.counts(self.modes)) / math.prod(grid.shape))
        return self.mixed(scale * self.coefficients(a, grid)) / scale

    def coefficients(self, a: Tensor, grid: Grid) -> Tensor:
        """Those of ``a``, the number 1 and the coordinates, ``(n, i + 1 + d, *counts)``.

        The lift is pointwise and linear, so it commutes with the transform, which has fewer channels to do before it.
        """
        places = orthonormal.forward(places_on(grid, a), grid, self.modes)
        return torch.cat([orthonormal.forward(a, grid, self.modes), places.expand(len(a), *places.shape[1:])], 1)


def places_on(grid: Grid, like: Tensor) -> Tensor:
    """The number 1, which is what a bias is multiplied by, and the coordinates as fields, ``(1, 1 + d, *shape)``."""
    return with_coordinates(like.new_ones(1, 1, *grid.shape), grid)


def checked_modes(modes: Sequence[int | Sequence[int]]) -> tuple[Kept, ...]:
    """Modes as numbers and tuples.

    Raises:
        ValueError: for what are none.
    """
    kept = tuple(one if isinstance(one, int) else tuple(one) for one in modes)
    for axis, one in enumerate(kept):
        numbers = (one - 1,) if isinstance(one, int) else one
        whole = all(isinstance(number, int) and number >= 0 for number in numbers)
        if isinstance(one, bool) or not numbers or not whole or len(set(numbers)) < len(numbers):
            raise ValueError(
                f"modes[{axis}] must be how many of the lowest waves are kept, at least 1, or the numbers of those "
                f"that are, each once, from 0 on; got {one!r}"
            )
    return kept
