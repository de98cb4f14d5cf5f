"""A deep operator network whose sensors are the points of a grid."""

import pytest
import torch

import kutta as kt

F64 = torch.float64
GRID = kt.pde.Grid((8, 6), (2.0, 3.0), boundary=kt.pde.Dirichlet(), origin=(-1.0, 0.5))


def model_of(**options):
    torch.manual_seed(0)
    settings = {"terms": 5, "branch_widths": (7,), "trunk_widths": (6,), "nonlinearity": "gelu"} | options
    return kt.operators.FieldDeepONet(1, 2, (8, 6), **settings).double()


def field():
    return torch.randn(3, 1, 8, 6, dtype=F64, generator=torch.Generator().manual_seed(0))


def test_read_at_the_points_of_its_grid_it_is_what_it_returns():
    model, a = model_of(), field()
    torch.testing.assert_close(model.at(a, GRID, GRID.points()), model(a, GRID), rtol=0.0, atol=0.0)
    some = GRID.points().flatten(1)[:, 5:9]
    torch.testing.assert_close(model.at(a, GRID, some), model(a, GRID).flatten(2)[..., 5:9], rtol=1e-13, atol=1e-13)


def test_places_are_counted_along_the_axes():
    """The same box, moved and stretched, has the same answer."""
    model, a = model_of(), field()
    other = kt.pde.Grid((8, 6), boundary=kt.pde.Neumann())
    torch.testing.assert_close(model(a, other), model(a, GRID), rtol=1e-12, atol=1e-12)


def test_periods_are_those_of_axes():
    model, a = model_of(periods=(1.0, None)), field()
    left, right = (torch.tensor([[x], [1.0]], dtype=F64) for x in (-1.0, 1.0))
    torch.testing.assert_close(model.at(a, GRID, left), model.at(a, GRID, right), rtol=1e-12, atol=1e-12)


def test_other_sensors_are_refused():
    model = model_of()
    with pytest.raises(ValueError, match=r"grids of the shape \(8, 6\); got one of \(16, 12\): sample the field there"):
        model(torch.zeros(1, 1, 16, 12, dtype=F64), kt.pde.Grid((16, 12)))
    with pytest.raises(ValueError, match=r"places must have the shape \(2, \.\.\.\) of coordinates; got \(3, 4\)"):
        model.at(field(), GRID, torch.zeros(3, 4, dtype=F64))
    with pytest.raises(ValueError, match=r"shape\[1\] must be a whole number of at least 1; got 0"):
        kt.operators.FieldDeepONet(1, 1, (8, 0))
