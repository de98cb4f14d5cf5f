"""The Fourier neural operator: the same function on all grids, shifts, and waves beyond the sides."""

import pytest
import torch
from torch.nn import functional

import kutta as kt


def fno(nonlinearity="gelu", **options):
    torch.manual_seed(0)
    settings = {"modes": (8, 8), "width": 6, "layers": 3, "lift": 8, "project": 8, "coordinates": False} | options
    return kt.operators.FNO(1, 1, nonlinearity=nonlinearity, **settings).double()


def band_limited(shape, seed=0):
    """Waves of up to 3 along each axis, at the points of a periodic grid."""
    drawn = torch.randn(7, 7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x, y = kt.pde.Grid(shape, 2 * torch.pi).points()
    waves = [(i - 3) * x + (j - 3) * y for i in range(7) for j in range(7)]
    amplitudes = drawn.reshape(-1, 2)
    return sum(a * w.cos() + b * w.sin() for (a, b), w in zip(amplitudes, waves, strict=True))[None, None]


def on(shape):
    return kt.pde.Grid(shape, 2 * torch.pi)


def test_the_function_does_not_depend_on_the_grid():
    model = fno("identity")
    with torch.no_grad():
        coarse, fine = (model(band_limited(shape), on(shape)) for shape in ((16, 20), (32, 40)))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0.0, atol=1e-10)


def test_with_an_activation_it_depends_on_the_grid_by_what_aliases():
    model, found = fno(), []
    with torch.no_grad():
        exact = model(band_limited((128, 128)), on((128, 128)))
        for count in (16, 32, 64):
            step = 128 // count
            at = model(band_limited((count, count)), on((count, count)))
            found.append((at - exact[..., ::step, ::step]).abs().max().item())
    assert found[0] > 5 * found[1] > 25 * found[2]


def test_shifts_go_through():
    model, a = fno(), torch.randn(2, 1, 16, 20, dtype=torch.float64)
    shifted = model(a.roll((3, 5), (-2, -1)), on((16, 20)))
    torch.testing.assert_close(shifted, model(a, on((16, 20))).roll((3, 5), (-2, -1)), rtol=1e-12, atol=1e-12)


def test_beyond_walls_there_is_nothing():
    """Between walls the field is one on a longer periodic axis, with zeros where there is none."""
    model = fno(padding=0.25)
    for layer in model.lifting.layers:
        torch.nn.init.zeros_(layer.bias)
    a = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    walls = kt.pde.Grid((16, 16), boundary=(kt.pde.Neumann(), kt.pde.Periodic()))
    longer = functional.pad(a, [0, 0, 0, 4])
    torch.testing.assert_close(model(a, walls), model(longer, on((20, 16)))[..., :16, :], rtol=1e-12, atol=1e-12)


def test_modes_count_both_signs_and_no_more_than_there_are_points():
    assert fno(modes=(5, 6)).spectral[0].weight.shape == (2, 5 * 4, 6, 6)
    with pytest.raises(ValueError, match="20 waves along axis 1 need as many points; the grid has 16"):
        fno(modes=(8, 20))(torch.zeros(1, 1, 16, 16, dtype=torch.float64), on((16, 16)))
    with pytest.raises(ValueError, match=r"modes\[0\] must be a whole number of at least 1; got 0"):
        fno(modes=(0, 8))
    with pytest.raises(ValueError, match="activation must be one of"):
        fno("swish")


@pytest.mark.parametrize("shape", [(24,), (6, 10, 8)])
def test_there_are_operators_of_lines_and_of_space(shape):
    model = kt.operators.FNO(1, 2, modes=[4] * len(shape), width=4, layers=2, lift=4, project=4)
    assert model(torch.randn(2, 1, *shape), kt.pde.Grid(shape)).shape == (2, 2, *shape)


def test_mixing_follows_each_layer_and_does_not_see_the_grid():
    model = fno("identity", mixing=5)
    with torch.no_grad():
        coarse, fine = (model(band_limited(shape), on(shape)) for shape in ((16, 20), (32, 40)))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0.0, atol=1e-10)
    assert model.parameter_count - fno("identity").parameter_count == 3 * (5 * 6 + 5 + 6 * 5 + 6 + 6)
    with pytest.raises(ValueError, match="mixing must be a whole number of at least 1; got -1"):
        fno(mixing=-1)


def test_beside_a_perceptron_that_is_zero_fields_go_on_as_they_came():
    model, a = fno(mixing=4), torch.randn(2, 1, 16, 20, dtype=torch.float64)
    for mixer in model.mixers:
        torch.nn.init.zeros_(mixer.perceptron.layers[-1].weight)
        torch.nn.init.zeros_(mixer.perceptron.layers[-1].bias)
        mixer.gate.data.fill_(0.5)
    halves = functional.gelu(0.5 * functional.gelu(0.5 * model.lifting(a)))
    torch.testing.assert_close(model(a, on((16, 20))), model.projection(0.5 * halves))
