"""Transform Once: losses of coefficients and of fields, the start, grids, and what is kept."""

import json
import math

import pytest
import torch

import kutta as kt
from kutta.operators.layers import orthonormal

WALLS = kt.pde.Grid((18, 24), boundary=(kt.pde.Neumann(), kt.pde.Dirichlet()))


def t1(**options):
    torch.manual_seed(0)
    settings = {"modes": (5, 7), "width": 6, "layers": 2, "head": 8} | options
    model = kt.operators.T1(settings.pop("in_channels", 1), 1, **settings).double()
    for parameter in model.projection.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


def field(count=2, channels=1, shape=(18, 24), seed=1):
    return torch.randn(count, channels, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("grid", [WALLS, kt.pde.Grid((18, 24))], ids=["walls", "periodic"])
def test_coefficients_differ_by_as_much_as_fields_do(grid):
    model, a, u = t1(), field(), field(seed=2)
    whole = (model(a, grid) - u).square().sum()
    kept = (model.spectrum(a, grid) - model.target(u, grid)).square().sum()
    unseen = u.square().sum() - model.target(u, grid).square().sum()
    torch.testing.assert_close(kept + unseen, whole, rtol=1e-12, atol=0.0)


def test_the_first_prediction_is_about_zero():
    torch.manual_seed(0)
    u = kt.operators.T1(1, 1, (5, 7), width=16)(field().float(), WALLS)
    assert 0.0 < u.abs().max() < 1e-5


def test_each_axis_has_its_waves():
    """A wave along an axis is one coefficient, at its place; a square grid would not show axes that are swapped."""
    x, y = WALLS.points()
    u = torch.cos(3 * torch.pi * x) * torch.sin(6 * torch.pi * y)
    expected = torch.zeros(1, 1, 5, 7, dtype=torch.float64)
    expected[..., 3, 5] = math.sqrt(18 * 24 / 4)  # sines begin with the wave 1
    torch.testing.assert_close(t1().target(u[None, None], WALLS), expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("boundary", [kt.pde.Neumann(), kt.pde.Periodic()])
def test_the_function_does_not_depend_on_the_grid(boundary):
    def on(shape):
        grid = kt.pde.Grid(shape, boundary=boundary)
        x, y = grid.points()
        a = torch.cos(2 * torch.pi * x) + torch.cos(4 * torch.pi * y) * torch.cos(2 * torch.pi * x)
        return a[None, None], grid

    model = t1()
    with torch.no_grad():
        model.lifting.weight[:, -2:] = 0.0  # coordinates are no sums of few waves, the same on all grids
    coarse, fine = (model.spectrum(*on(shape)) / math.sqrt(math.prod(shape)) for shape in ((18, 24), (36, 40)))
    torch.testing.assert_close(fine, coarse, rtol=1e-12, atol=1e-12)


def test_high_waves_are_zero_or_those_of_the_input():
    a = field()
    for keep_high in (False, True):
        model = t1(keep_high=keep_high)
        beyond = model(a, WALLS) - a if keep_high else model(a, WALLS)
        low = orthonormal.backward(model.target(beyond, WALLS), WALLS, model.modes)
        torch.testing.assert_close(low, beyond, rtol=0.0, atol=1e-12)
        torch.testing.assert_close(model.spectrum(a, WALLS), model.target(model(a, WALLS), WALLS))


def test_what_kept_waves_hold_is_measured():
    model = t1(modes=(9, 8), width=64)
    before = model.channels[0].weight.detach().clone()
    with torch.no_grad():
        model.lifting.weight[:, 1:] = 0.0  # white noise alone
    part = model.calibrate(field(64), WALLS)
    assert part == model.kept == pytest.approx(9 * 8 / (18 * 24), rel=0.1)
    torch.testing.assert_close(model.channels[0].weight, before / math.sqrt(part), rtol=1e-12, atol=0.0)
    assert model.calibrate(field(64), WALLS) == pytest.approx(part)
    torch.testing.assert_close(model.channels[0].weight, before / math.sqrt(part), rtol=1e-12, atol=0.0)


def test_chosen_waves_survive_words():
    model = t1(modes=((0, 2, 3), 4))
    again = kt.operators.T1(**json.loads(json.dumps(model.settings))).double()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(field(), WALLS), model(field(), WALLS), rtol=0.0, atol=0.0)


@pytest.mark.parametrize("shape", [(24,), (6, 10, 8)])
def test_there_are_operators_of_lines_and_of_space(shape):
    model = kt.operators.T1(1, 2, modes=[4] * len(shape), width=4, layers=2, head=4)
    assert model(torch.randn(2, 1, *shape), kt.pde.Grid(shape)).shape == (2, 2, *shape)


def test_what_makes_no_operator_is_refused():
    with pytest.raises(ValueError, match="25 waves along axis 1 need as many points; the grid has 24"):
        t1(modes=(5, (1, 24)))(field(), WALLS)
    for modes in ((0, 3), (True, 3), ((), 3), ((1, 1), 3), ((-1, 2), 3)):
        with pytest.raises(ValueError, match=r"modes\[0\] must be how many of the lowest waves are kept"):
            t1(modes=modes)
    with pytest.raises(ValueError, match="kept must be a part of the variance"):
        t1(kept=0.0)
    with pytest.raises(ValueError, match="keep_high needs as many fields out as in; got in_channels=2"):
        t1(in_channels=2, keep_high=True)
