"""Heun with churn, ancestral Euler: order, published algorithm, exact variances, seeds."""

import math
from itertools import pairwise

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans.states import states
from tests.solvers.diffusion.problems import F64, orders, stable_diffusion_betas, t1

RHO = kt.diffusion.Rho(7)
VP, EDM = kt.diffusion.VP(), kt.diffusion.EDM(start=10.0, end=0.01)
CHURN = kt.EDMHeun(s_churn=4.0, s_tmin=0.05, s_tmax=8.0)


def variances(sampler, schedule, variance, steps, grid=RHO):
    """Those of the states of a sampler at the nodes, for normal data: found exactly, without drawing a number.

    All is linear, so a state is a sum of the initial one and of the noises; its coordinates here are the factors.
    """
    found = nodes(grid, schedule, steps, schedule.start, schedule.end)
    plan = sampler.plan(found).fixed()
    size = 1 + sum(move.noise != 0.0 for move in plan.moves)
    units = torch.eye(size, dtype=F64)
    teacher = kt.diffusion.GaussianMixture([1.0], [[0.0] * size], [variance])
    start = (found.alpha[0] ** 2 * variance + found.sigma[0] ** 2).sqrt() * units[:1]
    problem = kt.DiffusionProblem(teacher.model(schedule, "data"), schedule, start, prediction="data")
    noises = iter(units[1:, None])
    reached = [start, *states(plan, Denoiser(problem), start, lambda x: next(noises))]
    exact = found.alpha**2 * variance + found.sigma**2
    return torch.stack([reached[one].square().sum() for one in plan.outputs]), exact


def test_heun_is_second_order():
    assert orders(t1().errors(kt.EDMHeun(), (40, 80, 160), grid=RHO)) == pytest.approx([2.0, 2.0], abs=0.06)


def test_evaluations_are_two_a_step_but_one_in_a_step_to_no_noise():
    problem = t1().problem
    assert kt.solve(problem, kt.EDMHeun(), steps=10).stats.function_evaluations == 20
    clean = kt.solve(problem, kt.EDMHeun(), steps=10, grid=kt.diffusion.Rho(7, clean=True))
    assert clean.stats.function_evaluations == 19


def published(denoise, x, levels, churn, low, high, scale, generator):
    """Algorithm 2 of Karras et al., 2022, in their notation, with ``sigma(t) = t`` and ``s(t) = 1``."""
    for t, following in pairwise(levels):
        gamma = min(churn / (len(levels) - 1), math.sqrt(2.0) - 1.0) if low <= t <= high else 0.0
        raised = t * (1.0 + gamma)
        if gamma > 0.0:
            noise = scale * torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = x + math.sqrt(raised**2 - t**2) * noise
        d = (x - denoise(x, raised)) / raised
        reached = x + (following - raised) * d
        if following > 0.0:
            d = 0.5 * (d + (reached - denoise(reached, following)) / following)
            reached = x + (following - raised) * d
        x = reached
    return x


def test_the_published_algorithm_with_churn():
    case = t1()
    levels = [5.0, 3.0, 1.5, 0.6, 0.2, 0.05, 0.0]
    sampler = kt.EDMHeun(s_churn=1.5, s_tmin=0.1, s_tmax=2.0, s_noise=1.003)
    problem = kt.DiffusionProblem(case.problem.model, case.problem.schedule, case.problem.x, t_span=(5.0, 0.0))
    ours = kt.solve(problem, sampler, grid=levels, generator=torch.Generator().manual_seed(3)).y1
    theirs = published(
        lambda x, sigma: case.teacher.data(x, 1.0, sigma),
        case.problem.x,
        levels,
        1.5,
        0.1,
        2.0,
        1.003,
        torch.Generator().manual_seed(3),
    )
    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("schedule", [VP, EDM], ids=["VP", "EDM"])
@pytest.mark.parametrize("sampler", [CHURN, kt.AncestralEuler(0.4), kt.AncestralEuler(1.0)], ids=str)
def test_variance_is_exact_for_data_without_spread(sampler, schedule):
    found, exact = variances(sampler, schedule, 0.0, 12)
    assert torch.allclose(found, exact, rtol=1e-11)


@pytest.mark.parametrize(("sampler", "order"), [(kt.AncestralEuler(), 1), (kt.AncestralEuler(0.5), 1), (CHURN, 2)])
def test_variance_converges_for_data_with_spread(sampler, order):
    ends = [variances(sampler, VP, 0.3, steps) for steps in (200, 400, 800)]
    errors = [float((found[-1] - exact[-1]).abs()) for found, exact in ends]
    assert orders(errors)[-1] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("variance", [0.0, 0.3, 2.0])
