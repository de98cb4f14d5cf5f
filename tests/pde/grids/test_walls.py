"""Walls: mirror images, turned around where they point across."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64

P = kt.pde


def test_scalars_are_mirrored():
    u = torch.tensor([1.0, 2.0, 4.0])
    assert P.pad(u, P.Grid(3, boundary=P.Wall()), 2).tolist() == [2, 1, 1, 2, 4, 4, 2]
    assert P.pad(u, P.Grid(3, boundary=P.Wall(), centring="node"), 2).tolist() == [4, 2, 1, 2, 4, 2, 1]
    mixed = P.Grid(3, boundary=(P.Dirichlet(0.0), P.Wall()))
    assert P.pad(u, mixed, 1).tolist() == [-1, 1, 2, 4, 4]


def test_what_points_across_is_turned_around():
    grid = P.Grid((3, 2), boundary=P.Wall())
    u = torch.arange(36.0).reshape(2, 3, 3, 2)  # a batch of two states of three components
    padded = P.pad(u, grid, 1, directions=(None, 0, 1))
    assert torch.equal(padded[:, :, 1:-1, 1:-1], u)
    for component, (first, second) in enumerate([(1, 1), (-1, 1), (1, -1)]):
        assert torch.equal(padded[:, component, 0, 1:-1], first * u[:, component, 0])
        assert torch.equal(padded[:, component, -1, 1:-1], first * u[:, component, -1])
        assert torch.equal(padded[:, component, 1:-1, 0], second * u[:, component, :, 0])
        assert torch.equal(padded[:, component, 0, 0], first * second * u[:, component, 0, 0])


def test_diffusion_before_walls_is_that_without_slopes():
    u0 = torch.rand(8, 6, dtype=F64, generator=torch.Generator().manual_seed(0))
    for boundary in (P.Wall(), P.Neumann()):
        problem = P.Heat(0.1).problem(P.Grid((8, 6), boundary=boundary), u0, (0.0, 0.1), P.PseudoSpectral())
        waves = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1)).y1
        assert torch.allclose(waves.mean(), u0.mean())
    first, second = (P.laplacian(u0, P.Grid((8, 6), boundary=one), accuracy=2) for one in (P.Wall(), P.Neumann()))
    assert torch.allclose(first, second)


def test_refusals():
    with pytest.raises(TypeError, match="takes 1 positional argument"):
        P.Wall(1.0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'g'"):
        P.Wall(g=1.0)
    with pytest.raises(ValueError, match="a wall shows 2 points of axis 0, and 3 ghosts are needed"):
        P.pad(torch.ones(2), P.Grid(2, boundary=P.Wall()), 3)
