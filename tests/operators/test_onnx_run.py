"""What ONNX files are tried with, and how far the fields of two runtimes are apart."""

import pytest
import torch

import kutta as kt
from kutta.operators.onnx_run import largest_difference, samples_within
from kutta.operators.scope import Scope

SCOPE = Scope("Heat", ("u",), kt.pde.Grid((8, 6)), ("u0", "rate"), (-1.0, 0.5), (3.0, 0.7), {}, 0.1)


def test_samples_lie_within_the_ranges_of_training():
    a = samples_within(SCOPE, 200, 0, torch.float64)
    assert a.shape == (200, 2, 8, 6) and torch.equal(a, samples_within(SCOPE, 200, 0, torch.float64))
    for channel, (low, high) in enumerate(((-1.0, 3.0), (0.5, 0.7))):
        assert low <= float(a[:, channel].min()) < low + 0.01 * (high - low)
        assert high >= float(a[:, channel].max()) > high - 0.01 * (high - low)


def test_one_point_of_one_sample_is_enough_for_a_difference():
    u = torch.ones(3, 1, 4)
    u[2] *= 100.0
    found = u.clone()
    found[1, 0, 2] += 0.5
    found[2, 0, 1] += 0.6
    assert largest_difference(u, found) == 0.5


@pytest.mark.parametrize("count", [0, 1, 2.0, True])
def test_one_sample_is_no_test_of_batches(count):
    with pytest.raises(ValueError, match="samples must be a whole number of at least 2"):
        samples_within(SCOPE, count, 0, torch.float32)
