"""Derivatives of functions from ``(B, n)`` to ``(B, m)`` of which no row sees another.

One direction for all rows at once gives a column of all their Jacobians, since none depends on another's unknowns; and
one cotangent for all gives a row of each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Rows = Callable[[Tensor], Tensor]


def by_columns(f: Rows, x: Tensor) -> tuple[Tensor, Tensor]:
    """``f(x)`` and its Jacobians ``(B, m, n)``, a derivative in forward mode for each unknown.

    Raises:
        RuntimeError: where `f` has no derivatives in forward mode.
    """

    def column(direction: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.jvp(f, (x,), (direction,))  # type: ignore[return-value]

    value, columns = torch.func.vmap(column, out_dims=(None, 0))(units(x.shape[1], x))
    return value, columns.movedim(0, -1)


def by_rows(f: Rows, x: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """The same, a backward pass for each of the `m` equations."""
    value, pull = torch.func.vjp(f, x)  # pyright: ignore[reportAssignmentType]
    rows = torch.func.vmap(lambda cotangent: pull(cotangent)[0])(units(m, value))
    return value, rows.movedim(0, 1)


def units(count: int, like: Tensor) -> Tensor:
    """The unit vectors, the same one for all rows of a batch: ``(count, B, count)``."""
    eye = torch.eye(count, dtype=like.dtype, device=like.device)
    return eye.unsqueeze(1).expand(count, like.shape[0], count)
