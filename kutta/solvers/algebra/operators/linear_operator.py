"""What a linear operator is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class LinearOperator:
    """``x -> A x`` for states of any leading batch."""

    symmetric: bool = False
    definite: bool = False

    def apply(self, x: Tensor) -> Tensor:
        """``A x``."""
        raise NotImplementedError

    def transposed(self) -> LinearOperator:
        """``A^T``."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its transpose is")

    def shifted(self, shift: Any, scale: Any) -> LinearOperator:
        """``shift I + scale A``."""
        raise NotImplementedError(f"{type(self).__name__} does not say what shift I + scale A is")

    def inverse(self) -> Callable[[Tensor], Tensor] | None:
        """What solves ``A x = b`` exactly and cheaply, where there is such a thing."""
        return None

    def dense(self, like: Tensor) -> Tensor:
        """``A`` as an ``(n, n)`` matrix on the flattened state, by its columns."""
        units = torch.eye(like.numel(), dtype=like.dtype, device=like.device).view(-1, *like.shape)
        return torch.stack([self.apply(unit).reshape(-1) for unit in units], -1)
