"""The factorised operator: waves along each axis, the same function on all grids, and many layers."""

import pytest
import torch

import kutta as kt
from kutta.operators.factorised_fno import AxesConvolution


def model_of(**options):
    torch.manual_seed(0)
    settings = {"modes": (6, 8), "width": 6, "layers": 3, "project": 8, "coordinates": False} | options
    return kt.operators.FactorisedFNO(1, 1, **settings).double()


def on(shape):
    return kt.pde.Grid(shape, 2 * torch.pi)


def smooth(shape):
    x, y = on(shape).points()
    return (torch.cos(x) + torch.sin(2 * y - x) + torch.cos(3 * y))[None, None]


def test_each_axis_has_a_transform_of_its_own():
    torch.manual_seed(0)
    layer, v = AxesConvolution(3, (6, 8)).double(), torch.randn(2, 3, 12, 14, dtype=torch.float64)
    expected = torch.zeros_like(v)
    for axis, one in zip((2, 3), layer.axes, strict=True):
        weight, points = torch.complex(*one.weight), v.shape[axis]
        fast = torch.fft.rfft(v, dim=axis, norm="forward").narrow(axis, 0, len(weight))
        letters = "nikb,kio->nokb" if axis == 2 else "nibk,kio->nobk"
        mixed = torch.einsum(letters, fast, weight)
        expected = expected + torch.fft.irfft(mixed, points, dim=axis, norm="forward")
    torch.testing.assert_close(layer(v), expected, rtol=0.0, atol=1e-13)


def test_weights_grow_with_the_sum_of_the_waves():
    def count(modes):
        return sum(one.numel() for one in AxesConvolution(4, modes).parameters())

    assert count((6, 10)) == 2 * 16 * (4 + 6) and count((6, 10, 8)) == 2 * 16 * (4 + 6 + 5)


@torch.no_grad()
def test_the_function_does_not_depend_on_the_grid():
    model = model_of(nonlinearity="identity")
    coarse, fine = (model(smooth(shape), on(shape)) for shape in ((16, 20), (32, 40)))
    torch.testing.assert_close(fine[..., ::2, ::2], coarse, rtol=0.0, atol=1e-10)


@torch.no_grad()
def test_with_an_activation_it_depends_on_the_grid_by_what_aliases():
    model = model_of()
    exact = model(smooth((128, 128)), on((128, 128)))
    found = [
        float((model(smooth((n, n)), on((n, n))) - exact[..., :: 128 // n, :: 128 // n]).abs().max())
        for n in (16, 32, 64)
    ]
    assert found[0] > 5 * found[1] > 25 * found[2]


def test_shifts_go_through():
    model, a = model_of(), torch.randn(2, 1, 16, 20, dtype=torch.float64)
    shifted = model(a.roll((3, 5), (-2, -1)), on((16, 20)))
    torch.testing.assert_close(shifted, model(a, on((16, 20))).roll((3, 5), (-2, -1)), rtol=1e-12, atol=1e-12)


def test_many_layers_have_gradients_of_one_size():
    model = model_of(layers=24)
    model(smooth((16, 20)), on((16, 20))).square().mean().backward()
    first, last = (model.forwards[place].layers[0].weight.grad.norm() for place in (0, -1))
    assert 0.1 < first / last < 100.0


@pytest.mark.parametrize("shape", [(24,), (6, 10, 8)])
def test_there_are_operators_of_lines_and_of_space(shape):
    model = model_of(modes=[4] * len(shape))
    walls = kt.pde.Grid(shape, boundary=kt.pde.Dirichlet())
    assert model(torch.randn(2, 1, *shape, dtype=torch.float64), walls).shape == (2, 1, *shape)


def test_what_makes_no_operator_is_refused():
    with pytest.raises(ValueError, match="20 waves along axis 1 need as many points; the grid has 16"):
        model_of(modes=(8, 20))(torch.zeros(1, 1, 16, 16, dtype=torch.float64), on((16, 16)))
    with pytest.raises(ValueError, match=r"padding must not be negative; got -0\.1"):
        model_of(padding=-0.1)
