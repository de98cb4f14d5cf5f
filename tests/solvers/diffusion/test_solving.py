"""`kutta.solve` for diffusion problems: the defaults, the methods for differential equations, and all refusals."""

import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, tensor
from tests.solvers.diffusion.problems import stable_diffusion_betas, t1

D = kt.diffusion


def problem(**changes):
    given = {"model": lambda x, t: 0.3 * x, "schedule": D.VP(), "x": torch.ones(2, 3)} | changes
    return kt.DiffusionProblem(**given)


# ---------------------------------------------------------------------------------------- defaults


def test_defaults():
    case = t1()
    sol, default = kt.solve(case.problem), D.default_sampler(case.problem)
    assert sol.stats.function_evaluations == 20
    assert torch.equal(sol.y1, kt.solve(case.problem, default, steps=20, grid=D.Rho(7.0)).y1)
    flow = problem(schedule=D.RectifiedFlow(), prediction="flow")
    default = D.default_sampler(flow)
    assert torch.equal(kt.solve(flow).y1, kt.solve(flow, default, steps=20, grid=D.UniformTime()).y1)
    assert kt.solve(case.problem, grid=D.UniformLogSNR).stats.steps == 20
    assert kt.solve(case.problem, grid=[5.0, 1.0, 0.05]).stats.steps == 2


# -------------------------------------------------------- methods for differential equations


@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score", "flow"])
def test_methods_follow_the_flow(prediction):
    case = t1(prediction)
    sol = kt.solve(case.problem, kt.Dopri8(), rtol=1e-10, atol=1e-10)
    assert torch.allclose(sol.y1, case.reference, atol=1e-8)
    assert float(sol.t1) == 0.05 and sol.stats.function_evaluations > 50


@pytest.mark.parametrize(
    "schedule", [D.VP(), D.Cosine(), D.VE(0.05, 5.0), D.Discrete(stable_diffusion_betas())], ids=repr
)
def test_methods_and_samplers_agree_on_every_schedule(schedule):
    teacher = t1().teacher
    x = schedule.sigma(schedule.start) * t1().problem.x / 5.0
    one = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
    wanted = kt.solve(one, kt.Dopri8(), rtol=1e-9, atol=1e-9).y1
    # The median, as one sample may begin near a saddle.
    errors = [float((kt.solve(one, kt.DDIM(), steps=n).y1 - wanted).abs().median()) for n in (100, 200)]
    assert errors[1] < 0.01 and errors[0] / errors[1] == pytest.approx(2.0, abs=0.1)


def test_output_times_and_dense_output():
    case = t1()
    times = [5.0, 3.0, 0.7, 0.05]
    sol = kt.solve(case.problem, kt.Dopri8(), rtol=1e-11, atol=1e-11, save_at=times, dense=True)
    assert sol.ts.tolist() == pytest.approx(times, rel=1e-14)
    assert sol.ys.shape == (4, 16, 2) and torch.equal(sol.ys[0], case.problem.x)
    assert torch.allclose(sol.y1, case.reference, atol=1e-9)
    halfway = kt.solve(replace(case.problem, t_span=(5.0, 0.7)), kt.Dopri8(), rtol=1e-11, atol=1e-11).y1
    assert torch.allclose(sol.ys[2], halfway, atol=1e-8)
    assert torch.allclose(sol(0.7), halfway, atol=1e-6)
    assert torch.allclose(sol(tensor(5.0, 0.05)), sol.ys[[0, -1]], atol=1e-9)
    steps = kt.solve(case.problem, kt.Dopri8(), save_at="steps")
    assert float(steps.ts[0]) == 5.0 and float(steps.ts[-1]) == 0.05 and (torch.diff(steps.ts) < 0).all()


def test_output_times_outside():
    case = t1()
    with pytest.raises(ValueError, match=r"times must lie within t_span = \(5, 0.05\)"):
        kt.solve(case.problem, kt.Tsit5(), save_at=[6.0, 0.05])
    sol = kt.solve(case.problem, kt.Tsit5(), dense=True)
    with pytest.raises(ValueError, match=r"times must lie within t_span = \(5, 0.05\)"):
        sol(0.01)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
