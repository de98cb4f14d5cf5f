"""Lower orders in the last steps."""

import pytest

import kutta as kt
from kutta.solvers.diffusion.exponential.final_orders import orders_of_steps


@pytest.mark.parametrize(
    ("final_orders", "steps", "expected"),
    [
        ((), 4, [3, 3, 3, 3]),
        ((2, 1), 4, [3, 3, 2, 1]),
        ([5, 1], 4, [3, 3, 3, 1]),
        ((3, 2, 2, 1), 2, [2, 1]),
        (kt.diffusion.LowerOrderFinal(), 14, [*[3] * 12, 2, 1]),
        (kt.diffusion.LowerOrderFinal(), 15, [3] * 15),
        (kt.diffusion.LowerOrderFinal(), 1, [1]),
        (kt.diffusion.EulerAtFinal(), 20, [*[3] * 19, 1]),
    ],
    ids=str,
)
def test_orders_of_steps(final_orders, steps, expected):
    assert orders_of_steps(3, final_orders, steps) == expected


def test_a_rule_of_ones_own():
    class Gentle(kt.diffusion.FinalOrders):
        def of(self, steps):
            return tuple(range(steps // 2, 0, -1))

    assert orders_of_steps(4, Gentle(), 8) == [4, 4, 4, 4, 4, 3, 2, 1]
    kt.ExponentialMultistep(4, final_orders=Gentle())
