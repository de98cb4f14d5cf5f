"""Momentum on samplers: against velocities that are kept, on the toy system, and under guidance."""

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import Nodes, nodes
from kutta.solvers.diffusion.momentum.heavy_ball import AggregatedMomentum, HeavyBall, Nesterov
from kutta.solvers.diffusion.momentum.splitting import LTSP
from kutta.solvers.diffusion.plans.plan import Plan
from tests.solvers.diffusion.problems import F64, magnitude, orders, t1, t2, t2_grid

BASES = [
    kt.DDIM(),
    kt.PLMS(4),
    kt.DEIS(3),
    kt.DPMSolverPP(2),
    kt.ExponentialMultistep(3),
    kt.UniPC(2),
    kt.UniPC(3),
    kt.EDMHeun(),
    kt.diffusion.DPMSolverSinglestep(2, solver_type="heun"),
    kt.diffusion.DPMSolverSinglestep(3, "noise"),
]


def nodes_of(problem, steps, grid):
    return nodes(grid, problem.schedule, steps, problem.schedule.start, problem.schedule.end)


class HeavyVelocity:
    """``v = (1 - beta) v + beta F``."""

    def __init__(self, beta):
        self.beta, self.v = beta, None

    def __call__(self, average):
        self.v = average if self.v is None else (1.0 - self.beta) * self.v + self.beta * average
        return self.v


class NesterovVelocity(HeavyVelocity):
    """``(1 - beta) v + beta F``."""

    def __call__(self, average):
        return (1.0 - self.beta) * super().__call__(average) + self.beta * average


class AggregatedVelocity:
    """``sum_i w_i v_i``."""

    def __init__(self, betas, weights):
        self.weights, self.velocities = weights, [HeavyVelocity(beta) for beta in betas]

    def __call__(self, average):
        return sum(weight * velocity(average) for weight, velocity in zip(self.weights, self.velocities, strict=True))


def with_kept_velocities(case, base, steps, new_velocity):
    """The base's steps with velocities that are tensors: one for predictors and one for correctors."""
    plan = base.plan(nodes_of(case.problem, steps, kt.diffusion.Rho(7))).fixed()
    evaluate, known, predicted, velocities = Denoiser(case.problem), [case.problem.x], {}, {}
    for number, move in enumerate(plan.moves, 1):
        if set(move.predictions) != set(plan.moves[-1].predictions):  # Euler's step, by the other kind
            kept, push = FORMS["noise"].step(plan.levels[number - 1], move.level)
            move = replace(move, states={number - 1: kept}, predictions={"noise": {number - 1: push}})
        (state, factor), (kind, terms) = next(iter(move.states.items())), next(iter(move.predictions.items()))
        for one in terms.keys() - predicted.keys():
            predicted[one] = evaluate(known[one], plan.levels[one], [kind])[kind]
        gain = sum(terms.values())
        average = sum(weight * predicted[one] for one, weight in terms.items()) / gain
        corrects = number >= 2 and plan.levels[number - 1].t == move.level.t
        velocity = velocities.setdefault(corrects, new_velocity())
        known.append(factor * known[state] + gain * velocity(average))
    return known[-1]


