"""Operators that couple the components of a state and, in a transform, nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.diagonal import unchanged
from kutta.solvers.algebra.operators.linear_operator import Inverse, LinearOperator, Scalar, is_real, stays_definite


class BlockDiagonal(LinearOperator):
    """``backward(blocks forward(x))``: a small matrix for each entry of a transform, such as each wave of a system.

    With ``c`` components, entry ``k`` of component ``i`` of the transformed state becomes ``sum_j blocks[i, j, k] x[j,
    k]``.

    Attributes:
        blocks: ``(c, c, *entries)``: row, column, and entries of the transform of one component.
        forward, backward: the transform of a state ``(..., c, *shape)`` and its inverse, along its last axes.
        axes: how many trailing axes make one state: those of the entries, and that of the components.
        symmetric: whether the operator equals its conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.

    Example:
        The wave equation, ``u_t = v`` and ``v_t = u_xx``:

        >>> import torch, kutta as kt
        >>> k = 2 * torch.pi * torch.fft.rfftfreq(32, 1 / 32, dtype=torch.float64)
        >>> zero, one = torch.zeros_like(k), torch.ones_like(k)
        >>> blocks = torch.stack([torch.stack([zero, one]), torch.stack([-(k**2), zero])])
        >>> wave = kt.algebra.BlockDiagonal(blocks, torch.fft.rfft, lambda w: torch.fft.irfft(w, 32))
        >>> u = torch.sin(2 * torch.pi * torch.arange(32, dtype=torch.float64) / 32)
        >>> problem = kt.SplitODEProblem(wave, lambda t, y: 0 * y, torch.stack([u, 0 * u]), (0.0, 1.0))
        >>> sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1.0))
        >>> bool(torch.allclose(sol.y1[0], u))  # one period later
        True
    """

    def __init__(
        self,
        blocks: Tensor,
        forward: Callable[[Tensor], Tensor] = unchanged,
        backward: Callable[[Tensor], Tensor] = unchanged,
        symmetric: bool = False,
        definite: bool = False,
    ):
        if not isinstance(blocks, Tensor) or not (blocks.is_floating_point() or blocks.is_complex()):
            raise TypeError(f"blocks must be a tensor of a floating-point or complex dtype; got {blocks!r}")
        if blocks.dim() < 3 or blocks.shape[0] != blocks.shape[1] or blocks.shape[0] == 0:
            raise ValueError(f"blocks must have shape (c, c, *entries), a matrix an entry; got {tuple(blocks.shape)}")
        self.blocks, self.forward, self.backward = blocks, forward, backward
        self.axes = blocks.dim() - 1
        self.symmetric, self.definite = symmetric or definite, definite

    def apply(self, x: Tensor) -> Tensor:
        return self.backward(blocks_times(self.blocks, self.forward(x)))

    def check(self, x: Tensor) -> None:
        axes = self.blocks.dim() - 1
        if x.dim() < axes or x.shape[-axes] != len(self.blocks):
            raise ValueError(
                f"a state of this operator has {axes} axes, the first of {len(self.blocks)} components; "
                f"got shape {tuple(x.shape)}"
            )
        if self.forward is unchanged and torch.promote_types(self.blocks.dtype, x.dtype) != x.dtype:
            raise TypeError(f"blocks have dtype {self.blocks.dtype} and cannot act on {x.dtype}: convert one of them")

    def transposed(self) -> LinearOperator:
        if self.forward is unchanged and self.backward is unchanged:
            return BlockDiagonal(self.blocks.transpose(0, 1), symmetric=self.symmetric, definite=self.definite)
        return super().transposed()

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        unit = torch.eye(len(self.blocks), dtype=self.blocks.dtype, device=self.blocks.device)
        blocks = scale * self.blocks + shift * unit.reshape(*unit.shape, *[1] * (self.blocks.dim() - 2))
        symmetric = self.symmetric and is_real(shift, scale)
        return BlockDiagonal(blocks, self.forward, self.backward, symmetric, stays_definite(self, shift, scale))

    def diagonal(self, like: Tensor) -> Tensor:
        if self.forward is unchanged and self.backward is unchanged:
            return self.blocks.diagonal(dim1=0, dim2=1).movedim(-1, 0)
        return super().diagonal(like)

    def inverse(self) -> Inverse:
        """Products with the inverse matrices; where one is singular, with its pseudoinverse.

        So what comes out solves the system wherever it has a solution.
        """
        inverse = as_blocks(_inverted(as_matrices(self.blocks)))
        return lambda x: self.backward(blocks_times(inverse, self.forward(x)))


def blocks_times(blocks: Tensor, x: Tensor) -> Tensor:
    """``sum_j blocks[i, j] x[j]`` at each entry."""
    entries = blocks.dim() - 2
    return (blocks * x.unsqueeze(-entries - 2)).sum(-entries - 1)


def as_matrices(blocks: Tensor) -> Tensor:
    """``(*entries, c, c)``, as functions of matrices take them."""
    return blocks.movedim((0, 1), (-2, -1))


def as_blocks(matrices: Tensor) -> Tensor:
    """Back from there."""
    return matrices.movedim((-2, -1), (0, 1)).contiguous()


def _inverted(matrices: Tensor) -> Tensor:
    singular = (torch.linalg.det(matrices) == 0)[..., None, None]
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    regular = torch.linalg.inv(torch.where(singular, unit, matrices))
    return torch.where(singular, torch.linalg.pinv(torch.where(singular, matrices, unit)), regular)
