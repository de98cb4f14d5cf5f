"""The U-Net: sizes, sides, and what its layers have."""

import pytest
import torch

import kutta as kt


def unet(**options):
    torch.manual_seed(0)
    return kt.operators.UNet(1, 1, **({"width": 4, "scales": 3, "groups": 2} | options)).double()


@pytest.mark.parametrize("shape", [(13, 22), (17, 31), (40, 8), (21,), (8, 9, 11)])
@pytest.mark.parametrize("boundary", [kt.pde.Periodic(), kt.pde.Dirichlet(), kt.pde.Neumann()])
def test_grids_of_any_size_and_dimension_do(shape, boundary):
    grid = kt.pde.Grid(shape, boundary=boundary)
    a = torch.randn(2, 1, *shape, dtype=torch.float64)
    assert unet(dim=len(shape))(a, grid).shape == a.shape


def test_on_a_periodic_grid_shifts_by_coarsest_cells_go_through():
    model, grid, a = unet(), kt.pde.Grid((16, 24)), torch.randn(2, 1, 16, 24, dtype=torch.float64)
    shifted = model(a.roll((4, 8), (-2, -1)), grid)
    torch.testing.assert_close(shifted, model(a, grid).roll((4, 8), (-2, -1)), rtol=1e-12, atol=1e-12)


def test_walls_are_seen_as_mirrors():
    """Between walls with slope zero the first layers see what they see in the continued field, as far as they reach."""
    model, a = unet(dim=1, scales=1), torch.randn(1, 1, 16, dtype=torch.float64)
    wall, doubled = kt.pde.Grid(16, boundary=kt.pde.Neumann()), kt.pde.Grid(32, 2.0)
    one = model.down[0].convolutions[0]
    even = torch.cat([a, a.flip(-1)], -1)
    torch.testing.assert_close(one(a, wall), one(even, doubled)[..., :16], rtol=1e-12, atol=1e-12)


def test_the_published_kind_has_four_scales():
    model = kt.operators.UNet(1, 1)
    assert [one.convolutions[0].weight.shape[0] for one in model.down] == [32, 64, 128, 256]
    convolutions = 9 * (32 + 32**2 + sum(w * 2 * w + (2 * w) ** 2 + w * w for w in (32, 64, 128)))  # down
    convolutions += sum(9 * (2 * w * w + w * w) + 16 * w * w + 2 * w * w + w for w in (32, 64, 128))  # up
    norms = 2 * 2 * (2 * (32 + 64 + 128) + 256)
    assert model.parameter_count == convolutions + norms + 33


def test_what_makes_no_network_is_refused():
    with pytest.raises(ValueError, match="groups must divide the width, 4; got 3"):
        unet(groups=3)
    with pytest.raises(ValueError, match="3 levels need at least 4 points along axis 1; the grid has 3: give fewer sc"):
        unet()(torch.zeros(1, 1, 8, 3, dtype=torch.float64), kt.pde.Grid((8, 3)))
    with pytest.raises(ValueError, match="scales must be a whole number of at least 1; got 0"):
        unet(scales=0)
