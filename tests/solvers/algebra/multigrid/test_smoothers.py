"""Smoothers: what a sweep does to each wave, and what they refuse."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.algebra.multigrid.hierarchy import Level
from tests._helpers import F64
from tests.solvers.algebra.multigrid._grids import P, random

ALGEBRA = kt.algebra


def level(smoother, grid, a=1.0):
    stencil = P.Elliptic(grid, a).network().stencil(torch.zeros(1, dtype=F64))
    smoother.check(stencil.network)
    return Level(stencil, smoother.steps(stencil))


def swept(level, u, back=False):
    u = u.clone()
    level.smooth_(u, torch.zeros_like(u), 1, back)
    return u


def wave(n, k, m):
    x, y = 2 * torch.pi * P.Grid((n, n)).points()
    return torch.cos(k * x + m * y)


@pytest.mark.parametrize(("k", "m"), [(1, 0), (3, 8), (8, 8), (8, 0), (5, 2)])
def test_damped_jacobi_multiplies_waves_by_their_symbols(k, m):
    """``1 - omega (2 - cos - cos) / 2`` of periodic waves, at most 3/5 for those that a coarser grid cannot show."""
    n, u = 16, wave(16, k, m)
    symbol = 1 - 0.4 * (2 - math.cos(2 * math.pi * k / n) - math.cos(2 * math.pi * m / n))
    assert torch.allclose(swept(level(ALGEBRA.DampedJacobi(0.8), P.Grid((n, n))), u), symbol * u, atol=1e-13)
    assert max(k, m) < n // 4 or abs(symbol) < 0.6 + 1e-12


@pytest.mark.parametrize("degree", [1, 2, 3, 8])
def test_chebyshev_leaves_least_of_the_upper_eigenvalues(degree):
    lower, smoother = 0.5, level(ALGEBRA.Chebyshev(degree), P.Grid((16, 16)))
    bound = 1 / math.cosh(degree * math.acosh((2 + lower) / (2 - lower)))
    largest = 0.0
    for k in range(9):
        for m in range(9):
            u = wave(16, k, m)
            eigenvalue = (2 - math.cos(math.pi * k / 8) - math.cos(math.pi * m / 8)) / 2
            if eigenvalue >= lower - 1e-12:
                largest = max(largest, float(swept(smoother, u).abs().max() / u.abs().max()))
    assert 0.8 * bound < largest < bound + 1e-12


def test_red_and_black_are_gauss_and_seidel():
    grid = P.Grid((7, 6), boundary=P.Dirichlet())
    a, u = torch.exp(random(7, 6)), random(7, 6, seed=1)
    smoother = level(ALGEBRA.RedBlack(), grid, a)
    matrix = P.Elliptic(grid, a).dense(u)
    order = [i for colour in (0, 1) for i in range(42) if (i // 6 + i % 6) % 2 == colour]
    for back in (False, True):
        expected = u.flatten().clone()
        for i in order if not back else order[21:] + order[:21]:
            expected[i] -= (matrix[i] @ expected) / matrix[i, i]
        assert torch.allclose(swept(smoother, u, back), expected.reshape(7, 6))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("coefficient", ["number", "field"])
def test_lines_are_solved(axis, coefficient):
    grid = P.Grid((7, 6), boundary=P.Dirichlet())
    a = torch.exp(random(7, 6)) if coefficient == "field" else 1.0
    u = swept(level(ALGEBRA.Lines(axis), grid, a), random(7, 6, seed=1))
    residual = P.Elliptic(grid, a).apply(u).movedim(axis, -1)
    assert float(residual[1::2].abs().max()) < 1e-11  # the lines that came last
    assert float(residual[::2].abs().max()) > 1e-3
    one_axis = P.Grid(9, boundary=P.Neumann())
    operator = P.Elliptic(one_axis, 1.0, 1.0)
    smoother = Level(stencil := operator.network().stencil(random(9)), ALGEBRA.Lines(0).steps(stencil))
    f, u = random(9), torch.zeros(9, dtype=F64)
    smoother.smooth_(u, f, 1, zero=True)
    assert torch.allclose(operator.apply(u), f)


def test_lines_suit_strong_couplings_on_grids_that_stay_square():
    grid = P.Grid((64, 64), (1.0, 0.05), boundary=P.Dirichlet())
    problem = kt.LinearProblem(P.Elliptic(grid), random(64, 64))
    along, across = (
        kt.solve(problem, kt.Multigrid(smoother=ALGEBRA.Lines(axis)), rtol=1e-8).stats.steps for axis in (1, 0)
    )
    assert along <= 10 and along <= across


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: ALGEBRA.DampedJacobi(0.0), ValueError, "damping must be a number between 0 and 2; got 0.0"),
        (lambda: ALGEBRA.DampedJacobi(True), ValueError, "damping must be"),
        (lambda: ALGEBRA.Chebyshev(0), ValueError, "degree must be a whole number from 1 to 8; got 0"),
        (lambda: ALGEBRA.Chebyshev(2, 2.0), ValueError, "lower must be a number between 0 and 2; got 2.0"),
        (lambda: ALGEBRA.Lines(0.5), TypeError, "axis must be a whole number; got 0.5"),
        (
            lambda: level(ALGEBRA.Lines(2), P.Grid((8, 8), boundary=P.Dirichlet())),
            ValueError,
            "one of the 2 of the grid",
        ),
        (lambda: level(ALGEBRA.Lines(0), P.Grid((8, 8))), ValueError, "axis 0 is periodic"),
    ],
    ids=range(7),
)
def test_what_does_not_fit_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
