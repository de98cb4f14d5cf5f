"""Adaptive multistep: what is asked for is kept, by each sample on its own, with one evaluation a step."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import kutta as kt
from kutta.solvers.diffusion.adaptive.batch import fitted
from tests.solvers.diffusion.problems import F64, magnitude, normal, reference, t1, t2

DECADES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
SUCCESS, FAILED = kt.Result.SUCCESS, kt.Result.NON_FINITE


def sample(case, order=3, **options):
    """A solution, by absolute tolerance unless another one is named."""
    method = {name: options.pop(name) for name in ("first_step", "largest_step", "limit", "shared") if name in options}
    return kt.solve(case.problem, kt.AdaptiveMultistep(order, **method), **options)


def mean_evaluations(sol):
    return float(sol.stats.function_evaluations.double().mean())


@pytest.mark.parametrize("order", [2, 3, 4])
def test_errors_are_proportional_to_the_tolerance(order):
    """Section 15: error / tolerance within [0.01, 1] over five decades."""
    ratios = [t1().error(sample(t1(), order, atol=tolerance).y1) / tolerance for tolerance in DECADES]
    assert all(0.01 <= ratio <= 1.0 for ratio in ratios), ratios


@pytest.mark.parametrize(("order", "mean", "worst", "share"), [(2, 0.95, 28.0, 0.14), (3, 0.4, 21.0, 0.05)])
def test_what_a_tolerance_means_for_single_samples(order, mean, worst, share):
    """The figures of the docstring: the batch keeps it on average, its worst sample does not."""
    x = 5.0 * normal(np.random.default_rng(7), 256, 2)
    problem = replace(t1().problem, x=x)
    off = kt.solve(problem, kt.AdaptiveMultistep(order), atol=1e-4).y1 - reference(problem)
    ratios = off.square().mean(1).sqrt() / 1e-4
    assert float(ratios.mean()) < mean and 1.0 < float(ratios.max()) < worst
    assert 0.0 < float((ratios > 1.0).double().mean()) < share


def test_relative_tolerances_are_of_the_size_of_the_data():
    size = float(t1().reference.square().mean().sqrt())
    ratios = [t1().error(sample(t1(), rtol=tolerance).y1) / (tolerance * size) for tolerance in DECADES]
    assert all(0.01 <= ratio <= 1.0 for ratio in ratios), ratios


@pytest.mark.parametrize("order", [2, 3])
def test_about_as_accurate_as_the_best_fixed_grid(order):
    """Within 15 % of the logarithm of the error, at equal evaluations, without tuning."""
    for tolerance in DECADES[:5]:
        sol = sample(t1(), order, atol=tolerance)
        method, steps = kt.ExponentialMultistep(order, corrector=True), round(mean_evaluations(sol))
        grids = (kt.diffusion.Rho(), kt.diffusion.UniformLogSNR(), kt.diffusion.UniformTime())
        best = min(t1().error(t1().solve(method, steps, grid=grid)) for grid in grids)
        assert math.log(t1().error(sol.y1)) / math.log(best) > 0.85


@pytest.mark.parametrize("tolerance", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_strong_guidance_does_not_blow_up(order, tolerance):
    """T2 at guidance 15, where fixed order-3 methods err by 0.3 and more with 12 to 16 evaluations."""
    case = t2(15.0)
    sol = sample(case, order, atol=tolerance)
    assert case.rms(sol.y1) < 0.15
    assert magnitude(case, sol.y1) < 1.2 * magnitude(case, case.reference)


def test_a_step_is_one_evaluation():
    calls = []

    def model(x, t):
        calls.append(len(x))
        return t1().problem.model(x, t)

    sol = kt.solve(replace(t1().problem, model=model), kt.AdaptiveMultistep(), atol=1e-4)
    stats = sol.stats
    assert torch.equal(stats.steps, stats.accepted + stats.rejected)
    assert torch.equal(stats.function_evaluations, stats.steps + 1)
    assert len(calls) == int(stats.function_evaluations.max()) and set(calls) == {16}
    assert stats.rejected.max() > 0 and stats.steps.min() < stats.steps.max()


@pytest.mark.parametrize("shared", [None, 0.9])
def test_one_size_for_all_or_one_for_each(shared):
    sol = sample(t1(), atol=1e-3, shared=shared, save_at="steps")
    assert (len(set(sol.stats.steps.tolist())) == 1) == (shared is not None)
    assert bool((sol.ts == sol.ts[:, :1]).all()) == (shared is not None)


def test_a_sample_does_not_depend_on_its_batch():
    together = sample(t1(), atol=1e-3)
    for one in range(0, 16, 5):
        alone = kt.solve(replace(t1().problem, x=t1().problem.x[one : one + 1]), kt.AdaptiveMultistep(), atol=1e-3)
        assert torch.allclose(alone.y1[0], together.y1[one], rtol=0, atol=1e-6)
        assert alone.stats.steps[0] == together.stats.steps[one]


def test_a_tolerance_for_each_sample():
    tolerances = torch.logspace(-1, -6, 16, dtype=F64)
    together = sample(t1(), atol=tolerances)
    for one in (0, 9, 15):
        problem = replace(t1().problem, x=t1().problem.x[one : one + 1])
        alone = kt.solve(problem, kt.AdaptiveMultistep(), atol=float(tolerances[one]))
        assert torch.allclose(alone.y1[0], together.y1[one], rtol=0, atol=1e-9)
    errors = (together.y1 - t1().reference).abs().mean(1)
    assert bool((errors < 4.0 * tolerances).all())


@pytest.mark.parametrize("prediction", ["data", "v", "score"])
def test_all_predictions_are_the_same(prediction):
    found, expected = (sample(t1(kind), atol=1e-3).y1 for kind in (prediction, "epsilon"))
    assert torch.allclose(found, expected, rtol=0, atol=1e-9)


def test_single_precision():
    problem = replace(t1().problem, x=t1().problem.x.float())
    for tolerance in (1e-1, 1e-2, 1e-3, 1e-4):
        sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=tolerance)
        assert sol.y1.dtype == torch.float32
        assert 0.01 * tolerance < t1().error(sol.y1) < tolerance


def test_half_precision_is_computed_in_single():
    problem = replace(t1().problem, x=t1().problem.x.bfloat16())
    sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=0.1)
    assert sol.y1.dtype == torch.bfloat16 and set(sol.result) == {SUCCESS}
    assert t1().error(sol.y1) < 0.1


def test_times_and_states_of_all_steps():
    sol = sample(t1(), atol=1e-2, save_at="steps")
    count = sol.stats.accepted
    assert sol.ts.shape == (int(count.max()) + 1, 16) and sol.ys.shape == (*sol.ts.shape, 2)
    for one in range(16):
        ts, last = sol.ts[:, one], int(count[one])
        assert bool((torch.diff(ts[: last + 1]) < 0).all()) and bool(torch.isnan(ts[last + 1 :]).all())
        assert (float(ts[0]), float(ts[last])) == (5.0, 0.05)
        assert torch.equal(sol.ys[0, one], t1().problem.x[one]) and torch.equal(sol.ys[last, one], sol.y1[one])
        assert bool(torch.isnan(sol.ys[last + 1 :, one]).all())
    plain = sample(t1(), atol=1e-2)
    assert torch.equal(plain.y1, sol.y1) and plain.ts.tolist() == [0.05] and torch.equal(plain.ys[0], sol.y1)


def test_the_states_on_the_way_are_those_of_the_flow():
    sol = sample(t1(), atol=1e-5, save_at="steps", shared=1.0)
    assert torch.allclose(sol.ys, t1().exact(sol.ts[:, 0]), rtol=0, atol=1e-4)


def test_the_largest_step_is_kept():
    sol = sample(t1(), atol=1.0, largest_step=0.1, save_at="steps")
    sizes = torch.diff(t1().problem.schedule.log_snr(sol.ts), dim=0)
    assert float(sizes[torch.isfinite(sizes)].max()) < 0.1 + 1e-12


def test_without_a_limit_no_step_is_rejected():
    assert sample(t1(), atol=1e-5).stats.rejected.sum() > 0
    free = sample(t1(), atol=1e-5, limit=math.inf)
    assert free.stats.rejected.sum() == 0 and t1().error(free.y1) < 1e-4


@pytest.mark.parametrize(
    ("schedule", "prediction"),
    [
        (kt.diffusion.RectifiedFlow(), "flow"),
        (kt.diffusion.RectifiedFlow(start=0.99), "epsilon"),
        (kt.diffusion.EDM(start=20.0, end=0.0), "epsilon"),
        (kt.diffusion.Cosine(start=1.0), "v"),
    ],
    ids=["both ends", "no noise", "no noise, scaled", "no data"],
)
def test_ends_without_data_or_noise(schedule, prediction):
    """They lie infinitely far, and are left and reached by Euler's step, whose error is less than 1e-5 here."""
    x = schedule.sigma(torch.tensor(schedule.start, dtype=F64)) * torch.randn(
        16, 2, dtype=F64, generator=torch.Generator().manual_seed(2)
    )
    problem = kt.DiffusionProblem(t1().teacher.model(schedule, prediction), schedule, x, prediction=prediction)
    many = kt.solve(problem, kt.ExponentialMultistep(2), steps=2000, grid=kt.diffusion.UniformTime()).y1
    sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-4, save_at="steps")
    assert float((sol.y1 - many).abs().mean()) < 1e-3
    assert bool((sol.t1 == schedule.end).all()) and bool((sol.ts[0] == schedule.start).all())
    infinite = torch.isinf(schedule.log_snr(torch.tensor([schedule.start, schedule.end], dtype=F64))).sum()
    assert torch.equal(sol.stats.function_evaluations, sol.stats.steps + 1) and infinite >= 1


