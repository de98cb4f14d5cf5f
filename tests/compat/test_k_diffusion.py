"""Samplers under the signature of k-diffusion, against `kutta.solve`."""

import pytest
import torch

import kutta as kt
from kutta.compat import k_diffusion
from kutta.solvers.diffusion.momentum.ghvb import GHVB
from kutta.solvers.diffusion.momentum.heavy_ball import HeavyBall

SIGMAS = [5.0, 3.0, 1.5, 0.8, 0.4, 0.2, 0.1]
TEACHER = kt.diffusion.GaussianMixture([0.5, 0.5], [[-2.0, 0.0], [2.0, 0.0]], [0.1, 0.2])
X = 5.0 * torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
SAMPLERS = {
    "sample_ddim": kt.DDIM(),
    "sample_dpmpp": kt.DPMSolverPP(),
    "sample_exponential_multistep": kt.ExponentialMultistep(),
    "sample_unipc": kt.UniPC(),
    "sample_deis": kt.DEIS(),
    "sample_plms": kt.PLMS(),
    "sample_heun": kt.EDMHeun(),
    "sample_ghvb": GHVB(),
    "sample_heavy_ball": HeavyBall(kt.DPMSolverPP(2), 0.8),
}


def denoise(x, sigma):
    return TEACHER.data(x, 1.0, sigma)


def solved(sampler, **options):
    schedule = kt.diffusion.EDM(start=SIGMAS[0], end=SIGMAS[-1])
    problem = kt.DiffusionProblem(TEACHER.model(schedule, "data"), schedule, X, prediction="data")
    return kt.solve(problem, sampler, grid=SIGMAS, **options).y1


@pytest.mark.parametrize("name", SAMPLERS)
def test_as_solve(name):
    function = getattr(k_diffusion, name)
    assert function.__name__ == name
    assert torch.allclose(function(denoise, X, SIGMAS), solved(SAMPLERS[name]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SAMPLERS)
def test_ends_at_the_data_where_the_last_sigma_is_zero(name):
    x = getattr(k_diffusion, name)(denoise, X, torch.tensor([*SIGMAS, 0.0]))
    assert bool(((x[:, 0].abs() - 2.0).abs() < 1.5).all()) and bool((x[:, 1].abs() < 1.5).all())


def test_noise_is_that_of_the_generator():
    one, other, solve = (torch.Generator().manual_seed(7) for _ in range(3))
    x = k_diffusion.sample_euler_ancestral(denoise, X, SIGMAS, generator=one)
    assert torch.equal(x, k_diffusion.sample_euler_ancestral(denoise, X, SIGMAS, generator=other))
    assert torch.allclose(x, solved(kt.AncestralEuler(), generator=solve), rtol=1e-10)
    assert not torch.allclose(x, k_diffusion.sample_euler_ancestral(denoise, X, SIGMAS, generator=one))


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (k_diffusion.sample_ddim, {}),
        (k_diffusion.sample_heun, {}),
        (k_diffusion.sample_heun, {"s_churn": 2.0}),
        (k_diffusion.sample_unipc, {"order": 3}),
        (k_diffusion.sample_exponential_multistep, {"starter": kt.diffusion.SinglestepStart(), "corrector": True}),
    ],
)
def test_callback_once_a_step(function, options):
    reports = []
    function(denoise, X, [*SIGMAS, 0.0], callback=reports.append, generator=torch.Generator(), **options)
    assert [one["i"] for one in reports] == list(range(len(SIGMAS)))
    assert [float(one["sigma"]) for one in reports] == SIGMAS
    for one in reports:
        assert one["sigma"] <= one["sigma_hat"] <= (2**0.5 if "s_churn" in options else 1.0) * one["sigma"]
        assert torch.equal(one["denoised"], denoise(one["x"], one["sigma_hat"].expand(len(X))))


def test_arguments_for_the_model_and_dtype():
    seen = []

    def model(x, sigma, cond):
        seen.append((x.dtype, sigma.dtype, sigma.shape, cond))
        return torch.zeros_like(x)

    x = k_diffusion.sample_ghvb(model, X.half(), SIGMAS, extra_args={"cond": "a cat"}, order=2, beta=0.9)
    assert set(seen) == {(torch.float16, torch.float16, (8,), "a cat")} and len(seen) == len(SIGMAS) - 1
    assert x.dtype == torch.float16


def test_progress_only_where_it_is_wanted(capsys):
    k_diffusion.sample_ddim(denoise, X, SIGMAS)
    assert not capsys.readouterr().err
    k_diffusion.sample_ddim(denoise, X, SIGMAS, disable=False)
    assert "100%" in capsys.readouterr().err


def test_hostile_sigmas():
    for sigmas in ([1.0, 2.0], [2.0, 1.0, 1.0], [1.0], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match=r"times of a grid|two and more"):
            k_diffusion.sample_ddim(denoise, X, sigmas)
    with pytest.raises(TypeError, match="sharpness"):
        k_diffusion.sample_ddim(denoise, X, SIGMAS, sharpness=3)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda x: x[:, :1], ValueError, r"shape of its x, \(8, 2\); got shape \(8, 1\)"),
        (lambda x: (x,), TypeError, "got tuple: give a function of the model's arguments"),
        (lambda x: x.long(), TypeError, "real floating-point numbers"),
        (lambda x: x.to("meta"), ValueError, "on its device"),
    ],
)
def test_a_model_that_returns_something_else(returned, error, message):
    with pytest.raises(error, match=message):
        k_diffusion.sample_ddim(lambda x, sigma: returned(x), X, SIGMAS)


def test_a_sampler_with_times_of_its_own_is_refused():
    own = kt.diffusion.named_schedule("ddim", SIGMAS, kt.diffusion.EDM())
    for sampler in (own, HeavyBall(own)):
        function = k_diffusion.sampler_function(lambda sampler=sampler: sampler, "sample_own")
        with pytest.raises(
            ValueError, match=f"sample_own is given its sigmas, .* {type(sampler).__name__} brings times"
        ):
            function(denoise, X, SIGMAS)
