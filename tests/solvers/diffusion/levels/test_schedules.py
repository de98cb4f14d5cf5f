"""Noise schedules: inverses, identities, and the tables of trained models."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, tensor
from tests.solvers.diffusion.problems import stable_diffusion_betas

D = kt.diffusion
CONTINUOUS = [D.VP(), D.VE(), D.EDM(start=80.0, end=0.002), D.Cosine(), D.RectifiedFlow(start=0.999, end=0.001)]
SCHEDULES = [*CONTINUOUS, D.Discrete(stable_diffusion_betas())]
PRESERVING = [D.VP(), D.Cosine(), D.Discrete(stable_diffusion_betas())]


def name(schedule):
    return type(schedule).__name__


def zero_terminal():
    betas = stable_diffusion_betas().clone()
    betas[-1] = 1.0
    return D.Discrete(betas)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
@settings(max_examples=30, deadline=None)
@given(part=st.floats(0.0, 1.0))
def test_time_and_log_snr_are_inverses(schedule, part):
    t = tensor(schedule.end + part * (schedule.start - schedule.end))
    log_snr = schedule.log_snr(t)
    assert torch.allclose(schedule.time(log_snr), t, rtol=1e-12, atol=1e-12)
    assert torch.allclose(schedule.log_snr(schedule.time(log_snr)), log_snr, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_alpha_sigma_and_log_snr_agree(schedule):
    t = torch.linspace(schedule.end, schedule.start, 97, dtype=F64)
    ratio = torch.log(schedule.alpha(t) / schedule.sigma(t))
    assert torch.allclose(ratio, schedule.log_snr(t), rtol=1e-12, atol=1e-12)
    assert torch.allclose(torch.log(schedule.alpha(t)), schedule.log_alpha(t), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_noise_grows_with_time(schedule):
    t = torch.linspace(schedule.end, schedule.start, 997, dtype=F64)
    assert (torch.diff(schedule.log_snr(t)) < 0).all()
    assert schedule.alpha(t).dtype == schedule.sigma(t).dtype == schedule.time(t).dtype == F64


@pytest.mark.parametrize("schedule", PRESERVING, ids=name)
def test_variance_is_preserved(schedule):
    t = torch.linspace(schedule.end, schedule.start, 97, dtype=F64)
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t), rtol=1e-13)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
def test_gradients_reach_the_times(schedule):
    # The training steps of a discrete schedule are corners, so between them.
    t = schedule.end + (schedule.start - schedule.end) * tensor(0.2121, 0.5303, 0.9091)
    for function in (schedule.sigma, schedule.log_snr, lambda t: schedule.time(2.0 * schedule.log_snr(t))):
        got, wanted = (way(lambda t, f=function: f(t).sum(), t) for way in (gradient, partial(difference, eps=1e-6)))
        assert relative_error(got, wanted) < 1e-6


def test_vp_is_the_integral_of_its_rate():
    schedule, t = D.VP(beta_min=0.1, beta_max=20.0), torch.linspace(0.0, 1.0, 2001, dtype=F64)
    rate = 0.1 + t * 19.9
    integral = torch.trapezoid(rate, t)
    assert float(schedule.log_alpha(tensor(1.0))) == pytest.approx(-0.5 * float(integral), rel=1e-12)


def test_cosine_against_its_formula():
    schedule, t = D.Cosine(offset=0.008), torch.linspace(0.01, 0.99, 50, dtype=F64)
    angle = math.pi / 2 * (t + 0.008) / 1.008
    alpha = torch.cos(angle) / math.cos(math.pi / 2 * 0.008 / 1.008)
    assert torch.allclose(schedule.alpha(t), alpha, rtol=1e-12)


def test_pure_noise_and_pure_data():
    assert float(D.Cosine().alpha(tensor(1.0))) == 0.0
    assert float(D.Cosine().log_snr(tensor(1.0))) == -math.inf
    flow = D.RectifiedFlow()
    assert flow.log_snr(tensor(1.0, 0.0)).tolist() == [-math.inf, math.inf]
    assert flow.time(tensor(-math.inf, math.inf)).tolist() == [1.0, 0.0]
    assert float(D.EDM(end=0.0).log_snr(tensor(0.0))) == math.inf


def test_discrete_has_the_table_of_diffusers():
    diffusers = pytest.importorskip("diffusers")
    other = diffusers.DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    schedule = D.Discrete(other.betas)
    products = torch.cumprod(1.0 - other.betas.double(), 0)
    t = torch.arange(1000)
    assert torch.allclose(schedule.alpha(t) ** 2, products, rtol=1e-12)
    assert torch.allclose((schedule.alpha(t) ** 2).float(), other.alphas_cumprod, rtol=1e-5)


def test_discrete_is_linear_in_log_snr_between_training_steps():
    schedule = D.Discrete(stable_diffusion_betas())
    left, middle, right = schedule.log_snr(tensor(500.0, 500.25, 501.0))
    assert float(middle) == pytest.approx(0.75 * float(left) + 0.25 * float(right), rel=1e-14)
    slope = torch.autograd.functional.jacobian(schedule.log_snr, tensor(500.0))
    assert float(slope) == pytest.approx(float(right - left), rel=1e-12)


def test_discrete_with_zero_terminal_signal():
    schedule = zero_terminal()
    assert float(schedule.alpha(999)) == 0.0 and float(schedule.sigma(999)) == 1.0
    assert float(schedule.log_snr(999)) == -math.inf
    assert float(schedule.time(tensor(-math.inf))) == 999.0
    t = torch.arange(999, dtype=F64)
    assert torch.allclose(schedule.time(schedule.log_snr(t)), t, rtol=1e-12)
    assert torch.isfinite(schedule.alpha(t)).all() and torch.isfinite(schedule.log_snr(t)).all()
    slope = torch.autograd.functional.jacobian(schedule.log_snr, tensor(998.0))
    assert not torch.isnan(slope).any()


@pytest.mark.parametrize("betas", [[0.1], [[0.1, 0.2]], [0.1, 1.2], [0.1, -0.1], [0.0, 0.1], [0.1, math.nan]])
def test_betas_that_make_no_schedule(betas):
    with pytest.raises(ValueError, match="betas must be"):
        D.Discrete(torch.tensor(betas))


class Sigmoid(D.Schedule):
    """``alpha^2 = 1 - t``: a schedule of one's own needs three functions."""

    start, end = 0.99, 0.01

    def log_alpha(self, t):
        return 0.5 * torch.log1p(-t)

    def sigma(self, t):
        return torch.sqrt(t)

    def time(self, log_snr):
        return torch.sigmoid(-2.0 * log_snr)


def test_a_schedule_of_ones_own():
    schedule = Sigmoid()
    t = torch.linspace(0.01, 0.99, 11, dtype=F64)
    assert torch.allclose(schedule.time(schedule.log_snr(t)), t, rtol=1e-13)
    teacher = D.GaussianMixture([1.0], [[1.0]], [0.25])
    x = torch.linspace(-2.0, 2.0, 9, dtype=F64)[:, None]
    problem = kt.DiffusionProblem(teacher.model(schedule), schedule, x)
    exact = kt.solve(problem, kt.Dopri8(), rtol=1e-10, atol=1e-10).y1
    assert torch.allclose(kt.solve(problem, kt.DDIM(), steps=500).y1, exact, atol=4e-3)


def test_discrete_schedules_of_the_same_betas_are_equal():
    one, same = D.Discrete(stable_diffusion_betas()), D.Discrete(stable_diffusion_betas().tolist())
    assert one == same and hash(one) == hash(same)
    for other in (D.Discrete(stable_diffusion_betas()[:-1]), D.Discrete(0.5 * stable_diffusion_betas()), D.VP()):
        assert one != other
    assert len({one, same, D.Discrete([0.1, 0.2])}) == 2
