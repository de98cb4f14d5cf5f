"""The default: never thrown off by guidance in few steps, and exact enough in many."""

import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.automatic import (
    LEAST_DAMPING,
    Automatic,
    default_sampler,
    feedback,
    finite_steps,
    strength,
    typical_step,
)
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.momentum.stability import MomentumRule, corrected_limit
from tests.solvers.diffusion.problems import F64, magnitude, orders, t1, t2

RHO = kt.diffusion.Rho(7)


def grid_of(steps, grid=RHO):
    return nodes(grid, kt.diffusion.VP(), steps, 1.0, 1e-3)


def assert_not_thrown_off(case, sampler, steps, grid=None, rms=0.3):
    x = kt.solve(case.problem, sampler, steps=steps, grid=grid).y1
    assert magnitude(case, x) <= 1.2 * magnitude(case, case.reference)
    assert case.rms(x) <= rms


def test_default_under_guidance():
    assert_not_thrown_off(t2(15.0), None, 6)
    assert_not_thrown_off(t2(15.0), None, 10)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [7.5, 15.0, 30.0])
@pytest.mark.parametrize("family", ["multistep", "ghvb", "heavy ball"])
def test_never_thrown_off(weight, family):
    for steps in range(6, 13):
        assert_not_thrown_off(t2(weight), Automatic(weight, family), steps, rms=0.3 if weight < 30.0 else 0.35)


@pytest.mark.parametrize("weight", [7.5, 15.0])
@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_never_thrown_off_on_training_steps(weight, spacing):
    """Whose steps of ``log(alpha / sigma)`` are far from equal."""
    for steps in (6, 8, 10):
        x = kt.solve(t2(weight).problem, steps=steps, grid=kt.diffusion.TrainingSteps(spacing)).y1
        assert magnitude(t2(weight), x) <= 1.2 * magnitude(t2(weight), t2(weight).reference)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [7.5, 15.0])
def test_default_errs_less_than_the_first_order(weight):
    case = t2(weight)
    for steps in range(6, 11):
        assert case.rms(case.solve(None, steps)) < case.rms(case.solve(kt.DDIM(), steps))


def test_default_is_what_it_says():
    problem = t1().problem
    assert default_sampler(problem) == Automatic(1.0)
    assert default_sampler(t2(7.5).problem) == Automatic(7.5)
    a_sample_each = kt.DiffusionProblem(
        problem.model, problem.schedule, problem.x, guidance=kt.diffusion.CFG(torch.tensor([2.0, 9.0]))
    )
    assert default_sampler(a_sample_each) == Automatic(9.0)
    away = replace(a_sample_each, guidance=kt.diffusion.CFG(torch.tensor([2.0, -19.0])))
    assert default_sampler(away) == Automatic(20.0)
    assert torch.equal(kt.solve(problem, steps=9).y1, kt.solve(problem, Automatic(1.0), steps=9).y1)


def test_default_with_other_guidance():
    class Strange(kt.diffusion.Guidance):
        pass

    problem = t1().problem
    assert (
        default_sampler(kt.DiffusionProblem(problem.model, problem.schedule, problem.x, guidance=Strange()))
        == kt.DDIM()
    )


@pytest.mark.parametrize(
    ("weight", "expected"), [(1.0, 1.0), (7.5, 7.5), (0.5, 1.0), (0.0, 1.0), (-1.0, 2.0), (-6.5, 7.5)]
)
def test_weights_on_both_sides_are_as_strong(weight, expected):
    """``w`` with the outputs exchanged is ``1 - w``."""
    assert strength(weight) == strength(1.0 - weight) == expected
    few = grid_of(12)
    for family in ("multistep", "ghvb", "heavy ball"):
        assert Automatic(weight, family).choice(few) == Automatic(expected, family).choice(few)


def test_default_costs_one_evaluation_a_step_and_is_third_order():
    case = t1()
    assert kt.solve(case.problem, steps=11).stats.function_evaluations == 11
    assert orders(case.errors(None, (80, 160, 320))) == pytest.approx([3.0, 3.0], abs=0.15)


def test_default_is_second_order_where_guidance_is_strong_and_steps_are_few():
    case, chosen = t1(), Automatic(15.0).choice(grid_of(12))
    assert Automatic(15.0).choice(grid_of(40)) == Automatic(1.0).choice(grid_of(12))
    assert orders(case.errors(chosen, (80, 160, 320))) == pytest.approx([2.0, 2.0], abs=0.1)


@pytest.mark.parametrize("weight", [1.0, 7.5, 15.0, 40.0])
@pytest.mark.parametrize("steps", [6, 10, 15, 25, 60])
def test_choices_are_the_highest_that_are_stable(weight, steps):
    found, mu = grid_of(steps), feedback(weight)
    h = typical_step(finite_steps(found))
    z = (1.0 + mu) * -math.expm1(-h)
    multistep, ghvb, heavy = (Automatic(weight, one).choice(found) for one in ("multistep", "ghvb", "heavy ball"))
    assert (multistep.order == 2) == (corrected_limit(2, h) >= mu)
    limit = MomentumRule.ghvb(ghvb.order, ghvb.beta).real_limit
    assert limit == pytest.approx(z) if ghvb != kt.GHVB(4, 1.0) else limit >= z
    assert heavy.beta >= LEAST_DAMPING - 1e-12 or heavy.base.order == 1
    assert MomentumRule.heavy_ball(heavy.base.order, heavy.beta).real_limit >= z - 1e-12
    assert heavy.base.order == 4 or MomentumRule.heavy_ball(heavy.base.order + 1, LEAST_DAMPING).real_limit < z


def test_stronger_guidance_and_fewer_steps_want_more_damping():
    numbers = [
        [
            (one.order, one.beta)
            for one in (Automatic(weight, "ghvb").choice(grid_of(12)) for weight in (1.0, 7.5, 30.0))
        ],
        [(one.order, one.beta) for one in (Automatic(7.5, "ghvb").choice(grid_of(steps)) for steps in (40, 20, 10))],
    ]
    for row in numbers:
        assert row == sorted(row, reverse=True)
        assert len(set(row)) == 3


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_ends_without_data_and_without_noise(steps):
    schedule = kt.diffusion.RectifiedFlow()
    teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
    x = torch.randn(8, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    for method in (None, Automatic(9.0, "ghvb"), Automatic(9.0, "heavy ball")):
        assert bool(torch.isfinite(kt.solve(problem, method, steps=steps).y1).all())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.inf,), "weight must be a finite number"),
        ((math.nan,), "got nan"),
        (("7.5",), "got '7.5'"),
        ((7.5, "adams"), "family must be one of 'multistep', 'ghvb', 'heavy ball'; got 'adams'"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Automatic(*arguments)


def test_a_long_last_step_is_of_first_order():
    """Even times of VP end with a step from much noise to hardly any, of which a polynomial knows nothing."""
    even = grid_of(12, kt.diffusion.UniformTime())
    assert Automatic().choice(even) == kt.ExponentialMultistep(2, corrector=True, final_orders=(1,))
    assert Automatic().choice(grid_of(12)) == kt.ExponentialMultistep(2, corrector=True)
