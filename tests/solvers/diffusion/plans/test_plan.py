"""Plans: a hand-written one with a stage, a corrector and noise, what it costs, and what is kept for it."""

import itertools
import weakref

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.noise import Noise
from kutta.solvers.diffusion.plans.plan import Draft
from kutta.solvers.diffusion.plans.states import states
from tests._helpers import F64, difference, gradient, relative_error
from tests.solvers.diffusion.problems import t1

D = kt.diffusion
STEPS = 6


def name(sampler):
    return type(sampler).__name__


class Everything(D.Sampler):
    """Heun's method by a stage, corrected once at each node, with noise added: all that a plan can say.

    With ``kappa`` for the time: a stage at the next node, the trapezoidal rule over both slopes, a correction with the
    slope at what it led to, and a little noise.
    """

    def plan(self, nodes):
        draft, kappa = Draft(nodes), nodes.kappa
        here = 0
        for n in range(nodes.steps):
            h = kappa[n + 1] - kappa[n]
            stage = draft.add(draft.level(n + 1), {here: 1.0}, {"noise": {here: h}})
            guess = draft.add(draft.level(n + 1), {here: 1.0}, {"noise": {here: 0.5 * h, stage: 0.5 * h}})
            here = draft.arrive(n + 1, {here: 1.0}, {"noise": {here: 0.5 * h, guess: 0.5 * h}}, noise=0.01)
        return draft.plan()


def by_hand(case, kappa, noise):
    """The same as a loop."""
    x = case.problem.x

    def slope(x, level):
        return case.teacher.noise(x, 1.0, float(level))

    for here, there in itertools.pairwise(kappa):
        first = slope(x, here)
        stage = x + (there - here) * first
        guess = x + 0.5 * (there - here) * (first + slope(stage, there))
        x = x + 0.5 * (there - here) * (first + slope(guess, there)) + 0.01 * noise(x)
    return x


def seeded():
    return torch.Generator().manual_seed(3)


def test_a_plan_is_the_loop_it_stands_for():
    case = t1()
    sol = kt.solve(case.problem, Everything(), steps=STEPS, generator=seeded())
    kappa = nodes(D.Rho(), case.problem.schedule, STEPS, 5.0, 0.05).kappa
    assert torch.allclose(sol.y1, by_hand(case, kappa, Noise(seeded())), rtol=1e-12, atol=1e-12)
    assert sol.stats.function_evaluations == 3 * STEPS


def test_what_a_plan_says_of_itself():
    found = nodes(D.Rho(), t1().problem.schedule, STEPS, 5.0, 0.05)
    plan = Everything().plan(found)
    assert plan.evaluations == 3 * STEPS == len(plan.evaluated)
    assert plan.stochastic and not kt.DDIM().plan(found).stochastic
    assert plan.outputs == tuple(range(0, 3 * STEPS + 1, 3))
    assert len(plan.levels) == len(plan.moves) + 1
    # The last state is never evaluated.
    assert plan.outputs[-1] not in plan.evaluated


def test_fixed_plans_have_numbers_and_no_zeros():
    found = nodes(D.UniformTime(), D.RectifiedFlow(), 4, 1.0, 0.0)
    plan = kt.DDIM().plan(found).fixed()
    for move in plan.moves:
        for terms in (move.states, *move.predictions.values()):
            assert all(isinstance(weight, float) and weight != 0.0 for weight in terms.values())
    # The step to the data keeps nothing of the state.
    assert not plan.moves[-1].states and dict(plan.moves[-1].predictions) == {"data": {3: 1.0}}


class Corrected(D.Sampler):
    """Two states at each node, of which the model sees the first only: a corrector for nothing."""

    def plan(self, nodes):
        draft, kappa = Draft(nodes), nodes.kappa
        base, seen = 0, 0
        for n in range(nodes.steps):
            h = kappa[n + 1] - kappa[n]
            if n + 1 == nodes.steps:
                draft.arrive(n + 1, {base: 1.0}, {"noise": {seen: h}})
                continue
            guess = draft.add(draft.level(n + 1), {base: 1.0}, {"noise": {seen: h}})
            base = draft.arrive(n + 1, {base: 1.0}, {"noise": {seen: 0.5 * h, guess: 0.5 * h}})
            seen = guess
        return draft.plan()


