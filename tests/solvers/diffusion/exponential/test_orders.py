"""The orders of steps: lower ones in the last steps, and what is none."""

import pytest

import kutta as kt
from kutta.solvers.diffusion.exponential.orders import orders_of_steps


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


@pytest.mark.parametrize(
    ("sampler", "highest"),
    [
        (kt.ExponentialMultistep, 9),
        (kt.diffusion.Singlestep, 4),
        (kt.diffusion.DPMSolverSinglestep, 3),
        (kt.DPMSolver, 3),
        (kt.DPMSolverPP, 3),
        (kt.UniPC, 6),
        (kt.DEIS, 4),
        (kt.PLMS, 4),
        (kt.PNDM, 4),
        (kt.GHVB, 5),
        (kt.diffusion.ExponentialGHVB, 5),
        (kt.diffusion.LTSP, 4),
        (kt.AdaptiveMultistep, 6),
    ],
)
@pytest.mark.parametrize("order", [0, -1, True, 2.0, "2", None, 99])
def test_every_sampler_refuses_what_is_no_order(sampler, highest, order):
    sampler(highest)
    with pytest.raises(ValueError, match=f"^order must be a whole number from 1 to {highest}.*; got {order!r}$"):
        sampler(order)
    with pytest.raises(ValueError, match=f"from 1 to {highest}.*; got {highest + 1}"):
        sampler(highest + 1)


@pytest.mark.parametrize("order", [0, True, 4, 2.0])
def test_a_named_schedule_refuses_what_is_no_order(order):
    with pytest.raises(ValueError, match=f"^order must be a whole number from 1 to 3 for 'unipc bh2'; got {order!r}$"):
        kt.diffusion.named_schedule("unipc bh2", [10.0, 1.0, 0.1], kt.diffusion.EDM(), order)
