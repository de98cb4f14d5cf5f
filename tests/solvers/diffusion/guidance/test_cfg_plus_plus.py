"""CFG++: the weights it amounts to, its published forms, and what it is refused for."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from tests.solvers.diffusion.problems import F64, t1

CFG, CFGPlusPlus = kt.diffusion.CFG, kt.diffusion.CFGPlusPlus
CONDITION = torch.tensor([True, True, False])


def guided(guidance, **changes):
    return replace(t1().problem, condition=CONDITION, guidance=guidance, **changes)


def grid(steps):
    problem = t1().problem
    return nodes(kt.diffusion.Rho(), problem.schedule, steps, problem.schedule.start, problem.schedule.end)


def data(y, kappa):
    """Predictions of the data with the condition and without it."""
    teacher = t1().teacher
    return teacher.data(y, 1.0, kappa, CONDITION), teacher.data(y, 1.0, kappa)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [3, 10, 50])
def test_first_order_steps_are_those_of_cfg_with_a_weight_for_their_size(scale, steps):
    found = kt.solve(guided(CFGPlusPlus(scale)), kt.DDIM(), steps=steps, save_at="steps")
    where = grid(steps)
    x = t1().problem.x
    for n, h in enumerate(torch.diff(where.log_snr).tolist()):
        weight = CFG(scale / -math.expm1(-h))
        x = kt.solve(guided(weight, x=x), kt.DDIM(), grid=where.t[n : n + 2]).y1
        assert torch.allclose(found.ys[n + 1], x, rtol=0, atol=1e-12)


def test_a_scale_for_each_sample():
    scales = torch.linspace(0.0, 1.0, 16, dtype=F64)
    together = kt.solve(guided(CFGPlusPlus(scales)), kt.DDIM(), steps=8).y1
    for sample, scale in enumerate(scales.tolist()):
        problem = guided(CFGPlusPlus(scale), x=t1().problem.x[sample : sample + 1])
        assert torch.allclose(together[sample], kt.solve(problem, kt.DDIM(), steps=8).y1[0], rtol=0, atol=1e-12)


def test_guidance_grows_with_the_number_of_steps():
    """Section 7.2: root mean squares of the end states at N = 10, 40, 160, 640."""
    ends = [kt.solve(guided(CFGPlusPlus(0.6)), kt.DDIM(), steps=steps).y1 for steps in (10, 40, 160, 640)]
    sizes = [round(float(x.square().mean().sqrt()), 2) for x in ends]
    assert sizes == [1.47, 1.78, 2.20, 2.80]


def test_at_one_step_size_samples_tend_to_a_limit():
    problem = guided(CFGPlusPlus(0.6).at_step(0.46))
    limit = kt.solve(problem, kt.Vern9(), rtol=1e-11, atol=1e-11).y1
    errors = [float((kt.solve(problem, kt.DDIM(), steps=n).y1 - limit).abs().mean()) for n in (40, 80, 160, 320)]
    orders = [math.log2(one / other) for one, other in itertools.pairwise(errors)]
    assert all(0.85 < order < 1.15 for order in orders), orders


def test_at_one_step_size_it_is_cfg():
    found = CFGPlusPlus(0.6, null=3).at_step(0.5)
    assert isinstance(found, CFG) and found.null == 3
    assert found.weight == pytest.approx(0.6 / (1.0 - math.exp(-0.5)), rel=1e-14)


@pytest.mark.parametrize("h", [0.0, -1.0, math.inf, math.nan])
def test_a_step_size_that_is_none_is_refused(h):
    with pytest.raises(ValueError, match="h must be a positive step"):
        CFGPlusPlus(0.6).at_step(h)


def test_two_step_form():
    """``y' = D_g + e^-h (y - D_u) - expm1(-h) (D_g - D_u_before) / (2 r)``, Euler's step first and last."""
    scale, steps = 0.4, 9
    kappa, h = grid(steps).kappa, torch.diff(grid(steps).log_snr)
    y, before = t1().problem.x, None
    for n in range(steps):
        bound, free = data(y, kappa[n])
        leaning = free + scale * (bound - free)
        y = leaning + torch.exp(-h[n]) * (y - free)
        if 0 < n < steps - 1:
            y = y - torch.expm1(-h[n]) * (leaning - before) * h[n] / (2.0 * h[n - 1])
        before = free
    found = kt.solve(guided(CFGPlusPlus(scale)), kt.DPMSolverPP(2, final_orders=(1,)), steps=steps).y1
    assert torch.allclose(found, y, rtol=0, atol=1e-12)


def test_ancestral_form():
    """``y' = D_g + kappa_down (y - D_u) / kappa + kappa_up z``."""
    scale, steps = 0.4, 9
    kappa = grid(steps).kappa
    y, generator = t1().problem.x, torch.Generator().manual_seed(3)
    for n in range(steps):
        bound, free = data(y, kappa[n])
        up = kappa[n + 1] * torch.sqrt(1.0 - (kappa[n + 1] / kappa[n]) ** 2)
        down = torch.sqrt(kappa[n + 1] ** 2 - up**2)
        z = torch.randn(y.shape, dtype=F64, generator=generator)
        y = free + scale * (bound - free) + down * (y - free) / kappa[n] + up * z
    generator = torch.Generator().manual_seed(3)
    found = kt.solve(guided(CFGPlusPlus(scale)), kt.AncestralEuler(), steps=steps, generator=generator).y1
    assert torch.allclose(found, y, rtol=0, atol=1e-12)


