"""Samplers in native code: the same samples as by the eager engine, whatever the sampler."""

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.solvers.diffusion.checking import checked
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.table import table
from kutta.solvers.diffusion.solving import planned
from kutta.solvers.engines.compiled.sampling_loop import Kind

D = kt.diffusion
F64 = torch.float64
TEACHER = D.GaussianMixture([0.2, 0.3, 0.5], [[-2.0, 0.5], [1.0, 1.5], [1.5, -1.0]], [0.25, 0.09, 0.16])
VP = D.VP()
LEFT, ANY = torch.tensor([[True, False, False]]), torch.tensor([[True, True, True]])


class Network(nn.Module):
    """A small model with a condition."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 32), nn.SiLU(), nn.Linear(32, 2))

    def forward(self, x, t, condition=None):
        told = torch.zeros_like(x) if condition is None else condition.expand(len(x), 2)
        return self.layers(torch.cat([x, t[:, None] / 1000.0, told], 1))


def network(seed=0, dtype=F64):
    torch.manual_seed(seed)
    return Network().to(dtype)


def start(count=16, seed=1, dtype=F64):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def both(problem, method, **options):
    """The solutions of the two engines, with the same noise."""
    found = []
    with torch.no_grad():
        for engine in (kt.Eager(), kt.Compiled()):
            if "seed" in options:
                options["generator"] = torch.Generator().manual_seed(options["seed"])
            given = {name: one for name, one in options.items() if name != "seed"}
            found.append(kt.solve(problem, method, engine=engine, **given))
    return found


def assert_equal(eager, compiled, tolerance=1e-12):
    assert compiled.stats.engine == "compiled"
    assert compiled.stats.function_evaluations == eager.stats.function_evaluations
    assert torch.equal(compiled.ts, eager.ts)
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=tolerance, atol=tolerance)


SAMPLERS = {
    "DDIM": kt.DDIM(),
    "DPM++2M": kt.DPMSolverPP(2),
    "DPM++3M": kt.DPMSolverPP(3),
    "exponential 4": kt.ExponentialMultistep(4, starter=D.SinglestepStart()),
    "UniPC": kt.UniPC(3),
    "PNDM": kt.PNDM(),
    "Heun": kt.EDMHeun(),
    "HB": kt.HeavyBall(kt.PLMS(4), 0.8),
    "GHVB": kt.GHVB(3, 0.8),
    "LTSP": D.LTSP(4, 0.8),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_of_a_mixture_are_the_same(name):
    problem = kt.DiffusionProblem(TEACHER.model(VP), VP, start())
    assert_equal(*both(problem, SAMPLERS[name], steps=9))


def test_states_at_all_nodes_are_the_same():
    problem = kt.DiffusionProblem(TEACHER.model(VP), VP, start())
    eager, compiled = both(problem, kt.UniPC(3), steps=7, save_at="steps")
    assert compiled.ys.shape == (8, 16, 2)
    assert_equal(eager, compiled)


@pytest.mark.parametrize("method", [kt.DPMSolverPP(2, eta=1.0), kt.EDMHeun(s_churn=5.0)])
def test_noise_is_the_same(method):
    problem = kt.DiffusionProblem(TEACHER.model(VP), VP, start())
    assert_equal(*both(problem, method, steps=8, seed=3))
    generators = [[torch.Generator().manual_seed(seed) for seed in range(16)] for _ in range(2)]
    ends = [
        kt.solve(problem, method, steps=8, generator=own, engine=engine).y1
        for own, engine in zip(generators, (kt.Eager(), kt.Compiled()), strict=True)
    ]
    torch.testing.assert_close(*ends, rtol=1e-12, atol=1e-12)


GUIDANCE = {
    "CFG": D.CFG(torch.linspace(1.0, 4.0, 16, dtype=F64), null=ANY, interval=(-1.0, 1.0)),
    "number": D.CFG(3.0, null=ANY, interval=(-1.0, 1.0)),
    "weight 1": D.CFG(1.0),
    "one call": D.CFG(3.0, null=ANY, evaluate=D.one_call),
    "CFG++": D.CFGPlusPlus(0.6, null=ANY),
}


@pytest.mark.parametrize("name", GUIDANCE)
def test_guidance_is_the_same(name):
    problem = kt.DiffusionProblem(TEACHER.model(VP), VP, start(), condition=LEFT, guidance=GUIDANCE[name])
    assert_equal(*both(problem, kt.DPMSolverPP(2), steps=8))


def test_an_output_that_would_spread_to_the_shape_of_the_other_is_refused():
    def model(x, t, wanted):
        return x[:, :1] if wanted else x

    problem = kt.DiffusionProblem(model, VP, start(), condition=True, guidance=D.CFG(3.0, null=False))
    with (
        torch.no_grad(),
        pytest.warns(UserWarning, match="cannot compile the model"),
        pytest.raises(ValueError, match=r"the model must return a tensor of the shape of its x, \(16, 2\)"),
    ):
        kt.solve(problem, kt.DDIM(), steps=4, engine=kt.Compiled())


def test_splitting_under_guidance_is_the_same():
    problem = kt.DiffusionProblem(TEACHER.model(VP), VP, start(), condition=LEFT, guidance=D.CFG(3.0, null=ANY))
    assert_equal(*both(problem, D.LTSP(2, 0.8), steps=8))


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_networks_of_every_prediction(prediction):
    problem = kt.DiffusionProblem(network(), VP, start(), prediction=prediction)
    assert_equal(*both(problem, kt.DPMSolverPP(2), steps=8))


def test_ends_without_data_and_without_noise():
    schedule = D.RectifiedFlow()
    problem = kt.DiffusionProblem(network(), schedule, start(), prediction="flow")
    assert_equal(*both(problem, kt.ExponentialMultistep(3), steps=6))


def test_single_precision_differs_by_rounding():
    problem = kt.DiffusionProblem(network(dtype=torch.float32), VP, start(dtype=torch.float32))
    assert_equal(*both(problem, kt.DPMSolverPP(2), steps=10), tolerance=2e-5)


def test_images_with_a_convolution():
    torch.manual_seed(0)
    convolution = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
    )
    model = convolution.to(F64)
    x = torch.randn(2, 3, 8, 8, dtype=F64)
    problem = kt.DiffusionProblem(lambda x, t: model(x) * (t / 1000.0)[:, None, None, None], VP, x)
    assert_equal(*both(problem, kt.DPMSolverPP(2), steps=5))


def test_new_values_of_weights_and_conditions_are_seen():
    model, told = network(), torch.zeros(1, 2, dtype=F64)
    problem = kt.DiffusionProblem(model, VP, start(), condition=told)
    first = both(problem, kt.DDIM(), steps=4)[1].y1
    with torch.no_grad():
        told += 1.0
        model.layers[0].bias += 0.5
    eager, compiled = both(problem, kt.DDIM(), steps=4)
    assert_equal(eager, compiled)
    assert not torch.allclose(first, compiled.y1)


def test_samplers_share_one_compiled_loop():
    problem = checked(kt.DiffusionProblem(network(), VP, start()))

    def kind(method, steps):
        return Kind.of(table(folded(planned(problem, method, steps, None), "epsilon", float("inf"))), False)

    assert kind(kt.DDIM(), 5) == kind(kt.DPMSolverPP(2), 9) == kind(kt.HeavyBall(kt.DDIM(), 0.8), 12)


def test_a_model_told_of_training_steps():
    schedule = D.Discrete(torch.linspace(1e-4, 0.02, 1000, dtype=F64))
    problem = kt.DiffusionProblem(network(), schedule, start())
    assert_equal(*both(problem, kt.DPMSolverPP(2), steps=6))


def test_methods_of_differential_equations_are_compiled_too():
    schedule = D.Discrete(torch.linspace(1e-4, 0.02, 1000, dtype=F64))
    eager, compiled = both(kt.DiffusionProblem(network(), schedule, start()), kt.Dopri5(), rtol=1e-6, atol=1e-6)
    assert compiled.stats.engine == "compiled"
    torch.testing.assert_close(compiled.y1, eager.y1, rtol=1e-8, atol=1e-8)


def test_a_model_that_cannot_be_compiled_is_sampled_eagerly():
    calls = []

    def model(x, t):
        calls.append(float(t[0]))  # a number that depends on the values
        return x * calls[-1]

    problem = kt.DiffusionProblem(model, VP, start())
    with pytest.warns(UserWarning, match="cannot compile the model"):
        sol = kt.solve(problem, kt.DDIM(), steps=3, engine=kt.Compiled())
    assert sol.stats.engine == "eager"
    assert "cannot compile the model" in sol.stats.reason
    assert torch.equal(sol.y1, kt.solve(problem, kt.DDIM(), steps=3).y1)


def test_samples_that_are_not_finite_are_told_with_their_step():
    problem = kt.DiffusionProblem(lambda x, t: torch.where(t[:, None] < 0.5, x / 0.0, x), VP, start())
    failures = []
    for engine in (kt.Eager(), kt.Compiled()):
        with pytest.raises(kt.SolveError) as failure:
            kt.solve(problem, kt.DDIM(), steps=8, engine=engine)
        failures.append(str(failure.value))
    assert failures[0] == failures[1]
    sol = kt.solve(problem, kt.DDIM(), steps=8, engine=kt.Compiled(), throw=False)
    assert sol.result is kt.Result.NON_FINITE


@pytest.mark.parametrize(
    ("problem", "method", "options", "match"),
    [
        ({}, kt.DDIM(), {"progress": True}, "no progress"),
        ({}, kt.AdaptiveMultistep(), {}, "no AdaptiveMultistep"),
        ({"x": start().half()}, kt.DDIM(), {}, "float32 and float64"),
        ({"model": network()}, kt.DDIM(), {}, r"torch.no_grad\(\)"),
        ({"x": start().requires_grad_()}, kt.DDIM(), {}, r"torch.no_grad\(\)"),
    ],
)
def test_what_is_refused(problem, method, options, match):
    given = {"model": TEACHER.model(VP), "schedule": VP, "x": start()} | problem
    with pytest.raises(NotImplementedError, match=match):
        kt.solve(kt.DiffusionProblem(**given), method, engine=kt.Compiled(), **options)
