"""What residuals stand for: of diffusion exactly the error."""

import pytest
import torch

import kutta as kt
from kutta.operators.constraints.space_time import SpaceTime
from tests._helpers import F64, relative_error

KAPPA = 0.05
GRIDS = {
    "periodic": kt.pde.Grid(16),
    "cells between values": kt.pde.Grid(16, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Dirichlet(0.5))),
    "cells between slopes": kt.pde.Grid(16, boundary=kt.pde.Neumann(0.3)),
    "cells that cool": kt.pde.Grid(16, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Robin(2.0, 0.3))),
    "nodes between values": kt.pde.Grid(17, centring="node", boundary=kt.pde.Dirichlet()),
    "nodes between slopes": kt.pde.Grid(17, centring="node", boundary=kt.pde.Neumann(0.2)),
    "plane": kt.pde.Grid((8, 6), (1.0, 2.0), boundary=(kt.pde.Periodic(), kt.pde.Dirichlet())),
}


def posed(grid, u0):
    return SpaceTime(kt.pde.Heat(KAPPA).problem(grid, u0, (0.0, 2.0), kt.pde.FiniteDifference()), 6)


@pytest.mark.parametrize("name", GRIDS)
def test_of_diffusion_a_difference_of_residuals_is_one_of_fields(name):
    grid, generator = GRIDS[name], torch.Generator().manual_seed(0)
    space_time = posed(grid, torch.rand(2, *grid.shape, generator=generator, dtype=F64))
    change = space_time.zero_at_sides(torch.rand(7, 2, *grid.shape, generator=generator, dtype=F64))
    change[0] = 0.0
    u = space_time.constant
    difference = space_time.residual_of(u + change) - space_time.residual_of(u)
    found = kt.operators.EstimatedError(KAPPA).on(space_time)(difference.movedim(1, 0)).movedim(0, 1)
    assert relative_error(found, change[1:]) < 1e-10


def test_without_diffusion_residuals_are_summed_over_time():
    grid = GRIDS["periodic"]
    space_time = posed(grid, torch.zeros(1, 16, dtype=F64))
    found = kt.operators.EstimatedError(0.0).on(space_time)(torch.ones(6, 16, dtype=F64))
    # du/dt = 1 / T, of which backward differences that begin with one of order 1 are exact.
    assert torch.allclose(found, (torch.arange(1, 7) / 6.0).to(F64)[:, None].expand(6, 16), atol=1e-12)


def test_long_waves_are_those_that_count():
    grid = GRIDS["cells between slopes"]
    space_time = posed(grid, torch.zeros(1, 16, dtype=F64))
    x = grid.points()[0]
    smooth, rough = torch.cos(torch.pi * x).expand(6, 16), torch.cos(15.0 * torch.pi * x).expand(6, 16)
    every, few = (kt.operators.EstimatedError(KAPPA, waves).on(space_time) for waves in (None, 4))
    assert torch.allclose(few(smooth), every(smooth), atol=1e-12)
    assert float(few(rough).abs().max()) < 1e-12 < float(every(rough).abs().max())
    assert float(every(rough).abs().max()) < 0.1 * float(every(smooth).abs().max())


def test_what_is_given_is_the_last_to_count():
    space_time = posed(GRIDS["nodes between values"], torch.zeros(1, 17, dtype=F64))
    smooth = torch.sin(torch.pi * space_time.grid.points()[0]).expand(6, 17)
    every, one = (kt.operators.EstimatedError(KAPPA, waves).on(space_time) for waves in (None, 1))
    assert torch.allclose(one(smooth), every(smooth), atol=1e-12)


@pytest.mark.parametrize(
    "given",
    [{"diffusivity": float("nan")}, {"diffusivity": -1.0}, {"diffusivity": "1"}, {"diffusivity": 1.0, "waves": 0}],
)
def test_what_is_refused(given):
    with pytest.raises(ValueError, match="must be"):
        kt.operators.EstimatedError(**given)
