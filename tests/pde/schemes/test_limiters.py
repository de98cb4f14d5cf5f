"""Limiters: where the theory of total variation wants them, and mirror images of themselves."""

import pytest
import torch

from kutta.pde.schemes.limiters import LIMITERS
from tests._helpers import F64


@pytest.fixture(params=sorted(LIMITERS))
def limiter(request):
    return LIMITERS[request.param]


@pytest.fixture
def pairs():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 1000, dtype=F64, generator=generator)


def test_within_the_region_of_no_new_extrema(limiter, pairs):
    a, b = pairs
    slope = limiter(a, b)
    agree = a * b > 0
    assert bool(agree.any()) and not bool(slope[~agree].any())
    assert bool((slope * a >= 0).all()) and bool((slope.abs() <= 2 * torch.minimum(a.abs(), b.abs()) + 1e-15).all())


def test_odd_symmetric_and_of_any_scale(limiter, pairs):
    a, b = pairs
    slope = limiter(a, b)
    assert bool(slope.any())
    assert torch.equal(limiter(b, a), slope)
    assert torch.equal(limiter(-a, -b), -slope)
    assert torch.allclose(limiter(1e-3 * a, 1e-3 * b), 1e-3 * slope, rtol=1e-13, atol=0)


def test_straight_lines_stay(limiter, pairs):
    a, _ = pairs
    assert torch.allclose(limiter(a, a), a, rtol=1e-15, atol=0)


def test_derivatives_where_nothing_varies_are_finite(limiter):
    a = torch.zeros(4, dtype=F64, requires_grad=True)
    b = torch.zeros(4, dtype=F64, requires_grad=True)
    for one in torch.autograd.grad(limiter(a, b).sum(), (a, b), allow_unused=True, materialize_grads=True):
        assert bool(torch.isfinite(one).all())
