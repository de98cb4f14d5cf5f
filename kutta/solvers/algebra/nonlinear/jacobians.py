"""Derivatives of functions from ``(B, n)`` to ``(B, m)`` of which no row sees another.

One direction for all rows at once gives a column of all their Jacobians, since none depends on another's unknowns; and
one cotangent for all gives a row of each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kutta.autodiff import in_forward_mode, under_transform

Rows = Callable[[Tensor], Tensor]


def products(f: Rows, x: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The function ``v -> (f(x), f'(x) v)``.

    By derivatives in forward mode; and where tensors carry tangents already, so that PyTorch has none, by transposes.
    """
    if in_forward_mode() and not under_transform():
        return by_transposes(f, x)
    return lambda v: torch.func.jvp(f, (x,), (v,))  # type: ignore[return-value]


def by_transposes(f: Rows, x: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """The same by the transpose of the transpose: two derivatives in reverse mode."""
    value, pull = torch.func.vjp(f, x)  # pyright: ignore[reportAssignmentType]
    _, push = torch.func.vjp(lambda one: pull(one)[0], torch.zeros_like(value))  # pyright: ignore[reportAssignmentType]
    return lambda v: (value, push(v)[0])


def by_columns(f: Rows, x: Tensor) -> tuple[Tensor, Tensor]:
    """``f(x)`` and its Jacobians ``(B, m, n)``, a derivative for each unknown."""
    value, columns = along(f, x, units(x.shape[1], x))
    return value, columns.movedim(0, -1)


def along(f: Rows, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """``f(x)`` and ``f'(x) v`` for many ``v``, ``(count, B, n)``, at once."""
    return torch.func.vmap(products(f, x), out_dims=(None, 0))(directions)  # pyright: ignore[reportArgumentType]


def by_rows(f: Rows, x: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """The same, a backward pass for each of the `m` equations."""
    value, pull = torch.func.vjp(f, x)  # pyright: ignore[reportAssignmentType]
    rows = torch.func.vmap(lambda cotangent: pull(cotangent)[0])(units(m, value))
    # What a cotangent of ones gives is the conjugate of a row.
    return value, rows.movedim(0, 1).conj().resolve_conj()


def units(count: int, like: Tensor) -> Tensor:
    """The unit vectors, the same one for all rows of a batch: ``(count, B, count)``."""
    eye = torch.eye(count, dtype=like.dtype, device=like.device)
    return eye.unsqueeze(1).expand(count, like.shape[0], count)