def test_churn_leads_to_the_distribution_of_the_raised_level(variance):
    found = nodes(RHO, VP, 10, 1.0, 1e-3)
    plan = CHURN.plan(found).fixed()
    raised = [(number, move) for number, move in enumerate(plan.moves, 1) if move.noise]
    assert raised
    for _, move in raised:
        ((state, kept),) = move.states.items()
        before = plan.levels[state]
        total = kept**2 * (before.alpha**2 * variance + before.sigma**2) + move.noise**2
        assert total == pytest.approx(move.level.alpha**2 * variance + move.level.sigma**2, rel=1e-12)
        gain = (move.level.sigma / move.level.alpha) / (before.sigma / before.alpha)
        assert gain == pytest.approx(1.4, rel=1e-9)  # 1 + 4 / 10


def test_churn_is_limited_and_where_it_is_wanted():
    found = nodes(RHO, EDM, 10, 10.0, 0.01)
    plan = kt.EDMHeun(s_churn=1e3, s_tmin=0.5, s_tmax=5.0).plan(found).fixed()
    sources = [next(iter(move.states)) for move in plan.moves if move.noise]
    kappas = [plan.levels[one].sigma for one in sources]
    assert kappas == [one for one in found.sigma[:-1].tolist() if 0.5 <= one <= 5.0]
    raised = [move.level.sigma for move in plan.moves if move.noise]
    assert raised == pytest.approx([math.sqrt(2.0) * one for one in kappas])


@pytest.mark.parametrize("schedule", [VP, kt.diffusion.Discrete(stable_diffusion_betas())], ids=["VP", "Discrete"])
def test_no_churn_to_more_noise_than_there_is(schedule):
    """A model has not been trained beyond: there is none at the largest noise, and none close below it."""
    first, last = schedule.start, schedule.end
    grid = [first, first - 0.001 * (first - last), 0.5 * (first + last), last]
    found = nodes(grid, schedule, None, first, last)
    plan = kt.EDMHeun(s_churn=1e3).plan(found).fixed()
    raised = [move.level.sigma / move.level.alpha for move in plan.moves if move.noise]
    assert raised == pytest.approx([math.sqrt(2.0) * float(found.kappa[2])], rel=1e-9)


def test_churn_of_a_schedule_without_end_is_not_limited():
    plan = kt.EDMHeun(s_churn=1e3).plan(nodes(RHO, EDM, 10, 10.0, 0.01)).fixed()
    assert plan.moves[0].level.sigma == pytest.approx(10.0 * math.sqrt(2.0))


def test_no_churn_draws_no_noise():
    assert not kt.EDMHeun().plan(nodes(RHO, EDM, 5, 10.0, 0.01)).stochastic
    assert not kt.AncestralEuler(0.0).plan(nodes(RHO, EDM, 5, 10.0, 0.01)).fixed().stochastic


def test_ancestral_without_fresh_noise_is_ddim():
    case = t1()
    assert torch.allclose(case.solve(kt.AncestralEuler(0.0), 9), case.solve(kt.DDIM(), 9), rtol=1e-13)


@pytest.mark.parametrize("sampler", [CHURN, kt.AncestralEuler()], ids=str)
def test_a_sample_with_its_own_generator_does_not_depend_on_the_others(sampler):
    problem = t1().problem

    def sampled(rows):
        some = kt.DiffusionProblem(problem.model, problem.schedule, problem.x[rows])
        return kt.solve(some, sampler, steps=12, generator=[torch.Generator().manual_seed(row) for row in rows]).y1

    together = sampled([0, 1, 2, 3])
    assert torch.allclose(together[2:3], sampled([2]), rtol=1e-13)
    assert torch.allclose(together[[3, 0]], sampled([3, 0]), rtol=1e-13)
    assert torch.equal(together, sampled([0, 1, 2, 3]))


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan, "a", None])
def test_refused_eta(eta):
    with pytest.raises(ValueError, match="eta must be a number between 0 and 1"):
        kt.AncestralEuler(eta)


@pytest.mark.parametrize("name", ["s_churn", "s_tmin", "s_tmax", "s_noise"])
@pytest.mark.parametrize("value", [-1.0, math.nan, "a", None, True])
def test_refused_churn(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a number that is not negative"):
        kt.EDMHeun(**{name: value})
