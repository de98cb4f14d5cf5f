"""Which order each step of a multistep sampler can have."""

from __future__ import annotations

from typing import Any

import torch

from kutta.solvers.diffusion.levels.grids import Nodes


def regular(nodes: Nodes, n: int) -> bool:
    """Whether there are both data and noise at the two ends of a step; elsewhere only the first-order step is defined.

    Where a step begins with nothing but noise or ends without any, ``log(alpha / sigma)`` is infinite.
    """
    return bool(torch.isfinite(nodes.log_snr[n : n + 2]).all())


def orders_of_steps(nodes: Nodes, order: int) -> list[int]:
    """The order of each step: as high as the history allows.

    Args:
        nodes: the grid. A node with infinite ``log(alpha / sigma)`` is no part of a history.
        order: the one after the start.
    """
    usable = torch.cumsum(torch.isfinite(nodes.log_snr), 0).tolist()
    return [min(order, usable[n]) if regular(nodes, n) else 1 for n in range(nodes.steps)]


def check_orders(name: str, order: Any, highest: int) -> None:
    """Refuse what is no order of a sampler."""
    if type(order) is not int or not 1 <= order <= highest:
        raise ValueError(f"{name}(order) needs a whole number from 1 to {highest}; got {order!r}")
