"""Backward differences in time.

    du/dt(t_q)  ~  (3 u_q - 4 u_{q-1} + u_{q-2}) / (2 h),      at first  (u_1 - u_0) / h

They are of order 2, and what fulfils an equation with them decays where its solutions decay, however long the steps
are. Of central differences waves that alternate from step to step would not: a front that begins at a wall then never
comes to rest.

Source: Curtiss, Hirschfelder, Integration of stiff equations, 1952.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Of u_{q-2}, u_{q-1} and u_q.
_WEIGHTS = (0.5, -2.0, 1.5)


def backward_differences(u: Tensor, axis: int, h: float) -> Tensor:
    """``du/dt`` at all times but the first.

    Args:
        u: values at equally spaced times, along an axis.
        axis: of the times, counted from the end.
        h: between two of them.
    """
    count = u.shape[axis] - 2
    before, middle, after = (weight * u.narrow(axis, at, count) for at, weight in enumerate(_WEIGHTS))
    first = u.narrow(axis, 1, 1) - u.narrow(axis, 0, 1)
    return torch.cat([first, before + middle + after], axis) / h
