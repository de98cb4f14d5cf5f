"""The native transforms against PyTorch's."""

import pytest
import torch

from kutta.solvers.engines.compiled.build import native
from kutta.solvers.engines.compiled.transforms import available, parts, parts_to_parts, parts_to_real, real_to_parts
from tests._helpers import F64

# Shapes, and along how many last axes: one row and many, as many as fill lanes and not, even and odd, all factors,
# three axes, a batch, and lengths that are left to the library.
SHAPES = [
    ((1, 32), 2),
    ((3, 16), 1),
    ((33, 22), 1),
    ((16, 1), 2),
    ((16, 2), 2),
    ((40, 21), 1),
    ((20, 30), 2),
    ((5, 9, 15), 2),
    ((12, 10, 14, 7), 3),
    ((64, 64), 2),
    ((32, 128), 2),
]


def fields(dtype):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=dtype, generator=generator) for shape, _ in SHAPES]


def coefficients(u, axes):
    """Those of two thirds of the waves along the last axis, so that columns of zeros are left out."""
    z = parts(torch.fft.rfftn(u, dim=tuple(range(-axes, 0))))
    return z * (3 * torch.arange(z.shape[-1]) <= u.shape[-1])


def forth_and_back(*tensors):
    count, found = len(tensors) // 2, []
    for u, z, (_, axes) in zip(tensors[:count], tensors[count:], 2 * SHAPES, strict=True):
        found += [real_to_parts(u, axes, 0.5), parts_to_real(z, axes, u.shape[-1], 0.5)]
    return tuple(found)


@pytest.mark.skipif(not available(), reason="PyTorch has no library of transforms here")
def test_natively_compiled_transforms_equal_those_of_pytorch():
    inputs = [*fields(torch.float32), *fields(F64)]
    inputs += [coefficients(u, axes) for u, (_, axes) in zip(inputs, 2 * SHAPES, strict=True)]
    expected = forth_and_back(*inputs)
    for found, value in zip(native(forth_and_back, inputs)(*inputs), expected, strict=True):
        assert found.shape == value.shape
        error = (found - value).abs().max() / value.abs().max()
        assert error < 8 * torch.finfo(value.dtype).eps


def whatever_the_order(u, z):
    forth, back = real_to_parts(u.mT, 1, 1.0), parts_to_real(z.mT, 1, u.shape[-2], 1.0)
    return forth, back, parts_to_parts(z.movedim(1, -1), 2, True, 0.5), parts_to_parts(z, 1, False, 1.0)


@pytest.mark.skipif(not available(), reason="PyTorch has no library of transforms here")
@pytest.mark.parametrize("count", [3, 160], ids=["a few", "in threads"])
def test_numbers_may_lie_in_any_order(count):
    """As those do that are computed before the loop, which Inductor lays out as it likes."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(30, 4 * count, dtype=F64, generator=generator)
    z = parts(torch.fft.rfft(u, dim=0))
    expected = whatever_the_order(u, z)
    for found, value in zip(native(whatever_the_order, (u, z))(u, z), expected, strict=True):
        torch.testing.assert_close(found, value, rtol=1e-13, atol=1e-12)
