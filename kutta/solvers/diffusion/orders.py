"""Which order each step of a multistep sampler can have."""

from __future__ import annotations

from typing import Any

import torch

from kutta.solvers.diffusion.grids import Nodes


def regular(nodes: Nodes, n: int) -> bool:
    """Whether there are both data and noise at the two ends of a step; elsewhere only the first-order step is defined.

    Where a step begins with nothing but noise or ends without any, ``log(alpha / sigma)`` is infinite.
    """
    return bool(torch.isfinite(nodes.log_snr[n : n + 2]).all())


def orders_of_steps(nodes: Nodes, order: int, final_orders: tuple[int, ...] = ()) -> list[int]:
    """The order of each step: as high as the history allows, and lower at the end where that is asked for.

    Args:
        nodes: the grid. A node with infinite ``log(alpha / sigma)`` is no part of a history.
        order: the one after the start.
        final_orders: upper limits for the last steps.
    """
    usable = torch.cumsum(torch.isfinite(nodes.log_snr), 0).tolist()
    limits = [order] * nodes.steps + list(final_orders)
    return [
        max(1, min(order, usable[n], limits[n + len(final_orders)])) if regular(nodes, n) else 1
        for n in range(nodes.steps)
    ]


def check_orders(name: str, order: Any, highest: int, final_orders: Any = ()) -> None:
    """Refuse what is no order of a sampler."""
    if not isinstance(order, int) or not 1 <= order <= highest:
        raise ValueError(f"{name}(order) needs a whole number from 1 to {highest}; got {order!r}")
    if not isinstance(final_orders, tuple) or not all(isinstance(one, int) and one >= 1 for one in final_orders):
        raise ValueError(f"final_orders must be a tuple of positive whole numbers such as (2, 1); got {final_orders!r}")
