"""Inner products of states, ``<u, v> = u^T W v``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.linear_operator import LinearOperator

# Nothing for the Euclidean one, a number or a tensor for weights of the points, or a definite operator.
Inner = Any


def weighted(u: Tensor, inner: Inner) -> Tensor:
    """``W u``, of a batch of states with any leading axes."""
    if inner is None:
        return u
    if not isinstance(inner, LinearOperator):
        return torch.as_tensor(inner, dtype=u.dtype, device=u.device) * u
    if inner.axes is None:
        raise TypeError("inner must be an operator that knows the axes of a state, as it acts on many; give it axes=")
    return inner.apply(u)


def checked_snapshots(snapshots: Any) -> Tensor:
    """Snapshots ``(m, *state)`` that a basis can be made of, without gradients.

    Raises:
        TypeError, ValueError: for others.
    """
    snapshots = torch.as_tensor(snapshots).detach()
    if not snapshots.is_floating_point():
        raise TypeError(f"snapshots must have a real floating-point dtype; got {snapshots.dtype}")
    if snapshots.dim() < 2 or snapshots.numel() == 0:
        raise ValueError(f"snapshots must have shape (m, *state), one or more; got {tuple(snapshots.shape)}")
    finite = torch.isfinite(snapshots).flatten(1).all(1)
    if not bool(finite.all()):
        raise ValueError(f"snapshots must be finite; snapshot {int((~finite).nonzero()[0])} is not")
    return snapshots
