"""The choice of waves by what they hold."""

import itertools

import pytest
import torch

import kutta as kt
from kutta.operators.layers import orthonormal

GRID = kt.pde.Grid((7, 9), boundary=kt.pde.Neumann())


def fields(grid=GRID):
    """Fields whose waves are the weaker the higher, with one high wave that is strong."""
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(20, 2, *grid.shape, dtype=torch.float64, generator=generator)
    for axis, count in enumerate(grid.shape):
        decay = torch.arange(1, count + 1, dtype=torch.float64) ** -2.0
        decay[-2] = 0.5
        c = c * decay.reshape(-1, *[1] * (grid.dim - axis - 1))
    return orthonormal.backward(c, grid, grid.shape)


def held(u, grid, modes):
    return float(orthonormal.forward(u, grid, modes).square().sum() / u.square().sum())


@pytest.mark.parametrize("eps", [1e-1, 1e-2, 1e-3])
def test_enough_is_held_and_no_wave_could_go(eps):
    u = fields()
    found = kt.operators.select_modes(u, GRID, eps)
    assert found.kept == pytest.approx(held(u, GRID, found.modes), rel=1e-12) and found.kept >= 1.0 - eps
    for axis, modes in enumerate(found.modes):
        for one in modes:
            fewer = [tuple(k for k in other if (which, k) != (axis, one)) for which, other in enumerate(found.modes)]
            assert held(u, GRID, fewer) < 1.0 - eps


def test_it_sees_high_waves_that_the_lowest_would_miss():
    found = kt.operators.select_modes(fields(), GRID, 1e-2)
    assert 5 in found.modes[0] and 7 in found.modes[1] and 4 not in found.modes[0]


def test_no_smaller_choice_holds_as_much():
    """All products of subsets, one after the other."""
    grid = kt.pde.Grid((4, 5), boundary=kt.pde.Neumann())
    u, eps = fields(grid), 0.05
    energies = orthonormal.forward(u, grid, grid.shape).square().sum((0, 1))
    subsets = [[s for r in range(1, n + 1) for s in itertools.combinations(range(n), r)] for n in grid.shape]
    enough = (1.0 - eps) * energies.sum()
    least = min(
        len(one) * len(other)
        for one, other in itertools.product(*subsets)
        if energies[list(one)][:, list(other)].sum() >= enough
    )
    found = kt.operators.select_modes(u, grid, eps)
    assert len(found.modes[0]) * len(found.modes[1]) == least


def test_the_floor_is_the_error_of_the_best_prediction():
    u = fields()
    found = kt.operators.select_modes(u, GRID, 1e-2)
    best = orthonormal.backward(orthonormal.forward(u, GRID, found.modes), GRID, found.modes)
    assert found.floor == pytest.approx(float((u - best).norm() / u.norm()), rel=1e-6)


def test_what_there_is_nothing_to_choose_by_is_refused():
    with pytest.raises(ValueError, match="targets must not all be zero"):
        kt.operators.select_modes(torch.zeros(1, 1, 7, 9), GRID)
    with pytest.raises(ValueError, match=r"eps must lie in \[0, 1\); got 1.0"):
        kt.operators.select_modes(fields(), GRID, 1.0)
    with pytest.raises(ValueError, match=r"targets must have the shape \(..., 7, 9\)"):
        kt.operators.select_modes(fields().mT, GRID)
