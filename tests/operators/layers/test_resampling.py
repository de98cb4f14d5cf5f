"""Fields between the points of their grids."""

import pytest
import torch

import kutta as kt
from kutta.operators.layers.resampling import refined, resampled

SIDES = {
    "periodic": (kt.pde.Periodic(), lambda x, k: torch.cos(2 * torch.pi * k * x + 0.3)),
    "slopes": (kt.pde.Neumann(), lambda x, k: torch.cos(torch.pi * 2 * k * x)),
    "values": (kt.pde.Dirichlet(), lambda x, k: torch.sin(torch.pi * 2 * k * x)),
    "value and slope": ((kt.pde.Dirichlet(), kt.pde.Neumann()), lambda x, k: torch.sin(torch.pi * (2 * k + 0.5) * x)),
}
EACH = pytest.mark.parametrize(("sides", "wave"), SIDES.values(), ids=SIDES)
CENTRINGS = pytest.mark.parametrize("centring", [None, "node"])


def grids(sides, centring, *counts):
    periodic = isinstance(sides, kt.pde.Periodic)
    return [kt.pde.Grid(count, boundary=sides, centring=None if periodic else centring) for count in counts]


@EACH
@CENTRINGS
@pytest.mark.parametrize(("points", "wanted"), [(32, 64), (64, 32), (33, 47), (47, 33), (5, 11)])
def test_low_waves_are_the_same_on_all_grids(sides, wave, centring, points, wanted):
    before, after = grids(sides, centring, points, wanted)
    for k in range(min(points, wanted) // 4 if points > 5 else 1):  # the highest wave is half of the points
        u, expected = (wave(grid.points()[0], k) for grid in (before, after))
        torch.testing.assert_close(resampled(u, before, after.shape), expected, rtol=0.0, atol=5e-4)


@EACH
def test_waves_that_the_coarse_grid_cannot_show_are_gone(sides, wave):
    (fine,) = grids(sides, None, 64)
    for k in range(25, 32):  # from 3/2 of the highest wave of 32 points on, where 25 would look like 7
        assert resampled(wave(fine.points()[0], k), fine, (32,)).abs().max() < 1e-3


def test_constants_stay_constants_and_axes_are_their_own():
    grid = kt.pde.Grid((9, 14), boundary=(kt.pde.Neumann(), kt.pde.Periodic()))
    ones = resampled(torch.ones(2, 9, 14, dtype=torch.float64), grid, (20, 8))
    torch.testing.assert_close(ones, torch.ones(2, 20, 8, dtype=torch.float64), rtol=0.0, atol=1e-14)
    x, y = grid.points()
    after = kt.pde.Grid((20, 28), boundary=grid.boundary).points()
    found, expected = (torch.cos(torch.pi * x) * torch.sin(4 * torch.pi * y) for x, y in ((x, y), after))
    torch.testing.assert_close(resampled(found, grid, (20, 28)), expected, rtol=0.0, atol=2e-3)


def test_half_the_spacing_is_twice_the_points():
    grid = kt.pde.Grid((5, 6), boundary=(kt.pde.Dirichlet(), kt.pde.Periodic()), centring=("node", "periodic"))
    assert refined(grid).shape == (9, 12) and refined(grid).spacing == tuple(h / 2 for h in grid.spacing)
