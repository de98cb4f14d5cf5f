"""Predictions as one another: round trips, their definitions, and the ends where there is only data or only noise."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kutta as kt
from kutta.solvers.diffusion.levels.conversions import PREDICTIONS, factors
from tests._helpers import F64

PAIRS = list(itertools.product(PREDICTIONS, PREDICTIONS))
DATA, NOISE = torch.tensor([0.7, -1.3, 2.1], dtype=F64), torch.tensor([-0.4, 0.9, 1.6], dtype=F64)


def exact(prediction, alpha, sigma):
    """What a model that knows data and noise returns."""
    return {
        "epsilon": lambda: NOISE,
        "data": lambda: DATA,
        "v": lambda: alpha * NOISE - sigma * DATA,
        "score": lambda: -NOISE / sigma,
        "flow": lambda: NOISE - DATA,
    }[prediction]()


@pytest.mark.parametrize(("prediction", "wanted"), PAIRS)
@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0.02, 1.55), scale=st.floats(0.1, 100.0))
def test_every_pair_and_back(prediction, wanted, angle, scale):
    alpha, sigma = scale * math.cos(angle), scale * math.sin(angle)
    x = alpha * DATA + sigma * NOISE
    output = exact(prediction, alpha, sigma)
    found = kt.diffusion.convert(output, x, prediction, wanted, alpha, sigma)
    # The larger of the factors is how much rounding can grow.
    growth = max(1.0, alpha / sigma, sigma / alpha, sigma, 1 / sigma) ** 2
    assert torch.allclose(found, exact(wanted, alpha, sigma), rtol=0, atol=1e-14 * growth * 10)
    back = kt.diffusion.convert(found, x, wanted, prediction, alpha, sigma)
    assert torch.allclose(back, output, rtol=0, atol=1e-14 * growth * 100)


@pytest.mark.parametrize(("prediction", "wanted"), PAIRS)
@pytest.mark.parametrize(("alpha", "sigma"), [(0.8, 0.6), (1.0, 0.5), (0.3, 0.7), (0.9, math.sqrt(0.19))])
def test_round_trip_to_twelve_digits(prediction, wanted, alpha, sigma):
    x = alpha * DATA + sigma * NOISE
    output = exact(prediction, alpha, sigma)
    found = kt.diffusion.convert(output, x, prediction, wanted, alpha, sigma)
    assert torch.allclose(found, exact(wanted, alpha, sigma), rtol=1e-12, atol=1e-12)
    assert torch.allclose(kt.diffusion.convert(found, x, wanted, prediction, alpha, sigma), output, 1e-12, 1e-12)


@pytest.mark.parametrize("prediction", ["data", "v", "flow"])
@pytest.mark.parametrize("wanted", PREDICTIONS)
def test_where_there_is_only_noise(prediction, wanted):
    output = exact(prediction, 0.0, 2.0)
    found = kt.diffusion.convert(output, 2.0 * NOISE, prediction, wanted, 0.0, 2.0)
    assert torch.allclose(found, exact(wanted, 0.0, 2.0), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "flow"])
@pytest.mark.parametrize("wanted", ["epsilon", "data", "v", "flow"])
def test_where_there_is_only_data(prediction, wanted):
    output = exact(prediction, 1.5, 0.0)
    found = kt.diffusion.convert(output, 1.5 * DATA, prediction, wanted, 1.5, 0.0)
    assert torch.allclose(found, exact(wanted, 1.5, 0.0), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("prediction", "wanted"), PAIRS)
def test_a_number_for_each_sample(prediction, wanted):
    alpha, sigma = torch.tensor([[0.8], [0.3]], dtype=F64), torch.tensor([[0.6], [1.2]], dtype=F64)
    x = alpha * DATA + sigma * NOISE
    found = kt.diffusion.convert(exact(prediction, alpha, sigma), x, prediction, wanted, alpha, sigma)
    assert torch.allclose(found, exact(wanted, alpha, sigma).expand(2, 3), rtol=1e-13, atol=1e-13)


def test_noise_is_another_name_of_epsilon():
    for prediction in PREDICTIONS:
        assert factors(prediction, "noise", 0.8, 0.6) == factors(prediction, "epsilon", 0.8, 0.6)


def test_unknown_names():
    with pytest.raises(ValueError, match="prediction must be one of epsilon"):
        kt.diffusion.convert(DATA, DATA, "x0", "data", 0.8, 0.6)
    with pytest.raises(ValueError, match="wanted must be one of epsilon"):
        kt.diffusion.convert(DATA, DATA, "data", "velocity", 0.8, 0.6)


@pytest.mark.parametrize(
    ("prediction", "wanted", "alpha", "sigma"),
    [
        ("epsilon", "data", 0.0, 1.0),
        ("score", "v", 0.0, 1.0),
        ("data", "epsilon", 1.0, 0.0),
        ("flow", "score", 1.0, 0.0),
    ],
)
def test_numbers_at_which_nothing_follows(prediction, wanted, alpha, sigma):
    with pytest.raises(ValueError, match=f"with alpha={alpha} and sigma={sigma} '{wanted}' does not follow from"):
        kt.diffusion.convert(1.0, 1.0, prediction, wanted, alpha, sigma)