def test_flows_with_infinite_ends_are_solved_in_time(prediction):
    """Down to no noise at all, where ``log(alpha / sigma)`` is infinite."""
    teacher = t1().teacher
    schedule = D.RectifiedFlow(start=1.0 if prediction != "epsilon" else 0.999)
    x = t1().problem.x / 5.0
    one = kt.DiffusionProblem(teacher.model(schedule, prediction), schedule, x, prediction=prediction)
    sol = kt.solve(one, kt.Dopri8(), rtol=1e-10, atol=1e-10, save_at=[schedule.start, 0.5, 0.0])
    near = kt.solve(replace(one, t_span=(schedule.start, 1e-7)), kt.Dopri8(), rtol=1e-10, atol=1e-10).y1
    assert torch.allclose(sol.y1, near, atol=1e-5)
    assert sol.ts.tolist() == [schedule.start, 0.5, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_methods_work_in_single_precision_at_least(dtype):
    case = t1()
    sol = kt.solve(replace(case.problem, x=case.problem.x.to(dtype)), kt.Tsit5(), rtol=1e-5, atol=1e-5, dense=True)
    assert sol.y1.dtype == sol.ys.dtype == sol(1.0).dtype == dtype
    exact = kt.solve(replace(case.problem, x=case.problem.x.to(dtype).double()), kt.Tsit5(), rtol=1e-8, atol=1e-8).y1
    assert float((sol.y1.double() - exact).abs().mean()) < 4 * torch.finfo(dtype).eps


def test_gradients_through_a_method():
    def loss(x):
        return kt.solve(replace(t1().problem, x=x), kt.Tsit5(), controller=kt.Fixed(0.2)).y1.square().sum()

    x = t1().problem.x[:2]
    assert relative_error(gradient(loss, x), difference(loss, x)) < 1e-8


def test_the_equation_itself():
    """``dy/dlambda = D - y`` for ``y = x / alpha``."""
    case, schedule = t1(), D.VP(end=0.1)
    x = schedule.sigma(1.0) * case.problem.x / 5.0
    flow = D.probability_flow(kt.DiffusionProblem(case.teacher.model(schedule), schedule, x))
    log_snr, alpha, sigma = schedule.log_snr(tensor(0.4)), schedule.alpha(tensor(0.4)), schedule.sigma(tensor(0.4))
    slope = flow.equation.f(log_snr[0], x)
    assert torch.allclose(slope, case.teacher.data(alpha * x, alpha[0], sigma[0]) - x, rtol=1e-11, atol=1e-12)
    assert flow.equation.t_span == (float(schedule.log_snr(1.0)), float(schedule.log_snr(0.1)))


# ---------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"model": None}, TypeError, "model must be callable; got NoneType"),
        ({"schedule": 3}, TypeError, "schedule must be a noise schedule"),
        ({"schedule": D.VP}, TypeError, "schedule must be a noise schedule"),
        ({"prediction": "x0"}, ValueError, "prediction must be one of epsilon, data, v, score, flow; got 'x0'"),
        ({"guidance": 7.5}, TypeError, "guidance must be such as"),
        ({"x": torch.ones(2, 3, dtype=torch.int64)}, ValueError, "x must be a real tensor"),
        ({"x": torch.ones(2, 3, dtype=torch.complex64)}, ValueError, "x must be a real tensor"),
        ({"x": torch.tensor(1.0)}, ValueError, "x must be a real tensor"),
        ({"x": torch.tensor([1.0, math.nan])}, ValueError, "x must be finite"),
        ({"x": torch.tensor([1.0, math.inf])}, ValueError, "x must be finite"),
        ({"t_span": (0.1, 1.0)}, ValueError, "t_span must lead from noise to data"),
        ({"t_span": (0.5, 0.5)}, ValueError, "t_span must lead from noise to data"),
        ({"t_span": (math.nan, 0.1)}, ValueError, "t_span must lead from noise to data"),
        ({"t_span": (1.0,)}, ValueError, "t_span must hold the first and the last time"),
        ({"t_span": 1.0}, ValueError, "t_span must hold the first and the last time"),
        ({"schedule": D.RectifiedFlow()}, ValueError, "there is only noise"),
        ({"schedule": D.Cosine(start=1.0)}, ValueError, "there is only noise"),
    ],
)
@pytest.mark.parametrize("method", [kt.DDIM(), kt.Tsit5()], ids=repr)
def test_problems_that_make_no_sense(changes, error, match, method):
    calls = []
    given = {"model": lambda x, t: calls.append(t) or x} | changes
    with pytest.raises(error, match=match):
        kt.solve(problem(**given), method)
    assert not calls


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"rtol": 1e-3}, ValueError, "rtol means nothing to the sampler DDIM"),
        ({"atol": 1e-3}, ValueError, "atol means nothing"),
        ({"dense": True}, ValueError, "dense means nothing"),
        ({"controller": kt.PID()}, ValueError, "controller means nothing"),
        ({"dt0": 0.1}, ValueError, "dt0 means nothing"),
        ({"max_steps": 3}, ValueError, "max_steps means nothing"),
        ({"events": [kt.Event(lambda t, y: y.sum())]}, ValueError, "events means nothing"),
        ({"adjoint": kt.Recompute()}, ValueError, "adjoint means nothing"),
        ({"penalties": {"a": kt.regularizers.ErrorEstimate()}}, ValueError, "penalties means nothing"),
        ({"diagnostics": True}, ValueError, "diagnostics means nothing"),
        ({"save_at": [1.0, 0.5]}, ValueError, 'save_at must be None or "steps"'),
        ({"save_at": "nodes"}, ValueError, 'save_at must be None or "steps"'),
        ({"steps": 0}, ValueError, "steps must be a positive whole number"),
        ({"steps": 5, "grid": [1.0, 0.5, 0.1]}, ValueError, "steps must be 2"),
        ({"grid": [0.1, 1.0]}, ValueError, "must lead from noise to data"),
        ({"steps": True}, ValueError, "steps must be a positive whole number"),
        ({"grid": 7}, ValueError, "grid must be a Grid such as .* or a vector"),
        (
            {"grid": "karras"},
            TypeError,
            "grid must be a Grid such as .* or a vector of two and more times; got 'karras'",
        ),
        ({"engine": kt.Kernel()}, NotImplementedError, r"Kernel\(\) solves ensembles"),
        ({"engine": "fast"}, NotImplementedError, "this version has the engines"),
    ],
)
def test_options_that_samplers_do_not_have(options, error, match):
    calls = []
    with pytest.raises(error, match=match):
        kt.solve(problem(model=lambda x, t: calls.append(t) or x), kt.DDIM(), **options)
    assert not calls


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"steps": 5}, ValueError, "steps means nothing to Tsit5"),
        ({"grid": D.Rho()}, ValueError, "grid means nothing to Tsit5"),
        ({"generator": torch.Generator()}, ValueError, "generator means nothing to Tsit5"),
        ({"events": [kt.Event(lambda t, y: y.sum())]}, NotImplementedError, "has no events"),
        ({"penalties": {"a": kt.regularizers.ErrorEstimate()}}, NotImplementedError, "has no penalties"),
        ({"engine": kt.Kernel()}, NotImplementedError, r"Kernel\(\) solves ensembles"),
    ],
)
def test_options_that_methods_do_not_have(options, error, match):
    with pytest.raises(error, match=match):
        kt.solve(problem(), kt.Tsit5(), **options)


