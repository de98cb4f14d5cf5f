"""Burgers: the solution of Cole and Hopf, orders, gradients."""

import math
from pathlib import Path

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import SIDES, ends, gradient_error, profile, temporal_order
from tests.pde.equations._orders import ACCURACIES, PLACES, assert_order

P = kt.pde
VISCOSITY = 0.1


def cole_hopf(x, t):
    """``u = -2 nu phi_x / phi`` with ``phi = 2 + exp(-nu t) cos(x)``, which diffuses: it vanishes at 0 and pi."""
    decay = math.exp(-VISCOSITY * t)
    return 2 * VISCOSITY * decay * torch.sin(x[0]) / (2 + decay * torch.cos(x[0]))


def error(count, kind, scheme, end=1.0, centring=None):
    length = 2 * math.pi if kind == "periodic" else math.pi
    grid = P.Grid(count, length, centring, boundary=SIDES[kind])
    problem = P.Burgers(VISCOSITY).problem(grid, lambda x: cole_hopf(x, 0.0), (0.0, end), scheme)
    found = kt.solve(problem, kt.ROCK4(), rtol=1e-11, atol=1e-13).y1
    return float((found - cole_hopf(grid.points(), end)).norm()) / count**0.5, grid.spacing[0]


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    assert_order(accuracy, P.Burgers(0.3), kind, P.FiniteDifference(accuracy), centring)


@pytest.mark.parametrize(("kind", "centring"), [("periodic", None), ("Dirichlet", "cell"), ("Dirichlet", "node")])
def test_what_moves_in_differences(kind, centring):
    assert error(60, kind, P.FiniteDifference(6), centring=centring)[0] < 1e-7


@pytest.mark.parametrize("kind", ["periodic", "Dirichlet"])
def test_waves_are_exact_to_rounding(kind):
    assert error(48, kind, P.PseudoSpectral())[0] < 1e-10


@pytest.mark.parametrize(("method", "order"), [(kt.ETDRK2(), 2), (kt.ETDRK4(), 4)], ids=["ETDRK2", "ETDRK4"])
def test_orders_in_time(method, order):
    problem = P.Burgers(VISCOSITY).problem(P.Grid(32, 2 * math.pi), lambda x: torch.sin(x[0]), (0.0, 1.0))
    assert temporal_order(problem, method, 32) == pytest.approx(order, abs=0.15)


def test_in_two_dimensions_along_the_diagonal():
    """A state that depends on ``x + y`` is that of one dimension, twice as fast and with twice the viscosity."""
    line, plane = P.Grid(32, 2 * math.pi), P.Grid((32, 32), 2 * math.pi)
    fixed = {"controller": kt.Fixed(0.05)}
    one = kt.solve(P.Burgers(0.1).problem(line, lambda x: torch.sin(x[0]), (0.0, 1.0)), kt.ETDRK4(), **fixed).y1
    start = lambda x: torch.sin(x[0] + x[1])  # noqa: E731
    fixed = {"controller": kt.Fixed(0.025)}
    two = kt.solve(P.Burgers(0.1).problem(plane, start, (0.0, 0.5)), kt.ETDRK4(), **fixed).y1
    assert torch.allclose(two[0], one, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("scheme", [P.FiniteDifference(4), P.PseudoSpectral()], ids=["differences", "waves"])
def test_gradients(scheme):
    u0 = profile("periodic", P.Grid(6).points()[0])
    assert gradient_error(ends(P.Burgers(0.05), scheme=scheme), u0) < 1e-6
    of_viscosity = lambda nu: ends(P.Burgers(nu), scheme=scheme)(u0)  # noqa: E731
    assert gradient_error(of_viscosity, torch.tensor(0.05, dtype=F64)) < 1e-6


def test_the_guide_says_the_scheme():
    guide = Path(__file__).parents[3] / "docs/guide/partial-differential-equations.md"
    (row,) = [line for line in guide.read_text().splitlines() if line.startswith("| `Burgers(viscosity)`")]
    closed, open_ = P.Grid(8, boundary=P.Neumann()), P.Grid(8)
    words = {P.PseudoSpectral: "waves", P.FiniteDifference: "differences", P.FiniteVolume: "finite volumes"}
    found = [words[type(P.Burgers(nu).scheme(grid))] for nu, grid in ((0.1, open_), (0.1, closed), (0.0, closed))]
    assert row.split("|")[-2].strip() == "{}, {}; with the viscosity 0 {}".format(*found)


def test_parity_that_does_not_fit_is_refused():
    grid = P.Grid(16, boundary=P.Neumann())
    problem = P.Burgers().problem(grid, lambda x: torch.cos(math.pi * x[0]), (0.0, 0.1), P.PseudoSpectral())
    with pytest.raises(ValueError, match="odd to one that is even at its walls"):
        kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
