"""Transforms where the rest is computed in half precision."""

import pytest
import torch

import kutta as kt
from kutta.operators.layers import fourier, orthonormal
from kutta.operators.layers.spectral import SpectralConvolution

GRID = kt.pde.Grid((32, 40), boundary=kt.pde.Neumann())


@pytest.mark.parametrize(
    "transform", [lambda a: fourier.forward(a, (6, 8)), lambda a: orthonormal.forward(a, GRID, (6, 8))]
)
def test_small_waves_beside_a_large_mean_are_seen(transform):
    x, _ = GRID.points(torch.float32)
    small, mean = torch.cos(torch.pi * x)[None, None], 1000.0 * torch.ones(1, 1, 32, 40)
    with torch.autocast("cpu", torch.bfloat16):
        found = transform(small + mean) - transform(mean)
    expected = transform(small)
    assert found.dtype == torch.float32 and (found - expected).norm() < 1e-3 * expected.norm()


def test_half_precision_comes_out_where_it_goes_in():
    torch.manual_seed(0)
    layer, a = SpectralConvolution(2, 3, (6, 8)), torch.randn(2, 2, 32, 40)
    half = layer.bfloat16()(a.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), layer.float()(a), rtol=0.0, atol=0.1)
