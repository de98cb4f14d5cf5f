"""Mixing of coefficients: what it computes, and how variance passes through many layers."""

import itertools

import pytest
import torch

import kutta as kt
from kutta.operators.layers import orthonormal
from kutta.operators.layers.mode_mixing import ChannelMixing, WaveMixing

SHAPE, COUNTS = (32, 40), (12, 10)
GRID = kt.pde.Grid(SHAPE, boundary=kt.pde.Neumann())
PART = 12 * 10 / (32 * 40)


def variances(parts, channels=48):
    """Of white noise of variance 1, transformed, and seen on the grid behind each of some random linear layers."""
    torch.manual_seed(0)
    z, found = orthonormal.forward(torch.randn(24, channels, *SHAPE), GRID, COUNTS), []
    with torch.no_grad():
        for part in parts:
            z = ChannelMixing(channels, channels, COUNTS, part)(z)
            found.append(orthonormal.backward(z, GRID, COUNTS).square().mean().item())
    return found


def test_the_variance_of_white_noise_stays_through_eight_layers():
    assert variances([PART, *[1.0] * 7])[-1] == pytest.approx(1.0, rel=0.05)


def test_with_the_rule_of_the_first_layer_in_all_it_grows_by_points_over_waves_in_each():
    """Behind the first layer there is nothing but kept waves, and nothing to make up for."""
    found = variances([PART] * 5)
    assert found[0] == pytest.approx(1.0, rel=0.05)
    for before, after in itertools.pairwise(found):
        assert after / before == pytest.approx(1.0 / PART, rel=0.05)


def test_channels_are_mixed_by_a_matrix_for_each_wave():
    torch.manual_seed(0)
    layer, z = ChannelMixing(2, 3, (4, 5)).double(), torch.randn(6, 2, 4, 5, dtype=torch.float64)
    expected = torch.einsum("niab,abio->noab", z, layer.weight.unflatten(0, (4, 5)))
    torch.testing.assert_close(layer(z), expected, rtol=1e-13, atol=1e-13)


def test_waves_are_mixed_along_each_axis_by_a_matrix_for_each_channel():
    torch.manual_seed(0)
    layer, z = WaveMixing(2, (4, 5, 3)).double(), torch.randn(6, 2, 4, 5, 3, dtype=torch.float64)
    expected = torch.einsum("ncuvw,cua,cvb,cwd->ncabd", z, *layer.weights)
    torch.testing.assert_close(layer(z), expected, rtol=1e-13, atol=1e-13)
