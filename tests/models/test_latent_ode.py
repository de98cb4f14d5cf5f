"""A latent ODE is an encoder, a solve and a decoder; its bound is that of the formula."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

import kutta as kt
from kutta.models import LatentODE, RecurrentEncoder
from kutta.regularizers import ErrorEstimate, LocalErrorEstimate
from tests._helpers import F64

TIMES = torch.tensor([0.0, 0.2, 0.3, 0.7, 1.0], dtype=F64)


def build(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        field = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
        model = LatentODE(RecurrentEncoder(2, 3, 6), field, nn.Linear(3, 2), **{"rtol": 1e-8, "atol": 1e-8} | options)
    return model.double()


@pytest.fixture
def series():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(4, 5, 2, dtype=F64, generator=generator)
    mask = torch.rand(4, 5, 2, generator=generator) < 0.7
    mask[:, 0] = True
    return values, mask


def test_it_is_a_solve_between_encoder_and_decoder(series):
    model = build().eval()
    path = model(TIMES, *series)
    start = model.encoder(TIMES, *series).mean
    problem = kt.ODEProblem(lambda t, z: model.flow.field(z), start, (0.0, 1.0))
    sol = kt.solve(problem, rtol=1e-8, atol=1e-8, save_at=TIMES)
    assert torch.equal(path.latent, sol.ys.transpose(0, 1))
    assert torch.equal(path.prediction, model.decoder(path.latent))
    assert torch.equal(path.latent[:, 0], start)


def test_the_bound_is_that_of_the_formula(series):
    values, mask = series
    model = build(deviation=0.3)
    path = model(TIMES, values, mask)
    normal = Normal(path.prediction, 0.3).log_prob(values)
    mean, deviation = path.start.mean, path.start.stddev
    divergence = 0.5 * (deviation**2 + mean**2 - 1.0 - 2.0 * deviation.log()).sum(dim=1)
    expected = torch.where(mask, normal, 0.0).sum(dim=(1, 2))
    torch.testing.assert_close(model.evidence(path, values, mask), expected - divergence)
    torch.testing.assert_close(model.evidence(path, values, mask, weight=0.0), expected)


def test_the_bound_is_one_of_the_evidence():
    """With dz/dt = 0 and x = z + noise the evidence is known, and reached by the true posterior."""

    class Posterior(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def forward(self, times, values, mask):
            count, sigma = values.shape[1], 0.5
            precision = 1.0 + count / sigma**2
            return Normal(values.sum(dim=1) / sigma**2 / precision, self.scale * precision**-0.5)

    class Still(nn.Module):
        def forward(self, z):
            return torch.zeros_like(z)

    values = torch.tensor([[[0.3], [-0.2], [0.9]]], dtype=F64).expand(20_000, 3, 1)
    covariance = torch.ones(3, 3, dtype=F64) + 0.25 * torch.eye(3, dtype=F64)
    evidence = torch.distributions.MultivariateNormal(torch.zeros(3, dtype=F64), covariance).log_prob(values[0, :, 0])
    times, generator = torch.tensor([0.0, 0.5, 1.0], dtype=F64), torch.Generator().manual_seed(0)
    gaps = []
    for scale in (1.0, 1.5):
        model = LatentODE(Posterior(scale), Still(), nn.Identity(), deviation=0.5, generator=generator)
        bound = model.evidence(model(times, values), values)
        gaps.append(((evidence - bound.mean()) / (bound.std() / 20_000**0.5)).item())
    assert abs(gaps[0]) < 4.0 and gaps[1] > 20.0
    assert evidence - bound.mean() == pytest.approx(0.5 * (1.5**2 - 1.0) - math.log(1.5), abs=0.03)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Gauss(), kt.Interpolating()], ids=repr)
def test_gradients(series, adjoint):
    values, mask = series
    model = build(adjoint=adjoint, rtol=1e-10, atol=1e-10)
    parameters = list(model.parameters())

    def loss():
        model.generator = torch.Generator().manual_seed(3)
        return model.evidence(model(TIMES, values, mask), values, mask).mean()

    gradients = torch.autograd.grad(loss(), parameters)
    directions = [torch.randn_like(one) for one in parameters]
    slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
    ends = []
    for sign in (1.0, -1.0):
        with torch.no_grad():
            for one, direction in zip(parameters, directions, strict=True):
                one.add_(direction, alpha=sign * 1e-5)
            ends.append(loss())
            for one, direction in zip(parameters, directions, strict=True):
                one.sub_(direction, alpha=sign * 1e-5)
    torch.testing.assert_close(slope, (ends[0] - ends[1]) / 2e-5, rtol=2e-6, atol=1e-5)


def test_what_was_not_observed_does_not_matter(series):
    values, mask = series
    holes = torch.where(mask, values, torch.nan)
    model = build(generator=torch.Generator().manual_seed(0)).eval()
    bounds = [model.evidence(model(TIMES, one, mask), one, mask) for one in (values, holes)]
    assert torch.equal(*bounds)
    bounds[1].sum().backward()
    assert all(bool(one.grad.isfinite().all()) for one in model.parameters())


def test_starts_are_drawn_in_training_only(series):
    model = build(generator=torch.Generator().manual_seed(0))
    first, second = (model(TIMES, *series).prediction for _ in range(2))
    assert not torch.allclose(first, second)
    model.generator.manual_seed(0)
    assert torch.equal(model(TIMES, *series).prediction, first)
    model.eval()
    assert torch.equal(model(TIMES, *series).prediction, model(TIMES, *series).prediction)


def test_series_with_times_of_their_own(series):
    values, mask = series
    model = build(rtol=1e-10, atol=1e-10).eval()
    own = TIMES.repeat(4, 1)
    own[1] = own[1] * 0.5 + 0.25
    path = model(own, values, mask)
    assert path.prediction.shape == values.shape and len(path.solution.result) == 4
    for row in (0, 1):
        alone = model(own[row], values[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(path.prediction[row : row + 1], alone.prediction, rtol=1e-8, atol=1e-8)


def test_a_short_series_is_filled_up_with_its_last_time(series):
    values, mask = series
    model = build(rtol=1e-10, atol=1e-10).eval()
    own = TIMES.repeat(4, 1)
    own[2, 3:], mask[2, 3:] = own[2, 2], False
    path = model(own, values, mask)
    alone = model(TIMES[:3], values[2:3, :3], mask[2:3, :3])
    torch.testing.assert_close(path.prediction[2:3, :3], alone.prediction, rtol=1e-8, atol=1e-8)
    bounds = model.evidence(path, values, mask)[2:3], model.evidence(alone, values[2:3, :3], mask[2:3, :3])
    torch.testing.assert_close(*bounds, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("times", [TIMES, TIMES.repeat(4, 1)], ids=["shared", "own"])
def test_values_can_be_foretold(series, times):
    model = build().eval()
    later = torch.linspace(0.5, 3.0, 7, dtype=F64)
    path = model(times, *series, save_at=later)
    assert path.prediction.shape == (4, 7, 2)
    torch.testing.assert_close(model(times, *series, save_at=later[-1:]).prediction, path.prediction[:, -1:])


def test_times_are_moved_in_training_only(series):
    model = build(steer=True, generator=torch.Generator().manual_seed(0))
    moved = model(TIMES, *series).solution.ts
    assert not torch.allclose(moved, TIMES) and bool((moved.diff() > 0).all())
    assert torch.equal(model.eval()(TIMES, *series).solution.ts, TIMES)
    with pytest.raises(ValueError, match="steer moves output times that all series share"):
        model.train()(TIMES.repeat(4, 1), *series)


def test_penalties_are_those_of_the_latent_solve(series):
    penalties = {"error": ErrorEstimate(), "local": LocalErrorEstimate(through_state=True)}
    model = build(penalties=penalties)
    found = model(TIMES, *series).solution.penalties
    sum(found.values()).backward()
    assert all(bool((one.grad != 0).any()) for one in model.flow.parameters())


@pytest.mark.parametrize("change, said", [
    (lambda t, v, m: (t, v[0], m[0]), r"values must have shape \(B, T, C\)"),
    (lambda t, v, m: (t, v, m[:, 1:]), "mask the same with dtype bool"),
    (lambda t, v, m: (t, v, m.double()), "torch.float64"),
    (lambda t, v, m: (t[1:], v, m), r"times must have shape \(5,\) or \(4, 5\); got \(4,\)"),
])  # fmt: skip
def test_shapes_that_do_not_match_are_refused(series, change, said):
    with pytest.raises(ValueError, match=said):
        build()(*change(TIMES, *series))


def test_the_deviation_is_positive():
    with pytest.raises(ValueError, match=r"deviation must be positive; got 0\.0"):
        build(deviation=0.0)


def test_each_series_may_take_its_own_steps(series):
    sol = build(each_alone=True).eval()(TIMES, *series).solution
    assert sol.stats.steps.shape == (4,)
    torch.testing.assert_close(sol.ys, build().eval()(TIMES, *series).solution.ys, rtol=1e-6, atol=1e-6)


def test_output_times_may_be_a_list(series):
    model = build().eval()
    listed = model(TIMES, *series, save_at=[0.5, 1.0])
    assert torch.equal(listed.prediction, model(TIMES, *series, save_at=TIMES.new_tensor([0.5, 1.0])).prediction)
    with pytest.raises(ValueError, match="save_at must be times, to decode at; got 'steps'"):
        model(TIMES, *series, save_at="steps")


def test_what_would_be_ignored_is_refused(series):
    with pytest.raises(ValueError, match="t_span is that of the times"):
        build(t_span=(0.0, 2.0))
    model = build()
    with pytest.raises(ValueError, match="t_span is that of the times"):
        model(TIMES, *series, t_span=(0.0, 2.0))
    with pytest.raises(ValueError, match="times must be sorted"):
        model(TIMES.flip(0), *series)
    with pytest.raises(ValueError, match=r"path must be at the times of values, of shape \(4, 5, 2\); got \(4, 1, 2\)"):
        model.evidence(model(TIMES, *series, save_at=TIMES[-1:]), *series)
