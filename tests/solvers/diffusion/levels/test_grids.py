"""Grids: their formulas, and all that can be wrong with the times of a sampler."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import kutta as kt
from kutta.solvers.diffusion.guidance.denoiser import Denoiser
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.plans.plan import Draft, Level
from kutta.solvers.diffusion.plans.states import states
from tests._helpers import F64, tensor
from tests.solvers.diffusion.problems import stable_diffusion_betas, t1

D = kt.diffusion
VP, FLOW, DISCRETE = D.VP(), D.RectifiedFlow(), D.Discrete(stable_diffusion_betas())
RULES = [
    D.Rho(),
    D.Rho(1.0),
    D.Rho(math.inf),
    D.UniformLogSNR(),
    D.UniformTime(),
    D.UniformTime(power=2.0),
    D.UniformTime(shift=3.0),
    D.Beta(),
    D.Beta(2.0, 0.8),
]
WHOLE = [
    D.TrainingSteps(),
    D.TrainingSteps("leading", offset=1),
    D.TrainingSteps("trailing"),
]


def zero_terminal():
    betas = stable_diffusion_betas()
    betas[-1] = 1.0
    return D.Discrete(betas)


# ------------------------------------------------------------------------------------------ rules


@pytest.mark.parametrize("grid", RULES, ids=repr)
@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 60), start=st.floats(0.3, 1.0), end=st.floats(0.001, 0.2))
def test_a_grid_leads_from_one_end_to_the_other(grid, steps, start, end):
    found = nodes(grid, VP, steps, start, end)
    assert found.steps == steps and float(found.t[0]) == start and float(found.t[-1]) == end
    assert (torch.diff(found.t) < 0).all() and (torch.diff(found.log_snr) > 0).all()
    assert torch.allclose(found.kappa, torch.exp(-found.log_snr), rtol=1e-12)
    for values in (found.t, found.alpha, found.sigma, found.log_snr, found.model_t):
        assert values.dtype == F64 and values.shape == (steps + 1,)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_rho_against_its_formula(rho):
    found = nodes(D.Rho(rho), D.EDM(), 10, 80.0, 0.002)
    i = torch.arange(11, dtype=F64) / 10
    wanted = (80.0 ** (1 / rho) + i * (0.002 ** (1 / rho) - 80.0 ** (1 / rho))) ** rho
    assert torch.allclose(found.kappa, wanted, rtol=1e-12)


def test_an_infinite_rho_is_uniform_in_log_snr():
    infinite, large = (nodes(D.Rho(rho), VP, 12, 1.0, 0.01).log_snr for rho in (math.inf, 1e5))
    assert torch.allclose(torch.diff(infinite), torch.diff(infinite)[0], rtol=1e-10)
    assert torch.allclose(infinite, large, atol=1e-3)


def test_uniform_time_with_a_power_and_a_shift():
    assert torch.allclose(nodes(D.UniformTime(), FLOW, 4, 1.0, 0.0).t, tensor(1.0, 0.75, 0.5, 0.25, 0.0))
    assert torch.allclose(nodes(D.UniformTime(2.0), FLOW, 4, 1.0, 0.0).t, tensor(1.0, 0.5625, 0.25, 0.0625, 0.0))
    t = nodes(D.UniformTime(shift=3.0), FLOW, 4, 1.0, 0.0).t
    even = tensor(1.0, 0.75, 0.5, 0.25, 0.0)
    assert torch.allclose(t, 3.0 * even / (1.0 + 2.0 * even))


def test_a_shift_leaves_the_first_time_where_the_state_is():
    t = nodes(D.UniformTime(shift=3.0), FLOW, 4, 0.6, 0.0).t
    assert float(t[0]) == 0.6
    plain = t / (3.0 - 2.0 * t)
    assert torch.allclose(torch.diff(plain), torch.diff(plain)[0])


def test_beta_has_the_quantiles():
    t = nodes(D.Beta(0.6, 0.6), FLOW, 8, 1.0, 0.0).t
    assert np.allclose(stats.beta.cdf(t.numpy(), 0.6, 0.6), np.linspace(1.0, 0.0, 9))


@pytest.mark.parametrize("grid", [D.Rho(), D.UniformTime(), D.Beta(), D.UniformLogSNR()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_a_clean_end_is_one_of_the_steps(grid, steps):
    found = nodes(type(grid)(clean=True), VP, steps, 1.0, 0.01)
    assert found.steps == steps
    assert found.sigma[-1] == 0.0 and found.alpha[-1] == 1.0 and found.log_snr[-1] == math.inf
    assert steps == 1 or float(found.t[-2]) == 0.01


def test_a_clean_end_of_a_schedule_that_has_one():
    plain, clean = (nodes(D.UniformTime(clean=one), FLOW, 5, 1.0, 0.0) for one in (False, True))
    assert torch.equal(plain.t, clean.t)


# -------------------------------------------------------------------------- whole training steps


def first_of(grid, steps):
    """The time at which a grid begins, when its end is 0."""
    return float(grid.times(DISCRETE, steps - grid.clean, 999.0, 0.0)[0]) if steps > grid.clean else 999.0


@pytest.mark.parametrize("grid", WHOLE, ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 7, 50, 999, 1000, 1500, 5000])
def test_training_steps_are_whole_and_different(grid, steps):
    found = nodes(grid, DISCRETE, steps, first_of(grid, steps), 0.0)
    assert torch.equal(found.t, found.t.round())
    assert (torch.diff(found.t) < 0).all() and found.t[-1] == 0.0 and found.t[0] <= 999.0
    assert found.steps == min(steps, found.steps)
    assert found.steps >= min(steps, 400)  # whole ratios leave some out


@pytest.mark.parametrize("clean", [False, True])
def test_more_steps_than_there_are(clean):
    found = nodes(D.TrainingSteps(clean=clean), DISCRETE, 4000, 999.0, 0.0)
    wanted = torch.arange(999, -1, -1, dtype=F64)
    assert torch.equal(found.t[:1000], wanted)
    assert found.steps == (1000 if clean else 999)
    short = D.Discrete([0.1, 0.2, 0.3])
    x = torch.ones(2, 1, dtype=F64)
    problem = kt.DiffusionProblem(lambda x, t: 0.1 * x, short, x)
    sol = kt.solve(problem, kt.DDIM(), steps=50, grid=D.TrainingSteps(clean=clean))
    assert torch.isfinite(sol.y1).all() and sol.stats.function_evaluations == (3 if clean else 2)


@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
@pytest.mark.parametrize("steps", [7, 10, 20, 33])
def test_training_steps_are_those_of_diffusers(spacing, steps):
    diffusers = pytest.importorskip("diffusers")
    offset = 1 if spacing == "leading" else 0
    other = diffusers.DDIMScheduler(timestep_spacing=spacing, steps_offset=offset)
    other.set_timesteps(steps)
    grid = D.TrainingSteps(spacing, offset=offset, clean=True)
    found = nodes(grid, DISCRETE, steps, first_of(grid, steps), 0.0)
    assert found.t[:-1].tolist() == other.timesteps.tolist()


@pytest.mark.parametrize("clean", [False, True])
def test_leading_steps_begin_where_the_state_is(clean):
    grid = D.TrainingSteps("leading", offset=1, clean=clean)
    problem = kt.DiffusionProblem(lambda x, t: 0.1 * x, DISCRETE, torch.ones(2, 1, dtype=F64))
    with pytest.raises(ValueError, match=r"begins at t = 901, .* t = 999: give the problem t_span=\(901, 0\)"):
        kt.solve(problem, kt.DDIM(), steps=10, grid=grid)
    sol = kt.solve(replace(problem, t_span=(901, 0)), kt.DDIM(), steps=10, grid=grid, save_at="steps")
    assert sol.ts.tolist() == [*range(901, 0, -100), 1.0 if clean else 0.0]


def test_training_steps_from_the_middle():
    found = nodes(D.TrainingSteps(), DISCRETE, 5, 500.0, 0.0)
    assert found.t.tolist() == [500.0, 400.0, 300.0, 200.0, 100.0, 0.0]
    trailing = nodes(D.TrainingSteps("trailing", clean=True), DISCRETE, 3, 299.0, 0.0)
    assert trailing.t.tolist() == [299.0, 199.0, 99.0, 99.0]


# ------------------------------------------------------------------- the seven edges of the matter


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v"])
def test_edge_1_a_last_node_without_noise(prediction):
    teacher = t1().teacher
    x, end = t1().problem.x, {}
    for one in ("data", prediction):
        schedule = D.EDM(start=5.0, end=0.0)
        problem = kt.DiffusionProblem(teacher.model(schedule, one), schedule, x, prediction=one)
        sol = kt.solve(problem, kt.DDIM(), grid=[5.0, 2.0, 0.5, 0.1, 0.0], save_at="steps")
        end[one] = sol.y1
        # The last step takes the prediction of the data as it is.
        assert torch.allclose(sol.y1, teacher.data(sol.ys[-2], 1.0, 0.1), rtol=1e-12)
    assert torch.allclose(end["data"], end[prediction], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("prediction", ["data", "v", "flow"])
def test_edge_2_a_first_node_without_data(prediction):
    teacher, schedule = t1().teacher, zero_terminal()
    z = t1().problem.x / 5.0
    problem = kt.DiffusionProblem(teacher.model(schedule, prediction), schedule, z, prediction=prediction)
    sol = kt.solve(problem, kt.DDIM(), steps=10, grid=D.TrainingSteps(), save_at="steps")
    alpha, sigma = schedule.alpha(sol.ts[1]), schedule.sigma(sol.ts[1])
    mean = (teacher.weights[:, None] * teacher.means).sum(0)
    assert torch.allclose(sol.ys[1], sigma * z + alpha * mean, rtol=1e-12)
    assert torch.isfinite(sol.ys).all()


@pytest.mark.parametrize("prediction", ["epsilon", "score"])
def test_edge_2_noise_says_nothing_where_there_is_no_data(prediction):
    problem = kt.DiffusionProblem(lambda x, t: x, zero_terminal(), torch.ones(2, 2), prediction=prediction)
    for options in ({"steps": 10, "grid": D.TrainingSteps()}, {"grid": [999.0, 500.0, 0.0]}):
        with pytest.raises(ValueError, match="there is only noise"):
            kt.solve(problem, kt.DDIM(), **options)
    later = replace(problem, t_span=(998, 0))
    assert torch.isfinite(kt.solve(later, kt.DDIM(), steps=5).y1).all()


def test_edge_3_repeated_times():
    with pytest.raises(ValueError, match="without repetitions"):
        nodes([999.0, 500.0, 500.0, 0.0], DISCRETE, None, 999.0, 0.0)
    found = nodes(D.TrainingSteps(), D.Discrete(0.01 * torch.ones(10)), 30, 9.0, 0.0)
    assert found.t.tolist() == list(range(9, -1, -1))


@pytest.mark.parametrize(
    "times",
    [[0.1, 0.5, 1.0], [1.0, 0.2, 0.5, 0.1], [1.0, math.nan, 0.1]],
    ids=["reversed", "back and forth", "nan"],
)
def test_edge_4_times_that_do_not_lead_to_the_data(times):
    with pytest.raises(ValueError, match="must lead from noise to data"):
        nodes(times, VP, None, 1.0, 0.1)


@pytest.mark.parametrize(
    ("schedule", "times", "between"),
    [
        (DISCRETE, [1200.0, 500.0, 0.0], "0 and 999; got 1200"),
        (DISCRETE, [999.0, 500.0, -1.0], "0 and 999; got -1"),
        (VP, [1.0, math.inf, 0.1], "0 and 1; got inf"),
        (VP, [1.1, 0.1], "0 and 1; got 1.1"),
        (D.VE(), [1.0, -0.5], "0 and 1; got -0.5"),
        (D.Cosine(), [1.5, 0.1], "0 and 1; got 1.5"),
        (FLOW, [1.5, 0.1], "0 and 1; got 1.5"),
        (D.EDM(), [1.0, -0.1], "0 and inf; got -0.1"),
    ],
    ids=str,
)
def test_times_beyond_the_schedule(schedule, times, between):
    with pytest.raises(ValueError, match=f"times of .* must lie between {between}"):
        nodes(times, schedule, None, times[0], times[-1])
    problem = kt.DiffusionProblem(lambda x, t: 0.1 * x, schedule, torch.ones(2, 1), t_span=(times[0], times[-1]))
    for method in (kt.DDIM(), kt.AdaptiveMultistep(), kt.Tsit5()):
        if math.inf not in times:
            with pytest.raises(ValueError, match=f"must lie between {between}"):
                kt.solve(problem, method)


@pytest.mark.parametrize("times", [[1.0], [[1.0, 0.1]], 0.5, []])
def test_edge_4_no_vector_of_times(times):
    with pytest.raises(ValueError, match=r"grid must be a Grid such as .* or a vector of two and more times"):
        nodes(times, VP, None, 1.0, 0.1)


@pytest.mark.parametrize("times", ["karras", {}, [1.0, "b"]])
def test_times_that_are_no_numbers(times):
    with pytest.raises(TypeError, match=r"grid must be a Grid such as .* or a vector of two and more times; got"):
        nodes(times, VP, None, 1.0, 0.1)


def test_one_leading_step_leads_nowhere():
    trained = D.Discrete(torch.linspace(0.0001, 0.02, 1000))
    with pytest.raises(ValueError, match=r"steps=1 of TrainingSteps.* do not leave t = 0: take more steps"):
        nodes(D.TrainingSteps("leading"), trained, 1, 999.0, 0.0)
    assert nodes(D.TrainingSteps("leading", clean=True), trained, 1, 999.0, 0.0).steps == 1


def test_edge_4_before_the_model_is_called():
    calls = []
    problem = kt.DiffusionProblem(lambda x, t: calls.append(t) or x, VP, torch.ones(2, 2))
    with pytest.raises(ValueError, match="must lead from noise to data"):
        kt.solve(problem, kt.DDIM(), grid=[1.0, 0.2, 0.5])
    assert not calls


@dataclass(frozen=True)
class TwoStep(kt.diffusion.Sampler):
    """Adams-Bashforth of second order in ``kappa``, which needs the prediction before."""

    def plan(self, nodes):
        draft, a, kappa = Draft(nodes), nodes.alpha, nodes.kappa
        for n in range(nodes.steps):
            h = kappa[n + 1] - kappa[n]
            ratio = 0.5 * h / (kappa[n] - kappa[n - 1]) if n else 0.0
            noise = {n: a[n + 1] * h * (1 + ratio)} | ({n - 1: -a[n + 1] * h * ratio} if n else {})
            draft.arrive(n + 1, {n: a[n + 1] / a[n]}, {"noise": noise})
        return draft.plan()


@pytest.mark.parametrize("sampler", [kt.DDIM(), TwoStep()], ids=repr)
def test_edge_5_a_start_in_the_middle(sampler):
    case = t1()
    middle = case.exact([5.0, 1.0])[-1]
    problem = kt.DiffusionProblem(case.problem.model, case.problem.schedule, middle, t_span=(1.0, 0.05))
    errors = [case.error(kt.solve(problem, sampler, steps=steps).y1) for steps in (40, 80)]
    # The history begins anew: the first step is one of first order, and the order that of a whole run.
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1.0 if sampler == kt.DDIM() else 2.0, abs=0.15)
    calls = []
    counted = kt.DiffusionProblem(
        lambda x, t: calls.append(float(t[0])) or x, case.problem.schedule, middle, t_span=(1.0, 0.05)
    )
    kt.solve(counted, sampler, steps=4)
    assert len(calls) == 4 and calls[0] == 1.0


@pytest.mark.parametrize(
    "times",
    [[999, 500, 0], (999.0, 500.0, 0.0), np.array([999, 500, 0]), torch.tensor([999, 500, 0]),
     torch.tensor([999.0, 500.0, 0.0]), torch.tensor([999.0, 500.0, 0.0], dtype=F64)],
    ids=["ints", "floats", "numpy", "int64", "float32", "float64"],
)  # fmt: skip
def test_edge_6_times_of_every_kind(times):
    problem = kt.DiffusionProblem(lambda x, t: 0.1 * x, DISCRETE, torch.ones(2, 2, dtype=F64))
    sol = kt.solve(problem, kt.DDIM(), grid=times, save_at="steps")
    wanted = kt.solve(problem, kt.DDIM(), grid=tensor(999.0, 500.0, 0.0), save_at="steps")
    assert torch.equal(sol.ts, wanted.ts) and torch.equal(sol.ys, wanted.ys)


def test_edge_7_a_noise_level_for_each_sample():
    """A batch at levels of its own takes the steps that its samples take alone."""
    case, h = t1(), 0.3
    log_snr = torch.linspace(-1.0, 1.0, 16, dtype=F64)
    schedule, x = case.problem.schedule, case.problem.x

    def step(x, first):
        levels = [
            Level(t, schedule.alpha(t), schedule.sigma(t), t) for t in (schedule.time(first), schedule.time(first + h))
        ]
        kept = levels[1].sigma / levels[0].sigma
        move = D.Move(levels[1], {0: kept}, {"data": {0: levels[1].alpha - kept * levels[0].alpha}})
        problem = kt.DiffusionProblem(case.problem.model, schedule, x)
        return list(states(D.Plan(levels[0], (move,), (0, 1)), Denoiser(problem), x, torch.randn_like))[-1]

    together = step(x, log_snr)
    alone = torch.cat([step(x[i : i + 1], log_snr[i]) for i in range(16)])
    assert torch.allclose(together, alone, rtol=1e-13, atol=1e-14)


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("steps", [0, -1, 2.5, None, True, "5"])
def test_numbers_of_steps_that_are_none(steps):
    with pytest.raises(ValueError, match="steps must"):
        nodes(D.Rho(), VP, steps, 1.0, 0.1)


@pytest.mark.parametrize("grid", [D.Rho(), D.UniformLogSNR(), D.Rho(math.inf)], ids=repr)
def test_a_last_time_without_noise_is_reached_from_little_noise(grid):
    found = nodes(grid, D.EDM(end=0.0), 5, 80.0, 0.0)
    inner = nodes(grid, D.EDM(), 4, 80.0, 0.002)
    assert found.t[-1] == 0.0 and found.sigma[-1] == 0.0
    assert torch.allclose(found.t[:-1], inner.t, rtol=1e-12)
    assert nodes(grid, D.EDM(end=0.0), 1, 80.0, 0.0).t.tolist() == [80.0, 0.0]
    assert nodes(type(grid)(least=0.01), D.EDM(end=0.0), 3, 80.0, 0.0).t[-2] == pytest.approx(0.01)


def test_refusals_of_the_rules():
    for rho in (0.0, "7", None):
        with pytest.raises(ValueError, match="rho must be a positive number"):
            D.Rho(rho)
    for shift in (-1.0, "a", True):
        with pytest.raises(ValueError, match="shift must be a positive number"):
            D.UniformTime(shift=shift)
    with pytest.raises(ValueError, match="shift is for times between 0 and 1"):
        nodes(D.UniformTime(shift=2.0), D.EDM(), 5, 80.0, 0.1)
    for a in (0.0, "a"):
        with pytest.raises(ValueError, match="a must be a positive number"):
            D.Beta(a)
    with pytest.raises(ValueError, match="offset must be a number; got 'a'"):
        D.TrainingSteps("leading", offset="a")
    with pytest.raises(ValueError, match="spacing must be"):
        D.TrainingSteps("equal")
    with pytest.raises(ValueError, match="offset is for leading steps"):
        D.TrainingSteps("trailing", offset=1)
    with pytest.raises(ValueError, match=r"TrainingSteps\(\) is for kutta.diffusion.Discrete"):
        nodes(D.TrainingSteps(), VP, 5, 1.0, 0.1)
    with pytest.raises(ValueError, match="needs data at the beginning"):
        nodes(D.Rho(), FLOW, 5, 1.0, 0.0)
    with pytest.raises(ValueError, match="steps must be 2"):
        nodes([1.0, 0.5, 0.1], VP, 3, 1.0, 0.1)


def test_a_grid_of_ones_own():
    @dataclass(frozen=True)
    class Halving(D.Grid):
        """Each step halves the time."""

        def times(self, schedule, steps, start, end):
            return start * 0.5 ** torch.arange(steps + 1, dtype=F64)

    sol = kt.solve(t1().problem, kt.DDIM(), steps=5, grid=Halving(), save_at="steps")
    assert sol.ts.tolist() == [5.0, 2.5, 1.25, 0.625, 0.3125, 0.15625]
