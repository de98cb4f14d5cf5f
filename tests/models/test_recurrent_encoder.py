"""The encoder sees what was observed and when, and nothing else."""

import pytest
import torch

from kutta.models import RecurrentEncoder

TIMES = torch.tensor([0.0, 0.1, 0.4, 0.5, 0.9, 1.0])


@pytest.fixture
def encoder():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RecurrentEncoder(channels=2, latent=3, hidden=7).double()


@pytest.fixture
def series():
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(4, 6, 2, dtype=torch.float64, generator=generator)
    mask = torch.rand(4, 6, 2, generator=generator) < 0.6
    mask[:, 0, 0] = True
    return values, mask


def same(one, other):
    torch.testing.assert_close(one.mean, other.mean, rtol=0.0, atol=1e-14)
    torch.testing.assert_close(one.stddev, other.stddev, rtol=0.0, atol=1e-14)


def test_what_was_not_observed_does_not_matter(encoder, series):
    values, mask = series
    holes = torch.where(mask, values, torch.nan)
    same(encoder(TIMES, holes, mask), encoder(TIMES, values, mask))


def test_times_without_an_observation_do_not_matter(encoder, series):
    values, mask = series
    mask[:, 2] = False
    others = [0, 1, 3, 4, 5]
    same(encoder(TIMES, values, mask), encoder(TIMES[others], values[:, others], mask[:, others]))
    mask[:, -1] = False
    same(encoder(TIMES, values, mask), encoder(TIMES[[0, 1, 3, 4]], values[:, [0, 1, 3, 4]], mask[:, [0, 1, 3, 4]]))


def test_each_series_is_read_alone(encoder, series):
    values, mask = series
    whole = encoder(TIMES, values, mask)
    for row in range(4):
        one = encoder(TIMES, values[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(one.mean[0], whole.mean[row], rtol=0.0, atol=1e-14)


def test_series_may_have_their_own_times(encoder, series):
    values, mask = series
    same(encoder(TIMES.expand(4, 6), values, mask), encoder(TIMES, values, mask))
    moved = TIMES.repeat(4, 1)
    moved[2, 3] += 0.2
    found, before = encoder(moved, values, mask).mean, encoder(TIMES, values, mask).mean
    assert torch.equal(found[[0, 1, 3]], before[[0, 1, 3]]) and not torch.equal(found[2], before[2])


def test_time_before_the_first_observation_counts(encoder, series):
    values, mask = series
    mask[:, 0] = False
    earlier = TIMES.clone()
    earlier[0] = -1.0
    assert not torch.allclose(encoder(earlier, values, mask).mean, encoder(TIMES, values, mask).mean)


def test_the_order_of_observations_counts(encoder, series):
    values, mask = series
    mask[:] = True
    assert not torch.allclose(encoder(TIMES, values.flip(1), mask).mean, encoder(TIMES, values, mask).mean)


def test_a_series_without_observations_has_a_distribution(encoder, series):
    values, mask = series
    mask[0] = False
    found = encoder(TIMES, values, mask)
    assert bool(found.mean.isfinite().all()) and bool((found.stddev > 0).all())
    fewer = [0, 1, 2, 3, 4]
    alone = encoder(TIMES[fewer], values[:1, fewer], mask[:1, fewer])
    torch.testing.assert_close(alone.mean[0], found.mean[0], rtol=0.0, atol=1e-14)


def test_every_observation_receives_a_gradient(encoder, series):
    values, mask = series
    values.requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(TIMES, values, mask).mean.square().sum(), values)
    assert torch.equal(gradient != 0.0, mask)
