"""What every named sampler must do: ends without data or noise, exactness, gradients, dtypes, batches."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import Nodes, nodes
from tests.solvers.diffusion.problems import F64, t1

CHURN = kt.EDMHeun(s_churn=4.0)
DETERMINISTIC = [
    kt.PLMS(4),
    kt.PLMS(3, start="heun"),
    kt.PNDM(),
    kt.DEIS(3),
    kt.DEIS(3, "time"),
    kt.UniPC(3),
    kt.UniPC(2, "bh1", "noise"),
    kt.EDMHeun(),
    kt.AncestralEuler(0.0),
]
STOCHASTIC = [CHURN, kt.AncestralEuler()]
every = pytest.mark.parametrize("sampler", [*DETERMINISTIC, *STOCHASTIC], ids=str)
deterministic = pytest.mark.parametrize("sampler", DETERMINISTIC, ids=str)

VP = kt.diffusion.VP()
STRAIGHT = kt.diffusion.RectifiedFlow()
CLEAN = kt.diffusion.Rho(7, clean=True)


def seeded():
    return torch.Generator().manual_seed(0)


def solved(problem, sampler, **options):
    """The solution, with a seed for those samplers that draw noise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kt.solve(problem, sampler, **options)


def problem_on(schedule, prediction, dtype=F64):
    model = t1().teacher.model(schedule, prediction)
    x = torch.randn(8, 2, generator=seeded(), dtype=F64) * float(schedule.sigma(schedule.start))
    return kt.DiffusionProblem(model, schedule, x.to(dtype), prediction=prediction)


@every
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("prediction", ["data", "v", "flow"])
def test_from_pure_noise_to_no_noise(sampler, prediction, steps):
    problem = problem_on(STRAIGHT, prediction)
    found = solved(problem, sampler, steps=steps).y1
    assert torch.isfinite(found).all()
    assert found.abs().max() < 6.0  # where the data are


@every
@pytest.mark.parametrize("prediction", ["epsilon", "data", "v", "score"])
def test_to_no_noise(sampler, prediction):
    found = solved(problem_on(VP, prediction), sampler, steps=6, grid=CLEAN).y1
    assert torch.isfinite(found).all()


@every
def test_from_a_schedule_whose_last_training_step_has_no_signal(sampler):
    betas = torch.cat([torch.linspace(1e-4, 0.02, 99, dtype=F64), torch.ones(1, dtype=F64)])
    problem = problem_on(kt.diffusion.Discrete(betas), "v")
    found = solved(problem, sampler, steps=8, grid=kt.diffusion.TrainingSteps()).y1
    assert torch.isfinite(found).all()


@deterministic
@pytest.mark.parametrize("schedule", [VP, STRAIGHT, kt.diffusion.EDM(10.0, 0.01)], ids=lambda one: type(one).__name__)
def test_exact_for_data_at_a_point(sampler, schedule):
    """Data and noise are then the same all the way, so any rule whose weights have the right sum is exact."""
    teacher = kt.diffusion.GaussianMixture([1.0], [[1.5, -0.5]], [0.0])
    start = float(schedule.sigma(schedule.start)) * torch.randn(4, 2, generator=seeded(), dtype=F64)
    problem = kt.DiffusionProblem(teacher.model(schedule, "data"), schedule, start, prediction="data")
    alpha, sigma = (
        function(torch.tensor([schedule.start, schedule.end])) for function in (schedule.alpha, schedule.sigma)
    )
    noise = (start - alpha[0] * teacher.means) / sigma[0]
    found = kt.solve(problem, sampler, steps=9, grid=kt.diffusion.UniformTime()).y1
    assert torch.allclose(found, alpha[1] * teacher.means + sigma[1] * noise, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("sampler", STOCHASTIC, ids=str)
def test_noise_is_gone_at_the_end_where_there_is_none(sampler):
    teacher = kt.diffusion.GaussianMixture([1.0], [[1.5, -0.5]], [0.0])
    problem = kt.DiffusionProblem(teacher.model(STRAIGHT, "flow"), STRAIGHT, torch.randn(4, 2, dtype=F64), "flow")
    found = solved(problem, sampler, steps=9).y1
    assert torch.allclose(found, teacher.means.expand(4, 2), rtol=1e-9)


@deterministic
def test_many_steps_lead_where_the_flow_leads(sampler):
    problem = problem_on(STRAIGHT, "flow")
    exact = kt.solve(problem, kt.Vern9(), rtol=1e-9, atol=1e-9).y1
    errors = [float((kt.solve(problem, sampler, steps=n).y1 - exact).abs().mean()) for n in (25, 100)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.03


def weights_of(sampler, t, schedule):
    """All weights of a plan in one vector, as a function of the times."""
    plan = sampler.plan(Nodes.at(schedule, t))
    terms = [
        weight for move in plan.moves for one in (move.states, *move.predictions.values()) for weight in one.values()
    ]
    noises = [move.noise for move in plan.moves if isinstance(move.noise, torch.Tensor)]
    return torch.stack([torch.as_tensor(weight, dtype=F64) for weight in [*terms, *noises]])


@every
def test_weights_have_the_gradients_of_the_times(sampler):
    t = nodes(kt.diffusion.Rho(7), VP, 6, 1.0, 1e-3).t.requires_grad_()
    assert torch.autograd.gradcheck(lambda t: weights_of(sampler, t, VP), (t,), eps=1e-7, rtol=1e-4, atol=1e-4)


@every
def test_gradients_are_finite_at_the_ends(sampler):
    t = torch.linspace(1.0, 0.0, 7, dtype=F64).requires_grad_()
    weights_of(sampler, t, STRAIGHT).square().sum().backward()
    assert torch.isfinite(t.grad).all()
    assert (t.grad[1:-1] != 0.0).all()


@every
def test_gradients_flow_through_the_samples(sampler):
    base = problem_on(VP, "epsilon")

    def end(x):
        problem = kt.DiffusionProblem(base.model, VP, x)
        return solved(problem, sampler, steps=5).y1

    assert torch.autograd.gradcheck(end, (base.x[:2].clone().requires_grad_(),), eps=1e-6, rtol=1e-4, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes(sampler, dtype):
    low = solved(problem_on(VP, "epsilon", dtype), sampler, steps=6).y1
    assert low.dtype == dtype
    assert torch.isfinite(low).all()


@deterministic
def test_a_sample_does_not_depend_on_the_others(sampler):
    problem = problem_on(VP, "epsilon")
    alone = kt.DiffusionProblem(problem.model, VP, problem.x[3:4])
    assert torch.allclose(kt.solve(problem, sampler, steps=6).y1[3:4], kt.solve(alone, sampler, steps=6).y1, rtol=1e-10)


@every
def test_states_at_all_nodes(sampler):
    problem = problem_on(VP, "epsilon")
    every_one = solved(problem, sampler, steps=6, save_at="steps")
    assert every_one.ys.shape == (7, 8, 2)
    assert torch.equal(every_one.ys[0], problem.x)
    assert torch.equal(every_one.y1, solved(problem, sampler, steps=6).y1)
