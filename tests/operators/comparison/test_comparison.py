"""Solvers on fewer points, and tables of errors and times."""

import math
from itertools import pairwise

import pytest
import torch

import kutta as kt
from kutta.operators import Coarsened, compare
from kutta.operators.comparison.coarsened import between
from kutta.operators.comparison.compare import Row, as_exact_as, break_even
from kutta.operators.data import Family, GaussianField


def test_waves_that_both_grids_hold_are_read_exactly():
    few, many = (kt.pde.Grid((n, 2 * n)) for n in (8, 24))
    x, y = few.points()
    wave = lambda x, y: torch.cos(2 * math.pi * (2 * x + 3 * y)) + torch.sin(2 * math.pi * x)  # noqa: E731
    torch.testing.assert_close(between(wave(x, y), few, many), wave(*many.points()), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("factor", [2, 3])
def test_between_walls_it_is_of_second_order(factor):
    errors = []
    for n in (12, 24, 48):
        few, many = (kt.pde.Grid((m, m), boundary=(kt.pde.Dirichlet(), kt.pde.Neumann())) for m in (n, factor * n))
        u = lambda g: torch.sin(math.pi * g.points()[0]) * torch.cos(math.pi * g.points()[1])  # noqa: E731
        errors.append(float((between(u(few), few, many) - u(many)).abs().max()))
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(order - 2.0) < 0.15 for order in orders)


def heat(count, generator):
    grid = kt.pde.Grid((32,))
    return kt.pde.Heat(0.02).problem(grid, GaussianField(2.0, 5.0, modes=9).draw(grid, count, generator), (0.0, 0.5))


@pytest.mark.parametrize("factor", [2, 4])
def test_problems_in_time_are_solved_there_and_read_here(factor):
    problem = heat(3, torch.Generator().manual_seed(0))
    found = kt.solve(problem, Coarsened(factor, kt.ETDRK4()), save_at=[0.25, 0.5], rtol=1e-8)
    exact = kt.solve(problem, kt.ETDRK4(), save_at=[0.25, 0.5], rtol=1e-8)
    assert found.ys.shape == exact.ys.shape and found.space.grid.shape == (32,)
    error = (found.ys - exact.ys).norm() / exact.ys.norm()
    assert error < (1e-8 if factor == 2 else 0.5)  # nine waves fit into 16 points, and not into 8


def test_what_cannot_be_coarser_is_refused():
    problem = kt.pde.Poisson().problem(kt.pde.Grid(9, boundary=kt.pde.Dirichlet(), centring="node"), 1.0)
    with pytest.raises(ValueError, match="axis 0 has 9 of kind 'node'"):
        kt.solve(problem, Coarsened(2))
    with pytest.raises(ValueError, match="a multiple of 3; axis 0 has 32"):
        kt.solve(heat(1, torch.Generator().manual_seed(0)), Coarsened(3))


def test_methods_are_compared_on_the_same_problems():
    family = Family(heat, ("u0",), kt.ETDRK4(), {"rtol": 1e-9, "atol": 1e-11}, name="heat")
    methods = {"loose": (kt.Tsit5(), {"rtol": 1e-2, "atol": 1e-3}), "tight": (kt.Tsit5(), {"rtol": 1e-7, "atol": 1e-9})}
    loose, tight = compare(family, methods, count=4, rounds=2)
    assert tight.error < 1e-5 < loose.error <= loose.worst and min(loose.seconds, tight.seconds) > 0.0
    assert as_exact_as(family, list(methods.items()), 1e-5, count=4, rounds=1).name == "tight"
    assert as_exact_as(family, list(methods.items())[:1], 1e-9, count=4, rounds=1).name == "loose"


def test_when_a_surrogate_has_paid():
    fast, slow = Row("fast", 0.01, 0.02, 0.1), Row("slow", 0.01, 0.02, 0.6)
    assert break_even(100.0, fast, slow) == pytest.approx(200.0) and break_even(100.0, slow, fast) == math.inf