def test_the_noise_that_is_put_back_is_free():
    """Of the states on the way, the noise is that of the free prediction at the state before."""
    found = kt.solve(guided(CFGPlusPlus(0.7)), kt.DDIM(), steps=6, save_at="steps").ys
    kappa = grid(6).kappa
    for n in range(6):
        bound, free = data(found[n], kappa[n])
        noise = (found[n] - free) / kappa[n]
        expected = free + 0.7 * (bound - free) + kappa[n + 1] * noise
        assert torch.allclose(found[n + 1], expected, rtol=0, atol=1e-12)


def test_one_evaluation_a_step():
    sol = kt.solve(guided(CFGPlusPlus(0.7)), kt.DPMSolverPP(2), steps=12)
    assert sol.stats.function_evaluations == 12


def test_where_there_is_no_data_or_no_noise():
    """A rectified flow from nothing but noise to nothing but data: the last state is the guided prediction."""
    teacher, schedule = t1().teacher, kt.diffusion.RectifiedFlow()
    problem = guided(
        CFGPlusPlus(0.6), model=teacher.model(schedule, "flow"), schedule=schedule, prediction="flow", x=t1().problem.x
    )
    states = kt.solve(problem, kt.DDIM(), steps=8, save_at="steps").ys
    assert bool(torch.isfinite(states).all())
    alpha, sigma = 7 / 8, 1 / 8
    bound, free = teacher.data(states[-2], alpha, sigma, CONDITION), teacher.data(states[-2], alpha, sigma)
    assert torch.allclose(states[-1], free + 0.6 * (bound - free), rtol=0, atol=1e-12)


SAMPLERS = {
    "noise form": kt.DPMSolver(2),
    "three predictions": kt.ExponentialMultistep(3),
    "a corrector": kt.UniPC(2),
    "stages": kt.EDMHeun(),
    "singlestep": kt.diffusion.DPMSolverSinglestep(2),
    "Adams": kt.PLMS(4),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_that_it_is_not_defined_for_are_refused_before_the_first_call(name):
    def model(*_):
        raise AssertionError("called")

    with pytest.raises(ValueError, match=r"CFGPlusPlus is defined for .*at_step\(h\) with any sampler"):
        kt.solve(guided(CFGPlusPlus(0.6), model=model), SAMPLERS[name], steps=8)
    found = kt.solve(guided(CFGPlusPlus(0.6).at_step(0.5)), SAMPLERS[name], steps=8).y1
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("method", [kt.Tsit5(), kt.AdaptiveMultistep()], ids=["equation", "adaptive"])
def test_there_is_no_equation_behind_it(method):
    with pytest.raises(ValueError, match=r"no equation behind it.*at_step\(h\)"):
        kt.solve(guided(CFGPlusPlus(0.6)), method)


def test_scales_that_are_none_are_refused():
    with pytest.raises(ValueError, match="scale must be finite"):
        CFGPlusPlus(math.inf)