@pytest.mark.parametrize("base", BASES, ids=lambda base: f"{type(base).__name__}{getattr(base, 'order', '')}")
@pytest.mark.parametrize(
    ("method", "velocity"),
    [
        (lambda base: HeavyBall(base, 0.8), lambda: HeavyVelocity(0.8)),
        (lambda base: Nesterov(base, 0.7), lambda: NesterovVelocity(0.7)),
        (
            lambda base: AggregatedMomentum(base, (0.9, 0.5, 0.2), (0.5, 0.3, 0.2)),
            lambda: AggregatedVelocity((0.9, 0.5, 0.2), (0.5, 0.3, 0.2)),
        ),
    ],
    ids=["heavy ball", "nesterov", "aggregated"],
)
def test_recursion_is_what_kept_velocities_give(base, method, velocity):
    case = t1()
    wanted = with_kept_velocities(case, base, 10, velocity)
    assert torch.allclose(case.solve(method(base), 10), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("base", BASES, ids=lambda base: f"{type(base).__name__}{getattr(base, 'order', '')}")
def test_without_damping_and_at_the_first_step_it_is_the_base(base):
    case = t1()
    wanted = kt.solve(case.problem, base, steps=8, save_at="steps").ys
    for method in (HeavyBall(base, 1.0), Nesterov(base, 1.0), AggregatedMomentum(base, (1.0, 1.0))):
        assert torch.allclose(case.solve(method, 8), wanted[-1], rtol=1e-12, atol=1e-12)
    first = kt.solve(case.problem, HeavyBall(base, 0.6), steps=8, save_at="steps").ys[1]
    assert torch.allclose(first, wanted[1], rtol=1e-12, atol=1e-12)


def test_same_damping_twice_is_heavy_ball():
    case, base = t1(), kt.DPMSolverPP(2)
    twice = case.solve(AggregatedMomentum(base, (0.7, 0.7), (0.25, 0.75)), 12)
    assert torch.allclose(twice, case.solve(HeavyBall(base, 0.7), 12), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("base", [kt.PLMS(4), kt.DPMSolverPP(2)], ids=["PLMS4", "DPM++2M"])
@pytest.mark.parametrize("prediction", ["data", "v"])
def test_velocity_starts_from_what_the_base_averages(base, prediction):
    """Whatever the model predicts."""
    schedule = kt.diffusion.VP()
    teacher = kt.diffusion.GaussianMixture([0.4, 0.6], [[-2.0, 0.0], [1.0, 1.0]], [0.1, 0.2])
    x = torch.randn(8, 2, dtype=F64, generator=torch.Generator().manual_seed(1))
    ends = [
        kt.solve(kt.DiffusionProblem(teacher.model(schedule, one), schedule, x, one), HeavyBall(base, 0.8), steps=9).y1
        for one in ("epsilon", prediction)
    ]
    assert torch.allclose(*ends, rtol=1e-10, atol=1e-10)


METHODS = [HeavyBall, Nesterov, AggregatedMomentum]


@pytest.mark.parametrize("method", METHODS)
def test_times_of_the_base(method):
    """A base that brings its times is followed along them, and no others are asked for."""
    case = t1()
    times = nodes_of(case.problem, 9, kt.diffusion.Rho(7)).t
    base = kt.diffusion.named_schedule("exponential", times, case.problem.schedule, 3)
    found = kt.solve(case.problem, method(base))
    assert torch.equal(method(base).times, times)
    assert torch.allclose(found.y1, case.solve(method(kt.ExponentialMultistep(3)), None, grid=times), rtol=1e-9)
    with pytest.raises(
        ValueError, match=f"steps means nothing to the sampler {method.__name__}, which brings its times"
    ):
        kt.solve(case.problem, method(base), steps=9)
    assert method(kt.DDIM()).times is None


def test_a_rule_of_ones_own():
    """Bounded memory: the mean of the last two predictions."""

    class LastTwo(kt.diffusion.Momentum):
        def recursion(self, levels):
            return (), (0.5, 0.5)

    case = t1()
    assert orders(case.errors(LastTwo(kt.DDIM()), (320, 640))) == pytest.approx([1.0], abs=0.05)


@pytest.mark.parametrize(
    "base",
    [kt.PLMS(4), kt.DPMSolverPP(2), kt.diffusion.DPMSolverSinglestep(3)],
    ids=["PLMS4", "DPM++2M", "DPM++3S"],
)
def test_order_is_one(base):
    case = t1()
    assert orders(case.errors(HeavyBall(base, 0.8), (320, 640))) == pytest.approx([1.0], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("base", [kt.PLMS(4), kt.DPMSolverPP(2), kt.UniPC(2)], ids=["PLMS4", "DPM++2M", "UniPC2"])
@pytest.mark.parametrize("method", [HeavyBall, Nesterov], ids=["heavy ball", "nesterov"])
def test_orders_are_one(base, method):
    case = t1()
    assert orders(case.errors(method(base, 0.6), (640, 1280))) == pytest.approx([1.0], abs=0.05)


def toy_error(method, steps):
    """The error at 3 on ``x' = [[0, 1], [-9, -10]] x``, written as a flow whose noise falls from 4 to 1."""
    matrix = torch.tensor([[0.0, 1.0], [-9.0, -10.0]], dtype=F64)
    problem = kt.DiffusionProblem(
        lambda x, t: -x @ matrix.T, kt.diffusion.EDM(4.0, 1.0), torch.tensor([[-1.0, 0.0]], dtype=F64)
    )
    exact = [
        (math.exp(-27.0) - 9.0 * math.exp(-3.0)) / 8.0,
        (-9.0 * math.exp(-27.0) + 9.0 * math.exp(-3.0)) / 8.0,
    ]
    end = kt.solve(problem, method, steps=steps, grid=kt.diffusion.UniformTime()).y1
    return float((end - torch.tensor(exact, dtype=F64)).norm())


@pytest.mark.parametrize(
    ("method", "steps", "wanted"),
    [
        (kt.DDIM(), 26, 1.36e-2),
        (kt.PLMS(2), 26, 1.44),
        (HeavyBall(kt.PLMS(2), 0.8), 26, 6.3e-3),
        (HeavyBall(kt.PLMS(2), 0.9), 26, 2.9e-3),
        (kt.GHVB.numbered(1.8), 26, 7.2e-4),
        (kt.GHVB.numbered(1.9), 26, 4.7e-2),
        (kt.PLMS(2), 24, 17.6),
        (kt.GHVB.numbered(1.9), 24, 1.01),
        (kt.GHVB.numbered(1.8), 24, 4.2e-2),
        (HeavyBall(kt.PLMS(2), 0.8), 24, 6.8e-3),
    ],
)
def test_toy_system(method, steps, wanted):
    assert toy_error(method, steps) == pytest.approx(wanted, rel=0.02)


def test_guided_miniature():
    """PLMS of order 4 blows up in 8 steps; damped it does not."""
    case = t2(7.5)
    wanted = magnitude(case, case.reference)
    plain, damped = (
        magnitude(case, case.solve(method, None, grid=t2_grid(8)))
        for method in (kt.PLMS(4), HeavyBall(kt.PLMS(4), 0.8))
    )
    assert plain >= 5.0 * wanted
    assert damped <= 1.2 * wanted


@pytest.mark.slow
@pytest.mark.parametrize("weight", [7.5, 15.0])
@pytest.mark.parametrize("steps", [6, 8, 10])
def test_ordering_under_guidance(weight, steps):
    case, grid = t2(weight), t2_grid(steps)
    methods = [kt.PLMS(4), kt.GHVB.numbered(3.8), HeavyBall(kt.PLMS(4), 0.9), HeavyBall(kt.PLMS(4), 0.8)]
    errors = [case.rms(case.solve(method, None, grid=grid)) for method in methods]
    assert errors == sorted(errors, reverse=True)
    assert case.rms(case.solve(kt.GHVB.numbered(2.5), None, grid=grid)) < 0.25 * errors[1]
    assert magnitude(case, case.solve(kt.PLMS(4), None, grid=grid)) >= 5.0 * magnitude(case, case.reference)


def test_steps_without_data_or_noise_are_left_alone():
    schedule = kt.diffusion.RectifiedFlow()
    teacher = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0], [2.0]], [0.1, 0.1])
    x = torch.randn(8, 1, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(teacher.model(schedule, "flow"), schedule, x, prediction="flow")
    found = nodes_of(problem, 9, kt.diffusion.UniformTime())
    for base in (kt.DDIM(), kt.PLMS(3), kt.UniPC(2)):
        plan, plain = HeavyBall(base, 0.7).plan(found).fixed(), base.plan(found).fixed()
        assert (plan.moves[0], plan.moves[-1]) == (plain.moves[0], plain.moves[-1])
        assert bool(torch.isfinite(kt.solve(problem, HeavyBall(base, 0.7), steps=9).y1).all())


def test_float32_states():
    case = t1()
    problem = kt.DiffusionProblem(case.problem.model, case.problem.schedule, case.problem.x.float())
    single = kt.solve(problem, HeavyBall(kt.DPMSolverPP(2), 0.6), steps=40).y1
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), case.solve(HeavyBall(kt.DPMSolverPP(2), 0.6), 40), atol=1e-4)


