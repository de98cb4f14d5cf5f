"""The orders of the steps of a sampler; lower ones in the last steps, which lead to the data.

There a polynomial through past predictions leads astray.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def check_order(order: Any, highest: int, where: str = "") -> None:
    """Refuse an order that there is not.

    Args:
        order: what came.
        highest: the largest that there is.
        where: of what, if that is not the sampler alone: the end of a sentence.
    """
    if not isinstance(order, int) or isinstance(order, bool) or not 1 <= order <= highest:
        raise ValueError(f"order must be a whole number from 1 to {highest}{where}; got {order!r}")


class FinalOrders:
    """A rule for the largest orders of the last steps. One of one's own derives from this and gives `of`."""

    def of(self, steps: int) -> tuple[int, ...]:
        """Those of a grid of so many steps, the last one last."""
        raise NotImplementedError


@dataclass(frozen=True)
class EulerAtFinal(FinalOrders):
    """Order 1 in the last step."""

    def of(self, steps: int) -> tuple[int, ...]:
        return (1,)


@dataclass(frozen=True)
class LowerOrderFinal(FinalOrders):
    """Orders 2 and 1 in the last two steps, where there are fewer than 15.

    Source: Lu et al., DPM-Solver++, 2022.
    """

    def of(self, steps: int) -> tuple[int, ...]:
        return (2, 1) if steps < 15 else ()


FinalOrdersLike = FinalOrders | Sequence[int]


def orders_of_steps(order: int, final_orders: FinalOrdersLike, steps: int) -> list[int]:
    """The order of each step, lower in the last ones."""
    finals = final_orders.of(steps) if isinstance(final_orders, FinalOrders) else final_orders
    last = [min(order, one) for one in finals][-steps:]
    return [order] * (steps - len(last)) + last


def check_final_orders(final_orders: Any) -> None:
    """Refuse what is no sequence of orders and no rule for one."""
    if isinstance(final_orders, FinalOrders):
        return
    if isinstance(final_orders, list | tuple) and all(type(one) is int and one >= 1 for one in final_orders):
        return
    raise ValueError(
        "final_orders must be positive whole numbers such as (2, 1), or a rule such as "
        f"kutta.diffusion.LowerOrderFinal(); got {final_orders!r}"
    )
