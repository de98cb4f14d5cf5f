"""Inversion: back to the noise that samples came from, exactly, and what that costs."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.inversion.fixed_point import fixed_point
from tests._helpers import F64
from tests.solvers.diffusion.problems import normal, orders, t1, t2

D = kt.diffusion


def there_and_back(problem, sampler, steps, **options):
    """The largest deviation from where the samples came from, and the inversion."""
    samples = kt.solve(problem, sampler, steps=steps).y1
    back = D.invert(replace(problem, x=samples), sampler, steps=steps, **options)
    return float((back.y1 - problem.x).abs().max()), back


@pytest.mark.parametrize("steps", [10, 20, 40])
@pytest.mark.parametrize("prediction", ["epsilon", "data", "flow"])
def test_ddim_there_and_back(steps, prediction):
    off, back = there_and_back(t1(prediction).problem, kt.DDIM(), steps)
    assert off < 1e-8
    assert back.residuals.shape == (steps,) and float(back.residuals.max()) < 1e-13
    assert back.result is kt.Result.SUCCESS


def test_the_naive_inversion_is_off_by_one_order():
    found = [there_and_back(t1().problem, kt.DDIM(), steps, max_iterations=1) for steps in (160, 320, 640)]
    offs = [off for off, _ in found]
    assert offs[-1] > 0.05 and orders(offs) == pytest.approx([1.0, 1.0], abs=0.1)
    assert [back.stats.function_evaluations for _, back in found] == [160, 320, 640]


def test_the_naive_inversion_by_hand():
    case, steps = t1(), 5
    sol = kt.solve(case.problem, kt.DDIM(), steps=steps, save_at="steps")
    z = sol.y1
    for here, there in zip(sol.ts.flip(0)[:-1], sol.ts.flip(0)[1:], strict=True):
        z = z + (there - here) * case.teacher.noise(z, 1.0, float(there))
    back = D.invert(replace(case.problem, x=sol.y1), steps=steps, max_iterations=1)
    assert torch.allclose(back.y1, z, rtol=1e-12, atol=1e-12)


def test_acceleration_saves_evaluations():
    picard, anderson = (there_and_back(t1().problem, kt.DDIM(), 20, memory=memory) for memory in (0, 3))
    assert picard[0] < 1e-8 and anderson[0] < 1e-8
    assert anderson[1].stats.function_evaluations < 0.6 * picard[1].stats.function_evaluations
    assert anderson[1].stats.function_evaluations == sum(anderson[1].iterations)


def wide(count=16):
    """The mixture of `t1` from much more noise to less."""
    schedule = D.EDM(start=10.0, end=0.02)
    x = 10.0 * normal(np.random.default_rng(0), count, 2)
    return kt.DiffusionProblem(t1().teacher.model(schedule), schedule, x)


@pytest.mark.parametrize(
    ("sampler", "steps"),
    [
        (kt.EDMHeun(), 12),
        (kt.DPMSolverPP(2), 12),
        (kt.DPMSolverPP(3), 12),
        (kt.UniPC(2), 12),
        (kt.UniPC(3), 20),
        (kt.PLMS(2), 12),
        (D.PNDM(4), 20),
        (D.DPMSolverSinglestep(3), 12),
        (D.ExponentialMultistep(4, corrector=True), 20),
        (D.GHVB(3), 20),
    ],
    ids=repr,
)
def test_other_samplers_there_and_back(sampler, steps):
    """Over the whole way at once, where the steps backwards one by one would grow without bound."""
    off, back = there_and_back(wide(), sampler, steps)
    assert off < 1e-11 and float(back.residuals.max()) < 1e-12
    assert back.residuals.shape == (2,) and len(back.iterations) == 1
    assert back.stats.function_evaluations <= 60 * steps


def test_a_variance_preserving_schedule_over_the_whole_way():
    schedule = D.VP(end=0.01)
    problem = kt.DiffusionProblem(t1().teacher.model(schedule, "v"), schedule, wide().x / 10.0, prediction="v")
    assert there_and_back(problem, kt.UniPC(3), 20)[0] < 1e-12


def test_states_over_the_whole_way():
    sol = kt.solve(wide(), kt.UniPC(2), steps=12, save_at="steps")
    back = D.invert(replace(wide(), x=sol.y1), kt.UniPC(2), steps=12, save_at="steps")
    assert torch.equal(back.ts, sol.ts.flip(0)) and torch.equal(back.ys[0], sol.y1)
    assert torch.allclose(back.ys, sol.ys.flip(0), atol=1e-10)


@pytest.mark.parametrize("sampler", [kt.DDIM(), kt.UniPC(2)], ids=repr)
def test_states_of_one_number(sampler):
    """Samples of shape ``()``, in a batch ``(B,)``."""
    schedule = D.EDM(start=5.0, end=0.05)
    noise = torch.randn(6, dtype=F64, generator=torch.Generator().manual_seed(0))
    problem = kt.DiffusionProblem(lambda x, t: t * (x - 1.0) / (0.25 + t**2), schedule, noise)
    assert there_and_back(problem, sampler, 12)[0] < 1e-11


@pytest.mark.parametrize("guidance", [D.CFG(3.0), D.CFGPlusPlus(0.6)], ids=["CFG", "CFGPlusPlus"])
def test_guided_samples(guidance):
    condition = torch.tensor([True, True, False])
    problem = replace(t1().problem, condition=condition, guidance=guidance)
    off, _ = there_and_back(problem, kt.DDIM(), 30)
    assert off < 1e-8


def test_cfg_plus_plus_takes_free_noise_away_and_puts_guided_noise_back():
    """``y_up = (y - kappa e_u) + kappa_up e_g``, with both at the noisier state."""
    case, condition = t1(), torch.tensor([True, True, False])
    problem = replace(case.problem, condition=condition, guidance=D.CFGPlusPlus(0.6))
    samples = kt.solve(problem, kt.DDIM(), grid=[5.0, 2.0, 0.5]).y1
    back = D.invert(replace(problem, x=samples), grid=[5.0, 2.0, 0.5], save_at="steps")
    for y, kappa, up, kappa_up in zip(back.ys[:-1], (0.5, 2.0), back.ys[1:], (2.0, 5.0), strict=True):
        free, bound = (case.teacher.noise(up, 1.0, kappa_up, one) for one in (None, condition))
        guided = free + 0.6 * (bound - free)
        assert torch.allclose(up, y - kappa * free + kappa_up * guided, rtol=1e-11, atol=1e-11)


def test_states_and_times():
    case = t1()
    sol = kt.solve(case.problem, kt.DDIM(), steps=12, save_at="steps")
    back = D.invert(replace(case.problem, x=sol.y1), kt.DDIM(), steps=12, save_at="steps")
    assert torch.equal(back.ts, sol.ts.flip(0))
    assert torch.allclose(back.ys, sol.ys.flip(0), atol=1e-8)
    assert isinstance(back, D.Inversion) and isinstance(back, kt.Solution)
    assert float(back.t1) == 5.0 and back.stats.steps == 12


def test_a_variance_preserving_schedule_and_its_inner_times():
    case, schedule = t1(), D.VP(end=0.05)
    problem = kt.DiffusionProblem(case.teacher.model(schedule, "v"), schedule, case.problem.x / 5.0, prediction="v")
    assert there_and_back(problem, kt.DDIM(), 25)[0] < 1e-8
    part = replace(problem, t_span=(0.6, 0.2))
    assert there_and_back(part, kt.DDIM(), 10)[0] < 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_lower_precision(dtype):
    case = t1()
    problem = replace(case.problem, x=case.problem.x.to(dtype), t_span=(5.0, 0.5))
    off, back = there_and_back(problem, kt.DDIM(), 20)
    assert back.y1.dtype == dtype and off < 3000 * torch.finfo(dtype).eps
    assert back.result is kt.Result.SUCCESS
    off, back = there_and_back(problem, kt.UniPC(2), 20)
    assert back.y1.dtype == dtype and off < 3000 * torch.finfo(dtype).eps


def test_a_sample_does_not_depend_on_its_batch():
    case = t1()
    samples = case.solve(kt.DDIM(), 15)
    together = D.invert(replace(case.problem, x=samples), steps=15).y1
    alone = D.invert(replace(case.problem, x=samples[3:4]), steps=15).y1
    assert torch.allclose(alone[0], together[3], atol=1e-10)


def test_nothing_is_recorded_for_gradients():
    case = t1()
    x = case.solve(kt.DDIM(), 5).requires_grad_()
    assert not D.invert(replace(case.problem, x=x), steps=5).y1.requires_grad


def test_what_does_not_converge_is_an_error():
    """Few iterations are not enough for a step; and few steps of high order are no image of the flow."""
    cases = [(t1().problem, kt.DDIM(), 2, {"max_iterations": 3}), (wide(), D.ExponentialMultistep(4), 6, {})]
    for problem, sampler, steps, options in cases:
        off, back = there_and_back(problem, sampler, steps, throw=False, **options)
        assert back.result is kt.Result.NOT_CONVERGED and back.result.failed
        assert float(back.residuals.max()) > 1e-6 and off > 1e-6
        with pytest.raises(kt.SolveError, match=r"NOT_CONVERGED.*take more steps, a shorter t_span") as failure:
            there_and_back(problem, sampler, steps, **options)
        assert isinstance(failure.value.solution, D.Inversion)


def test_an_iteration_without_progress_ends():
    back = there_and_back(wide(), D.ExponentialMultistep(4), 6, throw=False)[1]
    assert back.iterations[0] < 40 and back.stats.function_evaluations < 1500


def test_a_fixed_point_that_is_no_solution_is_told():
    """The flow leads two samples to one noise, up to roundings, of which the sampler makes only one of them."""
    case = t2(1.0)
    problem = replace(case.problem, x=case.problem.x[:32], t_span=(999.0, 5.0))
    _, back = there_and_back(problem, kt.PLMS(2), 10, throw=False)
    assert float(back.residuals[0]) < 1e-13 and float(back.residuals[1]) > 1e-2
    assert back.result is kt.Result.NOT_CONVERGED


def test_a_model_that_fails():
    problem = kt.DiffusionProblem(lambda x, t: math.nan * x, D.EDM(2.0, 0.1), torch.ones(2, 2))
    assert torch.isfinite(D.invert(replace(problem, model=lambda x, t: 0.1 * x), steps=3).y1).all()
    with pytest.raises(kt.SolveError, match="NON_FINITE"):
        D.invert(problem, steps=3)
    assert D.invert(problem, steps=3, throw=False).result is kt.Result.NON_FINITE


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": kt.Tsit5()}, TypeError, "method must be a sampler"),
        ({"method": kt.EDMHeun(s_churn=10.0)}, ValueError, "adds noise"),
        ({"memory": -1}, ValueError, "memory must be a whole number of at least 0"),
        ({"max_iterations": 0}, ValueError, "max_iterations must be a whole number of at least 1"),
        ({"tolerance": 0.0}, ValueError, "tolerance must be positive"),
        ({"save_at": [1.0]}, ValueError, 'save_at must be None or "steps"'),
        ({"steps": 0}, ValueError, "steps must be a positive whole number"),
        ({"grid": D.Rho(clean=True)}, ValueError, "no clean last step"),
    ],
)
def test_refusals(options, error, match):
    with pytest.raises(error, match=match):
        D.invert(t1().problem, **options)


def test_ends_without_data_or_noise():
    flow = kt.DiffusionProblem(lambda x, t: x, D.RectifiedFlow(), torch.ones(2, 2), prediction="flow")
    with pytest.raises(ValueError, match="inversion needs both data and noise"):
        D.invert(flow)
    assert torch.isfinite(D.invert(replace(flow, t_span=(0.9, 0.1))).y1).all()


# ------------------------------------------------------------------------------------ fixed points


@pytest.mark.parametrize("memory", [0, 1, 3, 5])
def test_fixed_points_of_linear_maps(memory):
    """``z = A z + b`` for each sample, where the largest eigenvalue of `A` is 0.8."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(6, 4, 4, dtype=F64, generator=generator)
    a = 0.8 * a / torch.linalg.eigvals(a).abs().amax(-1)[:, None, None]
    b = torch.randn(6, 4, dtype=F64, generator=generator)

    def residual(z):
        return (a @ z[..., None])[..., 0] + b - z

    z, size, count = fixed_point(residual, torch.zeros_like(b), memory, 1e-12, 500)
    wanted = torch.linalg.solve(torch.eye(4, dtype=F64) - a, b)
    assert torch.allclose(z, wanted, rtol=1e-9, atol=1e-10) and size <= 1e-12
    # With as much memory as dimensions it ends like a Krylov method.
    assert count < {0: 500, 1: 200, 3: 60, 5: 30}[memory]


def test_an_expanding_map_is_tamed():
    """Picard's iteration diverges where the slope is below -1; damped, and mixed, it does not."""
    for memory in (0, 3):
        z, size, _ = fixed_point(lambda z: -3.0 * z - z**3 + 1.0 - z, torch.ones(3, 2, dtype=F64), memory, 1e-10, 200)
        assert size <= 1e-10 and torch.allclose(-3.0 * z - z**3 + 1.0, z)
