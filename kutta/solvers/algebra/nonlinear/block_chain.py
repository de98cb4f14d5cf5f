"""The Jacobian of equations along a chain: each sees one block of unknowns, or two that are beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class BlockChain:
    """What the `jacobian` of a `kutta.LeastSquaresProblem` may return, of unknowns in ``K`` blocks of ``N``.

    ``J^T J`` is then block tridiagonal, and steps cost ``K`` factorisations of ``N`` unknowns: such as for weights of
    experts that agree with their neighbours, or for multiple shooting.

    Attributes:
        own: of equations that see one block, ``(K, m, N)``, or of a batch ``(B, K, m, N)``.
        between: of those that see the blocks ``k`` and ``k + 1``, ``(K - 1, f, 2, N)``, or of a batch. `residual` must
            return first all of the former, block after block, and then these.

    Raises:
        TypeError: for what are no tensors, or tensors of two dtypes.
        ValueError: for shapes, or devices, that do not belong together.

    Example:
        >>> import torch, kutta as kt
        >>> data = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
        >>> def residual(x):  # near the data, and near each other
        ...     return torch.cat([x - data, x.diff()])
        >>> def jacobian(x):
        ...     own = torch.ones(3, 1, 1, dtype=torch.float64)
        ...     return kt.algebra.BlockChain(own, torch.tensor([-1.0, 1.0]).double().expand(2, 1, 2)[..., None])
        >>> kt.solve(kt.LeastSquaresProblem(residual, torch.zeros_like(data), jacobian=jacobian)).y1
        tensor([1.8750, 2.7500, 4.3750], dtype=torch.float64)
    """

    own: Float[Tensor, "*batch k m n"]
    between: Float[Tensor, "*batch links f 2 n"]

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.own.dim() < 3:
            raise ValueError(f"own must have the shape (..., K, m, N); got {tuple(self.own.shape)}")
        lead, (count, _, size) = self.own.shape[:-3], self.own.shape[-3:]
        wanted = (*lead, count - 1, *self.between.shape[-3:-2], 2, size)
        if self.between.dim() != self.own.dim() + 1 or tuple(self.between.shape) != wanted:
            raise ValueError(
                f"between must have the shape (..., {count - 1}, f, 2, {size}) beside own of {tuple(self.own.shape)}; "
                f"got {tuple(self.between.shape)}"
            )

    def _check_kinds(self) -> None:
        for name, one in (("own", self.own), ("between", self.between)):
            if not isinstance(one, torch.Tensor):
                raise TypeError(f"{name} must be a tensor; got {type(one).__name__}")
        if self.own.dtype != self.between.dtype:
            raise TypeError(f"between must be of the dtype of own, {self.own.dtype}; got {self.between.dtype}")
        if self.own.device != self.between.device:
            raise ValueError(f"between must be on the device of own, {self.own.device}; got {self.between.device}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix, ``(..., equations, unknowns)``."""
        *lead, count, rows, size = self.own.shape
        return (*lead, count * rows + (count - 1) * self.between.shape[-3], count * size)

    @property
    def dtype(self) -> torch.dtype:
        """Of both."""
        return self.own.dtype

    def batched(self, count: int) -> BlockChain:
        """With an axis of problems."""
        return BlockChain(
            self.own.reshape(count, *self.own.shape[-3:]), self.between.reshape(count, *self.between.shape[-4:])
        )

    def over(self, unit: Tensor) -> BlockChain:
        """Divided by a number for each problem, ``(B, 1)``."""
        return BlockChain(self.own / unit[..., None, None], self.between / unit[..., None, None, None])

    def pulled(self, r: Tensor) -> Tensor:
        """``J^T r``, ``(B, n)``, of ``(B, m)``."""
        count, rows = self.own.shape[1:3]
        of_own, of_links = r.split([count * rows, r.shape[1] - count * rows], 1)
        found = (self.own.mT @ of_own.reshape(len(r), count, rows, 1)).squeeze(-1)
        shares = torch.einsum("bkfsn,bkf->bksn", self.between, of_links.reshape(self.between.shape[:3]))
        return (found + _placed(shares)).flatten(1)

    def products(self) -> tuple[Tensor, Tensor]:
        """The blocks of ``J^T J`` on the diagonal, ``(B, K, N, N)``, and below, ``(B, K - 1, N, N)``."""
        left, right = self.between.unbind(3)
        squares = torch.stack([left.mT @ left, right.mT @ right], 2)
        return self.own.mT @ self.own + _placed(squares), right.mT @ left

    def dense(self) -> Tensor:
        """``(B, m, n)``."""
        count, size = self.own.shape[1], self.own.shape[3]
        eye = torch.eye(count, dtype=self.dtype, device=self.own.device)
        own = torch.einsum("bkmn,kl->bkmln", self.own, eye).flatten(3).flatten(1, 2)
        sides = torch.stack([eye[:-1], eye[1:]], 1)
        links = torch.einsum("bkfsn,ksl->bkfln", self.between, sides)
        return torch.cat([own, links.reshape(len(own), -1, count * size)], 1)


def _placed(shares: Tensor) -> Tensor:
    """What each link ``(B, K - 1, 2, ...)`` has of the block before it and of that after it, ``(B, K, ...)``."""
    nothing = shares.new_zeros(len(shares), 1, *shares.shape[3:])
    before, after = torch.cat([shares[:, :, 0], nothing], 1), torch.cat([nothing, shares[:, :, 1]], 1)
    return before + after