@pytest.mark.parametrize("method", [kt.DDIM, kt.AdaptiveMultistep, kt.Tsit5])
def test_a_class_of_samplers(method):
    with pytest.raises(TypeError, match=rf"not its class: call it, as in {method.__name__}\(\)"):
        kt.solve(problem(), method)


def test_a_grid_that_contradicts_the_span():
    with pytest.raises(TypeError, match="grid must be a Grid such as"):
        kt.solve(problem(t_span=(0.5, 0.1)), kt.DDIM(), grid="karras")
    with pytest.raises(ValueError, match=r"grid must lead from t_span\[0\] = 0.5 to t_span\[1\] = 0.1"):
        kt.solve(problem(t_span=(0.5, 0.1)), kt.DDIM(), grid=[1.0, 0.5, 0.1])
    assert kt.solve(problem(t_span=(0.5, 0.1)), kt.DDIM(), grid=[0.5, 0.3, 0.1]).stats.steps == 2


@pytest.mark.parametrize("end", [D.RectifiedFlow(start=0.9), D.EDM(start=5.0, end=0.0)], ids=repr)
def test_data_says_nothing_of_the_slope_where_there_is_no_noise(end):
    with pytest.raises(ValueError, match="there is no noise, where prediction='data'"):
        kt.solve(problem(schedule=end, prediction="data"), kt.Tsit5())
    assert torch.isfinite(kt.solve(problem(schedule=end, prediction="data"), kt.DDIM(), grid=D.UniformTime()).y1).all()


@pytest.mark.parametrize(
    ("schedule", "span"), [(D.VP(), (1.0, 0.0)), (D.Cosine(), (1.0, 0.01)), (D.Cosine(), (0.9, 0.0))]
)
def test_ends_at_which_the_noise_has_no_rate(schedule, span):
    with pytest.raises(ValueError, match="no rate of change"):
        kt.solve(problem(schedule=schedule, t_span=span, prediction="v"), kt.Tsit5())


def test_methods_that_are_none():
    with pytest.raises(TypeError, match=r"method must be a sampler such as kutta\.DDIM"):
        kt.solve(problem(), "ddim")
    with pytest.raises(TypeError, match="DDIM is a sampler, for a DiffusionProblem"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), kt.DDIM())
    with pytest.raises(ValueError, match="steps is for the samplers"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), steps=5)


def test_a_sampler_of_ones_own():
    """The data of the first prediction, and nothing else."""

    class Once(D.Sampler):
        def plan(self, nodes):
            draft = D.Draft(nodes)
            for node in range(1, nodes.steps + 1):
                draft.arrive(node, {}, {"data": {0: nodes.alpha[node]}})
            return draft.plan()

    case = t1()
    sol = kt.solve(case.problem, Once(), steps=4)
    assert sol.stats.function_evaluations == 1
    assert torch.allclose(sol.y1, case.teacher.data(case.problem.x, 1.0, 5.0), rtol=1e-12)
    assert sol.y1.dtype == F64


def test_the_default_grid_of_edm_suits_it_whatever_its_end():
    """Even steps of its time, which is the noise, would err by the size of the data."""
    noise = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=F64)
    teacher, ends = t1().teacher, []
    for end in (0.0, 0.002):
        schedule = D.EDM(end=end)
        ends.append(kt.solve(kt.DiffusionProblem(teacher.model(schedule), schedule, 80.0 * noise), steps=40).y1)
    assert (ends[0] - ends[1]).abs().mean() < 0.01
