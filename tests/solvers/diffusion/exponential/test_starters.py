"""Starters: the order they keep, and what they cost."""

import math

import pytest

import kutta as kt
from kutta.solvers.diffusion.exponential.starters import Starter
from tests.solvers.diffusion.problems import orders, t1

GRIDS = [kt.diffusion.Rho(7), kt.diffusion.UniformLogSNR()]
SINGLE, GRADED, CORRECTED = kt.diffusion.SinglestepStart(), kt.diffusion.GradedStart(), kt.diffusion.CorrectedRamp()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize(
    ("order", "starter"),
    [
        (2, SINGLE),
        (3, SINGLE),
        (4, SINGLE),
        (5, SINGLE),
        (2, GRADED),
        (3, GRADED),
        (4, GRADED),
        (3, CORRECTED),
        (4, CORRECTED),
    ],
    ids=str,
)
def test_starters_keep_the_order_of_the_method(order, starter, grid):
    errors = t1().errors(kt.ExponentialMultistep(order, starter=starter), [320, 640], grid=grid)
    assert orders(errors) == pytest.approx([order], abs=0.15)


def test_a_corrected_ramp_does_not_suffice_for_order_5():
    class Longer(kt.diffusion.CorrectedRamp):
        highest = 5

    errors = t1().errors(kt.ExponentialMultistep(5, starter=Longer()), [160, 320, 640], grid=GRIDS[0])
    assert orders(errors) == pytest.approx([3.3, 3.1], abs=0.15)
    with pytest.raises(ValueError, match=r"from 1 to 4 with CorrectedRamp\(\)"):
        kt.ExponentialMultistep(5, starter=CORRECTED)


def test_a_start_in_the_form_of_the_noise():
    errors = t1().errors(kt.ExponentialMultistep(3, "noise", starter=SINGLE), [160, 320], grid=GRIDS[0])
    assert orders(errors) == pytest.approx([3], abs=0.15)


@pytest.mark.parametrize(
    ("order", "starter", "more"),
    [
        (4, kt.diffusion.Ramp(), 0),
        (4, CORRECTED, 0),
        (1, SINGLE, 0),
        (2, SINGLE, 1),
        (3, SINGLE, 2 * 2),
        (4, SINGLE, 3 * 4),
        (5, SINGLE, 4 * 4),
        (2, GRADED, 0),
        (3, GRADED, 2),  # steps of 0.23: pieces of 1/4, 1/4 and 1/2
        (4, GRADED, 3),
    ],
    ids=str,
)
def test_evaluations(order, starter, more):
    method = kt.ExponentialMultistep(order, starter=starter)
    assert math.log(100.0) / 20 == pytest.approx(0.23, abs=0.001)
    assert kt.solve(t1().problem, method, steps=20, grid=GRIDS[1]).stats.function_evaluations == 20 + more


@pytest.mark.parametrize("starter", [kt.diffusion.Ramp(), SINGLE, GRADED, CORRECTED], ids=str)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_fewer_steps_than_the_start_wants(starter, steps):
    found = t1().solve(kt.ExponentialMultistep(4, starter=starter), steps)
    assert float(found.abs().max()) < float(t1().problem.x.abs().max())


def test_final_orders_hold_at_the_start_too():
    method = kt.ExponentialMultistep(4, starter=SINGLE, final_orders=(2, 1))
    assert kt.solve(t1().problem, method, steps=2).stats.function_evaluations == 3  # a single step of order 2, and 1


def test_a_starter_of_ones_own():
    """Euler steps of a fine grid within the first steps."""

    class Patient(Starter):
        def step(self, walk, order, usual):
            schedule, state = walk.draft.nodes.schedule, walk.here
            first, last = (schedule.log_snr(level.t) for level in (walk.draft.level_of(state), walk.next))
            for part in range(1, 100):
                level = walk.draft.between(schedule.time(first + part / 100 * (last - first)))
                state = walk.draft.add(level, *walk.terms(state, [state], level))
            walk.past.append(walk.draft.arrive(walk.node, *walk.terms(state, [state], walk.next)))

    own = t1().error(t1().solve(kt.ExponentialMultistep(3, starter=Patient()), 80))
    assert own < 0.6 * t1().error(t1().solve(kt.ExponentialMultistep(3), 80))
