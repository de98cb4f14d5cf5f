"""Truncated transforms against fast ones."""

import pytest
import torch

from kutta.operators.layers import fourier
from kutta.operators.layers.spectral import SpectralConvolution

SHAPE, MODES = (16, 20), (6, 8)
ROWS = (torch.arange(6) - 3) % 16  # where the fast transform has the waves -3..2


def field(shape=SHAPE):
    return torch.randn(3, 2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_coefficients_are_those_of_the_fast_transform():
    a = field()
    fast = torch.fft.rfftn(a, dim=(-2, -1), norm="forward")[..., ROWS, :][..., :5]
    torch.testing.assert_close(torch.complex(*fourier.forward(a, MODES).unbind(2)), fast, rtol=0.0, atol=1e-15)


@pytest.mark.parametrize("shape", [(15,), (16,), (9, 12), (4, 5, 6)])
def test_with_all_waves_the_way_back_leads_to_the_field(shape):
    a = field(shape)
    torch.testing.assert_close(fourier.backward(fourier.forward(a, shape), shape, shape), a, rtol=0.0, atol=1e-13)


def test_a_convolution_is_what_complex_numbers_make_of_it():
    torch.manual_seed(0)
    layer, a = SpectralConvolution(2, 3, MODES).double(), field()
    weight = torch.complex(*layer.weight).reshape(6, 5, 2, 3)
    fast = torch.fft.rfftn(a, dim=(-2, -1), norm="forward")[..., ROWS, :][..., :5]
    spectrum = torch.zeros(3, 3, 16, 11, dtype=torch.complex128)
    spectrum[..., ROWS[:, None], torch.arange(5)] = torch.einsum("niab,abio->noab", fast, weight)
    lines = torch.fft.ifft(spectrum, dim=-2, norm="forward")
    lines[..., 0].imag = 0.0  # the wave 0 of the last axis stands for itself
    expected = torch.fft.irfft(lines, 20, norm="forward")
    torch.testing.assert_close(layer(a), expected, rtol=0.0, atol=1e-14)


def test_the_variance_of_kept_waves_stays():
    torch.manual_seed(0)
    modes, shape = (12, 12), (32, 32)
    kept = fourier.forward(torch.randn(64, 48, *shape, dtype=torch.float64), modes)
    a = fourier.backward(kept, modes, shape)
    ratio = SpectralConvolution(48, 48, modes).double()(a).var() / a.var()
    assert 0.9 < ratio < 1.1


def test_derivatives_of_the_output_are_those_of_its_waves():
    """d/dx of the interpolant through the output, taken by its coefficients and by shifts of the points."""
    torch.manual_seed(0)
    layer, a = SpectralConvolution(2, 3, (6, 9)).double(), field()
    c = fourier.forward(layer(a), (6, 9))
    real, imaginary = c.unbind(2)
    k = 2.0 * torch.pi * torch.arange(5)
    slope = fourier.backward(torch.stack([-k * imaginary, k * real], 2), (6, 9), SHAPE)
    full = torch.fft.rfft(layer(a)) * (2j * torch.pi * torch.arange(11))
    torch.testing.assert_close(slope, torch.fft.irfft(full, 20), rtol=0.0, atol=1e-11)
