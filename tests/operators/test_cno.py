"""The convolutional neural operator: the same function on all grids, wherever their points lie."""

import pytest
import torch

import kutta as kt
from kutta.operators.cno import FilteredConvolution
from kutta.operators.layers.resampling import resampled

COUNT = 48


def cno(**options):
    torch.manual_seed(0)
    settings = {"shape": (COUNT, COUNT), "width": 8, "scales": 3, "blocks": 2, "bottleneck": 2} | options
    return kt.operators.CNO(1, 1, **settings).double()


def unet():
    torch.manual_seed(0)
    return kt.operators.UNet(1, 1, width=8, groups=2, scales=3).double()


def on(count):
    return kt.pde.Grid((count, count), 2 * torch.pi)


def band_limited(count, shift=0.0):
    """Waves of up to 4 along each axis, of variance 1, at points moved by a part of the spacing."""
    amplitudes = torch.randn(81, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x, y = on(count).points() + shift * 2 * torch.pi / count
    waves = [(i - 4) * x + (j - 4) * y for i in range(9) for j in range(9)]
    u = sum(a * w.cos() + b * w.sin() for (a, b), w in zip(amplitudes, waves, strict=True))
    return (u / u.std())[None, None]


def difference(u, v):
    return float((u - v).norm() / v.norm())


@torch.no_grad()
def test_the_function_does_not_depend_on_the_grid_and_that_of_a_u_net_does():
    """Measured: 3e-5 and 0.26."""
    found = {}
    for name, model in (("cno", cno()), ("unet", unet())):
        coarse, fine = (model(band_limited(count), on(count)) for count in (COUNT, 2 * COUNT))
        found[name] = difference(fine[..., ::2, ::2], coarse)
    assert found["cno"] < 1e-3 and found["unet"] > 1e-1


@torch.no_grad()
def test_nor_on_where_the_points_lie():
    """Points moved by half the spacing see the same function there. Measured: 2e-3 and 0.26."""
    found = {}
    for name, model in (("cno", cno()), ("unet", unet())):
        between = resampled(model(band_limited(COUNT), on(COUNT)), on(COUNT), (2 * COUNT, 2 * COUNT))[..., 1::2, 1::2]
        moved = model(band_limited(COUNT, shift=0.5), on(COUNT))
        found[name] = difference(moved - moved.mean(), between - between.mean())
    assert found["cno"] < 5e-3 and found["unet"] > 1e-1


@torch.no_grad()
def test_activations_make_no_wave_look_like_another():
    """What comes out is what is left of ``relu(u)`` after taking away the waves that the grid cannot show."""
    layer = FilteredConvolution(1, 1, 1, "relu").double()
    torch.nn.init.dirac_(layer.convolution.weight)
    torch.nn.init.zeros_(layer.convolution.bias)
    grid, finest = kt.pde.Grid(32), kt.pde.Grid(32 * 32)
    wave = [torch.cos(2 * torch.pi * 5 * one.points()[0] + 0.4)[None, None] for one in (grid, finest)]
    exact = resampled(wave[1].relu(), finest, (32,))
    filtered, plain = layer(wave[0], grid, grid), wave[0].relu()
    assert difference(filtered, exact) < 0.2 * difference(plain, exact)


@pytest.mark.parametrize("shape", [(24,), (9, 14), (6, 10, 8)])
@pytest.mark.parametrize("boundary", [kt.pde.Periodic(), kt.pde.Dirichlet(), kt.pde.Neumann()])
def test_grids_of_any_size_and_dimension_do(shape, boundary):
    model = cno(shape=shape, width=2, scales=2, blocks=1, bottleneck=1)
    grid = kt.pde.Grid(shape, boundary=boundary)
    assert model(torch.randn(2, 1, *shape, dtype=torch.float64), grid).shape == (2, 1, *shape)


def test_what_makes_no_network_is_refused():
    with pytest.raises(ValueError, match="3 levels need at least 4 points along axis 1; the grid has 3: give fewer sc"):
        cno(shape=(8, 3))(band_limited(8), on(8))
    with pytest.raises(ValueError, match=r"shape\[1\] must be a whole number of at least 1; got 0"):
        cno(shape=(8, 0))