def test_gradients_reach_the_initial_state():
    x = t1().problem.x[:2].clone().requires_grad_()
    problem = replace(t1().problem, x=x)
    kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-3).y1.square().sum().backward()
    with torch.no_grad():
        step = 1e-6 * torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=F64)
        ends = [kt.solve(replace(problem, x=x + sign * step), kt.AdaptiveMultistep(), atol=1e-9).y1 for sign in (1, -1)]
        slopes = (ends[0].square().sum(1) - ends[1].square().sum(1)) / 2e-6
    assert torch.allclose(torch.stack([x.grad[0, 0], x.grad[1, 1]]), slopes, rtol=1e-2)


def test_a_sample_that_is_not_finite_does_not_harm_the_others():
    def model(x, t):
        output = t1().problem.model(x, t)
        return torch.where((t < 0.5)[:, None] & (torch.arange(16) == 3)[:, None], math.nan, output)

    problem = replace(t1().problem, model=model)
    sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-3, throw=False)
    assert [int(result == FAILED) for result in sol.result] == [int(one == 3) for one in range(16)]
    others = torch.arange(16) != 3
    assert torch.allclose(sol.y1[others], sample(t1(), atol=1e-3).y1[others], rtol=0, atol=1e-12)
    assert float(sol.t1[3]) >= 0.5 and bool(torch.isfinite(sol.y1).all())
    with pytest.raises(kt.SolveError, match=r"NON_FINITE in trajectory 3 at t = 0\.5"):
        kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-3)


