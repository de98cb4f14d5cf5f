"""Heat: modes that decay, walls of every kind, sources, coefficients that vary, gradients."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.pde.equations._checks import SIDES, by_schemes, ends, gradient_error, profile
from tests.pde.equations._orders import ACCURACIES, PERIOD, PLACES, assert_order

P = kt.pde
MODE = 3.4256184594817283  # the second with tan(MODE) = 1 / MODE


def mode(kind, x):
    """A mode on the unit interval, and the square of its wave number."""
    k = {"periodic": 2 * math.pi, "Neumann": math.pi, "Dirichlet": math.pi}[kind]
    return (torch.sin if kind == "Dirichlet" else torch.cos)(k * x), k**2


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    assert_order(accuracy, P.Heat(1.0), kind, P.FiniteDifference(accuracy), centring)


def varying(period):
    return lambda x: P.Heat(2 + torch.cos(2 * math.pi / period * x))


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_orders_where_the_coefficient_varies(accuracy):
    assert_order(accuracy, varying(1.0), "periodic", P.FiniteDifference(accuracy))


@pytest.mark.parametrize(("kind", "centring"), PLACES[3:])
def test_order_two_where_the_coefficient_varies_between_walls(kind, centring):
    assert_order(2, varying(PERIOD), kind, P.FiniteDifference(2), centring)


def test_a_mode_that_decays_between_a_mirror_and_a_leaking_wall():
    grid = P.Grid(120, 1.0, boundary=(P.Neumann(), P.Robin(1.0, 1.0)))
    u0 = torch.cos(MODE * grid.points()[0])
    problem = P.Heat(1.0).problem(grid, u0, (0.0, 0.1), P.FiniteDifference(6))
    found = kt.solve(problem, kt.ROCK4(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(found, math.exp(-0.1 * MODE**2) * u0, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("kind", list(SIDES))
def test_waves_solve_it_exactly_whatever_the_step(kind):
    grid = P.Grid((8, 12), (1.0, 2.0), boundary=SIDES[kind])
    u0, rate = mode(kind, grid.points()[0])
    problem = P.Heat(0.3).problem(grid, u0, (0.0, 1.0), P.PseudoSpectral())
    if kind == "Dirichlet":
        u0 = u0 * torch.sin(math.pi * grid.points()[1] / 2)
        problem, rate = P.Heat(0.3).problem(grid, u0, (0.0, 1.0), P.PseudoSpectral()), rate + math.pi**2 / 4
    found = kt.solve(problem, kt.ETD1(), controller=kt.Fixed(1.0)).y1
    assert torch.allclose(found, math.exp(-0.3 * rate) * u0, rtol=0.0, atol=1e-14)


def test_a_rod_between_two_temperatures():
    grid = P.Grid(16, 1.0, "node", boundary=(P.Dirichlet(1.0), P.Dirichlet(lambda x, t: 2.0 + 0 * t)))
    sol = kt.solve(P.Heat(1.0).problem(grid, torch.zeros(16, dtype=F64), (0.0, 3.0)), kt.ROCK4(), rtol=1e-9)
    assert torch.allclose(sol.y1, 1 + grid.points()[0], rtol=0.0, atol=1e-7)


@by_schemes(2)
def test_what_a_source_brings_stays(scheme):
    grid = P.Grid(16, boundary=P.Neumann())
    source = lambda x, t: (1 + torch.cos(math.pi * x[0])) * t  # noqa: E731
    problem = P.Heat(0.1, source).problem(grid, torch.zeros(16, dtype=F64), (0.0, 2.0), scheme)
    assert float(kt.solve(problem, kt.Tsit5(), rtol=1e-9).y1.mean()) == pytest.approx(2.0, rel=1e-9)


@by_schemes(4)
@pytest.mark.parametrize("kind", list(SIDES))
def test_gradients(kind, scheme):
    u0 = profile(kind, P.Grid(6, boundary=SIDES[kind]).points()[0])
    assert gradient_error(ends(P.Heat(0.05), kind, scheme=scheme), u0) < 1e-6
    of_coefficients = lambda a: ends(P.Heat(a), kind, scheme=scheme)(u0)  # noqa: E731
    assert gradient_error(of_coefficients, torch.tensor(0.05, dtype=F64)) < 1e-6


def test_gradients_to_fields_and_walls():
    x = P.Grid(6).points()[0]

    def end(values):
        grid = P.Grid(6, boundary=(P.Dirichlet(values[0]), P.Robin(1.0, 0.5, values[1])))
        problem = P.Heat(values[2:8], values[8:]).problem(grid, x, (0.0, 0.02), P.FiniteDifference(2))
        return kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.01)).y1

    values = torch.cat([torch.tensor([0.3, -0.2], dtype=F64), 0.1 + 0.05 * x, torch.cos(x)])
    assert gradient_error(end, values) < 1e-6


def test_steps_that_explode_are_refused():
    problem = P.Heat(1.0).problem(P.Grid(32), lambda x: torch.sin(2 * math.pi * x[0]), (0.0, 1.0), P.FiniteDifference())
    with pytest.raises(ValueError, match="Courant-Friedrichs-Lewy"):
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.1))


def test_a_jump_spreads_until_nothing_is_left_of_it_where_the_coefficient_varies():
    grid = P.Grid(64)
    x = grid.points()[0]
    problem = P.Heat(1 + 0.5 * torch.sin(2 * math.pi * x)).problem(grid, (x < 0.5).double(), (0.0, 1.0))
    found = kt.solve(problem, rtol=1e-8, atol=1e-10).y1
    assert torch.allclose(found, torch.full_like(found, 0.5), atol=1e-6)


def test_waves_with_a_coefficient_that_varies_leave_none_out():
    """All but the shortest, which has no first derivative, decay."""
    grid = P.Grid(33)
    x = grid.points()[0]
    short = torch.cos(2 * math.pi * 15 * x)
    problem = P.Heat(1 + 0.5 * torch.sin(2 * math.pi * x)).problem(grid, short, (0.0, 1.0), P.PseudoSpectral())
    assert float(kt.solve(problem, kt.ROCK4(), rtol=1e-6, atol=1e-9).y1.abs().max()) < 1e-6


@pytest.mark.parametrize("diffusivity", [-1.0, torch.linspace(-0.1, 1.0, 16)], ids=["number", "field"])
def test_a_diffusivity_that_is_not_positive_is_refused(diffusivity):
    with pytest.raises(ValueError, match="diffusivity must not be negative"):
        P.Heat(diffusivity).problem(P.Grid(16), torch.zeros(16, dtype=F64), (0.0, 1.0))


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_the_mean_stays_up_to_the_error_where_the_coefficient_varies(accuracy):
    """To rounding at order 2."""

    def drift(count):
        grid = P.Grid(count)
        x = 2 * math.pi * grid.points()[0]
        u0 = torch.exp(torch.cos(x - 0.6))
        case = P.Heat(1 + 0.5 * torch.sin(x)).problem(grid, u0, (0.0, 1.0), P.FiniteDifference(accuracy)).as_ode()
        return abs(float(case.f(torch.tensor(0.0, dtype=F64), case.y0).mean()))

    if accuracy == 2:
        assert drift(32) < 1e-13
    else:
        assert math.log2(drift(32) / drift(64)) == pytest.approx(accuracy, abs=0.1)


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_a_zigzag_decays_where_the_coefficient_varies(accuracy):
    grid = P.Grid(32)
    a, zigzag = 1 + 1e-3 * torch.sin(2 * math.pi * grid.points()[0]), 1.0 - 2.0 * (torch.arange(32) % 2).double()
    problem = P.Heat(a).problem(grid, zigzag, (0.0, 1.0), P.FiniteDifference(accuracy))
    assert float(kt.solve(problem, rtol=1e-6).y1.abs().max()) < 1e-4


@pytest.mark.parametrize(
    ("axis", "order", "match"),
    [
        (0, 5, "order must be a whole number from 1 to 4; got 5"),
        (0, 0, "order must be a whole number from 1 to 4; got 0"),
        (1, 1, "axis must be a whole number from 0 to 0; got 1"),
        (-1, 2, "axis must be a whole number from 0 to 0; got -1"),
    ],
)
def test_derivatives_that_there_are_not(axis, order, match):
    ops = P.FiniteDifference().on(P.Grid(16))
    with pytest.raises(ValueError, match=match):
        ops.derivative(torch.zeros(16), axis, order)
