"""A matrix with few diagonals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import (
    Inverse,
    LinearOperator,
    Scalar,
    check_size,
    is_real,
    stays_definite,
)


class Banded(LinearOperator):
    """A matrix given by its diagonals.

    Row ``i`` of the product is ``sum_j diagonals[..., j, i] x[i + offsets[j]]``: entry ``i`` of a diagonal belongs to
    row ``i``, and entries whose column lies outside the matrix do not count.

    Attributes:
        diagonals: ``(..., k, n)``, one row for each offset.
        offsets: column minus row, such as ``(-1, 0, 1)``.
        symmetric: whether it equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        >>> import torch, kutta as kt
        >>> laplacian = kt.algebra.Banded(torch.tensor([[1.0], [-2.0], [1.0]]).expand(3, 4), (-1, 0, 1))
        >>> laplacian.apply(torch.ones(4))
        tensor([-1.,  0.,  0., -1.])
    """

    axes = 1

    def __init__(self, diagonals: Tensor, offsets: Sequence[int], symmetric: bool = False, definite: bool = False):
        if diagonals.dim() < 2 or diagonals.shape[-2] != len(offsets) or diagonals.shape[-1] == 0:
            raise ValueError(
                f"diagonals must have shape (..., {len(offsets)}, n), a row for each offset; "
                f"got {tuple(diagonals.shape)}"
            )
        n = diagonals.shape[-1]
        if len(set(offsets)) != len(offsets) or not all(isinstance(one, int) and abs(one) < n for one in offsets):
            raise ValueError(
                f"offsets must be different whole numbers between {1 - n} and {n - 1}; got {tuple(offsets)}"
            )
        if not (diagonals.is_floating_point() or diagonals.is_complex()):
            raise TypeError(f"diagonals must have a floating-point or complex dtype; got {diagonals.dtype}")
        self.diagonals, self.offsets = diagonals, tuple(offsets)
        self.symmetric, self.definite, self.batch = symmetric or definite, definite, diagonals.shape[:-2]

    @property
    def width(self) -> int:
        """The largest distance from the main diagonal."""
        return max((abs(offset) for offset in self.offsets), default=0)

    def apply(self, x: Tensor) -> Tensor:
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        for place, offset in enumerate(self.offsets):
            total = total + self.diagonals[..., place, :] * displaced(x, offset)
        return total

    def check(self, x: Tensor) -> None:
        check_size("a banded matrix", self.diagonals.shape[-1], self.diagonals.dtype, x)

    def transposed(self) -> LinearOperator:
        rows = [displaced(self.diagonals[..., place, :], -offset) for place, offset in enumerate(self.offsets)]
        offsets = tuple(-offset for offset in self.offsets)
        return Banded(torch.stack(rows, -2), offsets, self.symmetric, self.definite)

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        diagonals, offsets = scale * self.diagonals, self.offsets
        if 0 not in offsets:
            diagonals = torch.cat([diagonals, torch.zeros_like(diagonals[..., :1, :])], -2)
            offsets = (*offsets, 0)
        main = torch.tensor([offset == 0 for offset in offsets], dtype=diagonals.dtype, device=diagonals.device)
        symmetric = self.symmetric and is_real(shift, scale)
        return Banded(diagonals + shift * main[:, None], offsets, symmetric, stays_definite(self, shift, scale))

    def diagonal(self, like: Tensor) -> Tensor:
        return self.band(0)

    def band(self, offset: int) -> Tensor:
        """One diagonal, ``(..., n)``: zeros where it is not stored, and where its column lies outside."""
        if offset not in self.offsets:
            return torch.zeros_like(self.diagonals[..., 0, :])
        inside = displaced(torch.ones_like(self.diagonals[..., 0, :]), offset)
        return self.diagonals[..., self.offsets.index(offset), :] * inside

    def dense(self, like: Tensor) -> Tensor:
        n = self.diagonals.shape[-1]
        total = torch.zeros_like(self.diagonals[..., 0, :, None].expand(*self.batch, n, n))
        for offset in self.offsets:
            band = self.band(offset)[..., max(0, -offset) : n - max(0, offset)]
            total = total + torch.diag_embed(band, offset)
        return total

    def inverse(self) -> Inverse | None:
        """By cyclic reduction, without pivoting; see `kutta.CyclicReduction`."""
        from kutta.solvers.algebra.direct.cyclic_reduction import reduced  # it is made for this class

        return reduced(self)[0]


def displaced(x: Tensor, offset: int) -> Tensor:
    """``x[..., i + offset]`` at place ``i``, and zero where there is no such entry."""
    if offset == 0:
        return x
    pads = (0, offset) if offset > 0 else (-offset, 0)
    inside = x[..., offset:] if offset > 0 else x[..., :offset]
    return torch.nn.functional.pad(inside, pads)