@pytest.mark.parametrize("limit", [1.5, math.inf])
def test_a_model_of_nan_ends_the_solve(limit):
    problem = replace(t1().problem, model=lambda x, t: math.nan * x)
    sol = kt.solve(problem, kt.AdaptiveMultistep(limit=limit), throw=False)
    assert set(sol.result) == {FAILED} and int(sol.stats.steps.max()) < 30
    with pytest.raises(kt.SolveError, match="look at what the model returns near this time"):
        kt.solve(problem, kt.AdaptiveMultistep(limit=limit))


def test_tolerances_below_all_digits_end_the_solve():
    problem = replace(t1().problem, model=lambda x, t: torch.randn(x.shape, dtype=F64))
    sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-9, throw=False)
    assert set(sol.result) == {kt.Result.STEP_UNDERFLOW}
    with pytest.raises(kt.SolveError, match="the model's output may jump near this time"):
        kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-9)


def test_the_number_of_steps_is_limited():
    sol = sample(t1(), atol=1e-6, max_steps=10, throw=False)
    assert set(sol.result) == {kt.Result.MAX_STEPS} and set(sol.stats.steps.tolist()) == {10}
    assert bool((sol.t1 > 0.05).all()) and sol.ts.shape == (1, 16)
    with pytest.raises(kt.SolveError, match=r"MAX_STEPS in trajectory 0 .* a sampler with a given number of steps"):
        sample(t1(), atol=1e-6, max_steps=10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 20}, ValueError, "steps means nothing to AdaptiveMultistep, which chooses its own steps"),
        ({"grid": kt.diffusion.Rho()}, ValueError, "grid means nothing to AdaptiveMultistep"),
        ({"generator": torch.Generator()}, ValueError, "generator means nothing"),
        ({"controller": kt.PI()}, ValueError, "controller means nothing"),
        ({"dt0": 0.1}, ValueError, "dt0 means nothing"),
        ({"save_at": [1.0, 0.5]}, ValueError, 'save_at must be None or "steps"'),
        ({"atol": -1.0}, ValueError, "atol must be a non-negative number"),
        ({"atol": math.nan}, ValueError, "atol must be a non-negative number"),
        ({"rtol": torch.ones(3)}, ValueError, r"rtol must be .* of shape \(16,\)"),
        ({"atol": "tight"}, TypeError, "atol must be a number"),
        ({"atol": 0.0, "rtol": 0.0}, ValueError, "must not both be zero"),
        ({"max_steps": 0}, ValueError, "max_steps must be a positive whole number"),
        ({"engine": kt.Kernel()}, NotImplementedError, "engine"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_call(options, error, message):
    def model(*_):
        raise AssertionError("called")

    with pytest.raises(error, match=message):
        kt.solve(replace(t1().problem, model=model), kt.AdaptiveMultistep(), **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"t_span": (0.05, 5.0)}, "from larger to smaller times"),
        ({"t_span": (5.0, 5.0)}, "from larger to smaller times"),
        ({"x": torch.full((2, 2), math.nan)}, "x must be finite"),
        ({"schedule": kt.diffusion.RectifiedFlow()}, "there is only noise"),
    ],
)
def test_problems_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        kt.solve(replace(t1().problem, **changes), kt.AdaptiveMultistep())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 0}, "order must be a whole number from 1 to 6"),
        ({"order": 2.5}, "order must be a whole number"),
        ({"first_step": 0.0}, "first_step must be a positive number"),
        ({"first_step": "a"}, "first_step must be a positive number; got 'a'"),
        ({"shared": "a"}, "shared must be None or a quantile"),
        ({"limit": -1.0}, "limit must be a positive number"),
        ({"largest_step": math.nan}, "largest_step must be a positive number"),
        ({"shared": 1.5}, "shared must be None or a quantile"),
    ],
)
def test_methods_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.AdaptiveMultistep(**arguments)


