"""Angles between states and between the spaces that families of states span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.pde.reduced.inner import Inner, checked_snapshots, weighted
from kutta.pde.reduced.pod import principal

# States (m, *state), or families of states (s, *state), one for each simulation.
Families = Tensor | Sequence[Tensor]


def spans(snapshots: Any, inner: Inner = None) -> list[Tensor]:
    """Orthonormal modes ``(p, *state)`` of what each of the families spans; a state spans a line."""
    families = list(snapshots.unsqueeze(1)) if isinstance(snapshots, Tensor) else list(snapshots)
    if not families:
        raise ValueError("snapshots must hold at least one family; got none")
    return [principal(checked_snapshots(family), inner)[0] for family in families]


def angles(snapshots: Families, inner: Inner = None) -> Tensor:
    """How much the spaces of states or of families of states differ.

    For two states it is the sine of the angle between them, ``sqrt(1 - <u, v>^2 / (|u|^2 |v|^2))``: the part of one
    that the other does not hold, whatever their lengths. For families it is ``sqrt(sum_l sin(theta_l)^2)``, with the
    principal angles between what they span, whose cosines are the singular values of ``Q_i^T W Q_j``. Differences below
    the root of the rounding are rounding.

    Args:
        snapshots: states, ``(m, *state)``; or a list of families ``(s, *state)``, such as trajectories.
        inner: ``W``, as for `POD`.

    Returns:
        ``(m, m)``, symmetric, with zeros on the diagonal.

    Source:
        Daniel, Casenave, Akkari and Ryckelynck, Model order reduction assisted by deep neural networks (ROM-net), 2020.

    Example:
        >>> import torch, kutta as kt
        >>> kt.pde.angles(torch.tensor([[1.0, 0.0], [-3.0, 0.0], [1.0, 1.0]]))
        tensor([[0.0000, 0.0000, 0.7071],
                [0.0000, 0.0000, 0.7071],
                [0.7071, 0.7071, 0.0000]])
    """
    bases = spans(snapshots, inner)
    rows = torch.cat(bases).flatten(1)
    products = (rows @ weighted(torch.cat(bases), inner).flatten(1).mT) ** 2
    sizes = torch.tensor([len(basis) for basis in bases], device=rows.device)
    owner = torch.repeat_interleave(sizes)
    member = torch.nn.functional.one_hot(owner, len(bases)).to(rows.dtype)
    shared = member.mT @ products @ member
    found = (torch.minimum(sizes[:, None], sizes) - shared).clamp_min(0.0).sqrt()
    return ((found + found.mT) / 2).fill_diagonal_(0.0)