@dataclass(frozen=True)
class Both(kt.diffusion.Sampler):
    """Half of a step by the data, half by the noise."""

    def plan(self, nodes: Nodes) -> Plan:
        draft = kt.diffusion.Draft(nodes)
        for n in range(nodes.steps):
            draft.arrive(n + 1, {n: 1.0}, {"data": {n: 0.1}, "noise": {n: 0.1}})
        return draft.plan()


@pytest.mark.parametrize(
    ("base", "message"),
    [
        (kt.AncestralEuler(), "adds noise"),
        (kt.DPMSolverPP(2, eta=1.0), "adds noise"),
        (kt.EDMHeun(s_churn=10.0), "adds noise"),
        (HeavyBall(kt.DDIM(), 0.5), "several states"),
        (kt.GHVB(2, 0.5), "several states"),
        (LTSP(4, 0.8), "several"),
        (Both(), "several kinds"),
    ],
    ids=lambda one: type(one).__name__ if not isinstance(one, str) else one,
)
@pytest.mark.parametrize("method", [HeavyBall, Nesterov])
def test_refused_bases(base, message, method):
    with pytest.raises(ValueError, match=f"base must be .*{message}"):
        kt.solve(t1().problem, method(base, 0.8), steps=5)


@pytest.mark.parametrize("beta", [0.0, -0.1, 1.01, float("nan"), "0.8", None, True])
@pytest.mark.parametrize("method", [HeavyBall, Nesterov])
def test_refused_dampings(method, beta):
    with pytest.raises(ValueError, match="beta must be a number above 0"):
        method(kt.DDIM(), beta)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "one damping or more"),
        (((0.5, 0.0),), r"betas\[1\]"),
        (((0.5, 1.0), (1.0,)), "2 numbers that sum to 1"),
        (((0.5, 1.0), (0.5, 0.6)), "2 numbers that sum to 1"),
    ],
)
def test_refused_aggregates(arguments, message):
    with pytest.raises(ValueError, match=message):
        AggregatedMomentum(kt.DDIM(), *arguments)


@pytest.mark.parametrize("base", [kt.DDIM, "ddim", None])
@pytest.mark.parametrize("method", METHODS)
def test_base_must_be_a_sampler(method: Any, base):
    with pytest.raises(TypeError, match="base must be a sampler"):
        method(base)
