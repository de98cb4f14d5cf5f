"""What the last steps of a fixed-point iteration say of the next one."""

from __future__ import annotations

import torch
from torch import Tensor


def mixed(moves: Tensor, changes: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """``r - dR g`` and ``dX g`` with ``g = argmin |r - dR g|``, problem by problem.

    Args:
        moves: ``dX``, differences of states, ``(B, memory, n)``; zeros where there are none.
        changes: ``dR``, those of residuals, likewise.
        r: the residual, ``(B, n)``.

    Source: Walker and Ni, Anderson acceleration for fixed-point iterations, 2011.
    """
    gram, right = changes.conj() @ changes.mT, changes.conj() @ r[:, :, None]
    eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    trace = gram.diagonal(dim1=1, dim2=2).real.sum(-1)[:, None, None]
    ridge = torch.where(trace > 0.0, torch.finfo(gram.dtype).eps * trace, 1.0)
    mix, _ = torch.linalg.solve_ex(gram + ridge * eye, right)
    moved, changed = ((past.mT @ mix)[:, :, 0] for past in (moves, changes))
    return r - changed, moved
