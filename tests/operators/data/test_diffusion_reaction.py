"""The reference for diffusion and reaction, validated before anything is learned from it."""

import math
from itertools import pairwise

import torch

import kutta as kt

F64 = torch.float64
data = kt.operators.data


def error(points, exact, source, power, method):
    """The largest one at time 1, with time steps as long as cells."""
    grid = kt.pde.Grid(points, 2.0, "node", kt.pde.Dirichlet(), -1.0)
    equation = data.DiffusionReaction(1.0, 1.0, power, source)
    problem = equation.problem(grid, lambda x: exact(x[0], 0.0), (0.0, 1.0))
    found = kt.solve(problem, method, controller=kt.Fixed(0.5 * grid.spacing[0])).y1
    return (found - exact(grid.points()[0], 1.0)).abs().max().item()


def falls_by_four(*case):
    found = [error(points, *case, kt.ARS222()) for points in (11, 21, 41, 81)]
    return all(3.5 < coarse / fine < 4.6 for coarse, fine in pairwise(found[1:]))


def test_the_error_falls_by_four_for_a_parabola_that_decays():
    """``s = e^-t (1 - x^2)`` with the reaction ``s^3``; differences are exact for it, so it shows those in time."""

    def exact(x, t):
        return math.exp(-t) * (1.0 - x**2)

    def source(x, t):
        s = torch.exp(-torch.as_tensor(t, dtype=F64)) * (1.0 - x[0] ** 2)
        return -s + 2.0 * torch.exp(-torch.as_tensor(t, dtype=F64)) - s**3

    assert falls_by_four(exact, source, 3)


def test_the_error_falls_by_four_for_a_wave_that_decays():
    """``s = e^-t sin(pi x)`` with the reaction ``s^2``."""

    def exact(x, t):
        return math.exp(-t) * torch.sin(math.pi * x)

    def source(x, t):
        s = torch.exp(-torch.as_tensor(t, dtype=F64)) * torch.sin(math.pi * x[0])
        return (math.pi**2 - 1.0) * s - s**2

    assert falls_by_four(exact, source, 2)


def test_solutions_start_and_end_at_zero_and_follow_their_source():
    u = data.random_functions(3, generator=torch.Generator().manual_seed(0))
    s = data.diffusion_reaction(u, points=51, times=21)
    assert s.shape == (3, 51, 21)
    assert not s[:, :, 0].any() and not s[:, 0].any() and not s[:, -1].any()
    early = s[:, 10:-10, 1] / u(torch.linspace(0.0, 1.0, 51, dtype=F64))[:, 10:-10]
    torch.testing.assert_close(early.median(), torch.tensor(0.05, dtype=F64), rtol=0.02, atol=0.0)


def test_finer_grids_have_the_same_solution():
    u = data.random_functions(2, generator=torch.Generator().manual_seed(1))
    coarse, middle, fine = (data.diffusion_reaction(u, points, 6)[:, :: (points - 1) // 25] for points in (26, 51, 101))
    assert 3.5 < (coarse - middle).abs().max() / (middle - fine).abs().max() < 4.5
