"""Sub-fields and where they lie."""

import pytest
import torch

import kutta as kt
from kutta.operators.stagger.subfields import check_stagger, shuffle, subgrids, unshuffle

STAGGER = (2, 3)


def test_sub_fields_are_every_s_th_point():
    u = torch.randn(2, 1, 8, 9)
    parts = unshuffle(u, STAGGER)
    assert parts.shape == (6, 2, 1, 4, 3)
    for place, (p, q) in enumerate((p, q) for p in range(2) for q in range(3)):
        assert torch.equal(parts[place], u[..., p::2, q::3])


@pytest.mark.parametrize(
    ("shape", "stagger"), [((8,), (4,)), ((8, 9), STAGGER), ((4, 6, 8), (2, 3, 4)), ((4, 6), (1, 1))]
)
def test_together_they_are_the_field(shape, stagger):
    u = torch.randn(3, 2, *shape)
    assert torch.equal(shuffle(unshuffle(u, stagger), stagger), u)


@pytest.mark.parametrize("sides", [kt.pde.Periodic(), kt.pde.Neumann()])
def test_their_points_are_those_of_the_field(sides):
    grid = kt.pde.Grid((8, 9), (2.0, 3.0), boundary=sides, origin=1.0)
    places = torch.stack([one.points() for one in subgrids(grid, STAGGER)])
    torch.testing.assert_close(places, unshuffle(grid.points(), STAGGER), rtol=1e-14, atol=1e-14)


def test_grids_without_equal_parts_are_refused():
    with pytest.raises(ValueError, match="a multiple of 3 points along axis 1; got 8"):
        check_stagger(kt.pde.Grid((8, 8)), STAGGER)
    with pytest.raises(ValueError, match="cells or be periodic along axis 0; got nodes"):
        check_stagger(kt.pde.Grid((8, 9), boundary=kt.pde.Neumann(), centring="node"), STAGGER)