@pytest.mark.parametrize(("sampler", "wanted"), [(kt.DDIM(), STEPS), (Corrected(), STEPS), (Everything(), 3 * STEPS)])
def test_the_model_is_called_where_it_is_used(sampler, wanted):
    case, calls = t1(), []
    problem = kt.DiffusionProblem(
        lambda x, t: calls.append(float(t[0])) or case.problem.model(x, t), case.problem.schedule, case.problem.x
    )
    sol = kt.solve(problem, sampler, steps=STEPS)
    assert len(calls) == wanted == sol.stats.function_evaluations
    assert calls == sorted(calls, reverse=True)


class TwoKinds(D.Sampler):
    """Data and noise of one evaluation, guided and free: an Euler step written four ways at once."""

    def plan(self, nodes):
        draft, a, s = Draft(nodes), nodes.alpha, nodes.sigma
        for n in range(nodes.steps):
            halves = {kind: {n: 0.5 * a[n + 1]} for kind in ("data", "free data")}
            halves |= {kind: {n: 0.5 * s[n + 1]} for kind in ("noise", "free noise")}
            draft.arrive(n + 1, {}, halves)
        return draft.plan()


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score", "flow"])
def test_all_kinds_come_from_one_evaluation(prediction):
    case = t1(prediction)
    sol = kt.solve(case.problem, TwoKinds(), steps=STEPS)
    wanted = kt.solve(t1().problem, kt.DDIM(), steps=STEPS)
    assert torch.allclose(sol.y1, wanted.y1, rtol=1e-10, atol=1e-12)
    assert sol.stats.function_evaluations == STEPS


def run(plan, case):
    *_, last = states(plan, Denoiser(case.problem), case.problem.x, Noise(seeded()))
    return last


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score", "flow"])
@pytest.mark.parametrize("sampler", [kt.DDIM(), Corrected(), Everything(), TwoKinds()], ids=name)
def test_folding_changes_nothing(sampler, prediction):
    case = t1(prediction)
    plan = sampler.plan(nodes(D.Rho(), case.problem.schedule, STEPS, 5.0, 0.05)).fixed()
    after = folded(plan, prediction)
    assert torch.allclose(run(after, case), run(plan, case), rtol=1e-11, atol=1e-11)
    assert after.evaluated == plan.evaluated and after.outputs == plan.outputs


def test_folding_leaves_what_is_used_often():
    class Lasting(D.Sampler):
        def plan(self, nodes):
            draft = Draft(nodes)
            for n in range(nodes.steps):
                draft.arrive(n + 1, {n: 1.0}, {"data": {0: 0.1}})
            return draft.plan()

    found = nodes(D.Rho(), t1().problem.schedule, STEPS, 5.0, 0.05)
    plan = Lasting().plan(found).fixed()
    assert folded(plan, "epsilon") == plan
    assert {kind for move in folded(kt.DDIM().plan(found).fixed(), "epsilon").moves for kind in move.predictions} == {
        "output"
    }


@pytest.mark.parametrize("sampler", [kt.DDIM(), Corrected(), Everything()], ids=name)
def test_what_is_not_needed_is_let_go(sampler):
    """While the model is evaluated, no more than the last few states and predictions are alive."""
    case, made, alive = t1(), [], []
    plan = sampler.plan(nodes(D.Rho(), case.problem.schedule, 12, 5.0, 0.05)).fixed()

    def evaluate(x, level, kinds):
        alive.append(sum(one() is not None for one in made))
        output = case.teacher.noise(x, 1.0, float(level.sigma))
        made.append(weakref.ref(output))
        return dict.fromkeys(kinds, output)

    for state in states(plan, evaluate, case.problem.x, torch.randn_like):
        made.append(weakref.ref(state))
        del state
    # DDIM has the one state; the others a guess, the state from which it came and the slope there.
    assert max(alive) == {"DDIM": 1, "Corrected": 3, "Everything": 3}[type(sampler).__name__], alive


def test_weights_carry_gradients_to_the_times():
    case = t1()

    def end(t):
        plan = kt.DDIM().plan(D.Nodes.at(case.problem.schedule, t))
        *_, last = states(plan, Denoiser(case.problem), case.problem.x, torch.randn_like)
        return last.square().sum()

    t = torch.tensor([5.0, 2.0, 0.7, 0.2, 0.05], dtype=F64)
    assert relative_error(gradient(end, t), difference(end, t)) < 1e-8


def test_a_sampler_must_reach_every_node():
    class Lazy(D.Sampler):
        def plan(self, nodes):
            return Draft(nodes).plan()

    with pytest.raises(AssertionError):
        kt.solve(t1().problem, Lazy(), steps=3)