def test_it_has_no_plan_for_a_grid():
    found = kt.diffusion.Nodes.at(t1().problem.schedule, torch.tensor([5.0, 1.0, 0.05]))
    with pytest.raises(TypeError, match="chooses its own steps"):
        kt.AdaptiveMultistep().plan(found)


def test_it_is_a_sampler():
    with pytest.raises(TypeError, match="AdaptiveMultistep is a sampler, for a DiffusionProblem"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), kt.AdaptiveMultistep())


def test_without_tolerances_samples_are_good_to_a_hundredth():
    sol = kt.solve(t1().problem, kt.AdaptiveMultistep())
    assert t1().error(sol.y1) < 1e-2 and mean_evaluations(sol) < 25


def test_progress_reaches_the_end(monkeypatch):
    reached = []

    class Bar:
        n = 0.0

        def __init__(self, **_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def update(self, amount):
            self.n += amount
            reached.append(self.n)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    sample(t1(), atol=0.1, progress=True)
    assert reached == sorted(reached) and reached[-1] == pytest.approx(4.95)


def test_weights_of_rows_with_different_orders():
    """Each row integrates polynomials of a degree below its count, and leaves the rest out."""
    r = torch.tensor([[0.0, -1.0, math.nan], [1.0, 0.0, -0.5], [0.0, math.nan, math.nan]], dtype=F64)
    means = torch.tensor([1.0, 0.6, 0.4], dtype=F64).expand(3, 3)
    count = torch.tensor([2, 3, 1])
    found = fitted(r, means, count)
    for row, size in enumerate(count.tolist()):
        assert not found[row, size:].any()
        for k in range(size):
            assert float((found[row, :size] * r[row, :size] ** k).sum()) == pytest.approx(float(means[row, k]))


class Reads(TorchDispatchMode):
    """Counts the values that come from tensors of the states' dtype to the host, where all else is float64."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default:
            self.count += args[0].dtype == torch.float32 and found.dtype == torch.float64
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.count += args[0].dtype == torch.float32
        return found


def test_the_host_reads_once_a_step():
    schedule, x = kt.diffusion.VP(), torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(lambda x, t: torch.tanh(2.0 * x), schedule, x, prediction="data")
    with Reads() as reads:
        sol = kt.solve(problem, kt.AdaptiveMultistep(), atol=1e-4)
    steps = int(sol.stats.steps.max())
    assert steps > 20 and steps <= reads.count <= steps + 2
