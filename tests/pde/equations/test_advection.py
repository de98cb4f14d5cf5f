"""Advection: exact in waves, of its order in differences, and whatever the wind."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error
from tests.pde.equations._orders import ACCURACIES, assert_order

P = kt.pde


def name(value):
    return type(value).__name__


def bump(x):
    return torch.exp(torch.sin(2 * math.pi * x))


@pytest.mark.parametrize("dt", [0.01, 3.0])
def test_waves_move_exactly_whatever_the_step(dt):
    grid = P.Grid((64, 48), (1.0, 2.0))
    problem = P.Advection((0.7, -0.4)).problem(grid, lambda x: bump(x[0] + 0.5 * x[1]), (0.0, 3 * dt))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(dt))
    x = grid.points()
    assert torch.allclose(sol.y1, bump(x[0] + 0.5 * x[1] - 0.5 * 3 * dt), rtol=0, atol=1e-13)


def test_tensors_are_as_good_as_numbers():
    start = torch.randn(2, 16, dtype=F64, generator=torch.Generator().manual_seed(0))
    for scheme in (P.PseudoSpectral(), P.FiniteDifference(4), P.FiniteVolume()):
        one, other, field = (
            kt.solve(P.Advection(v).problem(P.Grid(16), start, (0.0, 0.2), scheme), kt.Tsit5()).y1
            for v in (0.3, torch.tensor(0.3, dtype=F64), (torch.full((16,), 0.3, dtype=F64),))
        )
        assert torch.allclose(one, other, rtol=0, atol=1e-13)
        if not isinstance(scheme, P.PseudoSpectral):  # where a product with a field loses the shortest waves
            assert torch.allclose(one, field, rtol=0, atol=1e-13)


def varying(period):
    return lambda x: P.Advection((1.5 + torch.cos(2 * math.pi / period * x),))


@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_orders_of_differences(accuracy):
    for equation in (P.Advection(1.0), P.Advection(-0.7), varying(1.0)):
        assert_order(accuracy, equation, "periodic", P.FiniteDifference(accuracy))


@pytest.mark.parametrize(("accuracy", "centring"), [(2, "cell"), (2, "node"), (4, "cell")])
@pytest.mark.parametrize(("kind", "equation"), [("mixed", P.Advection(1.0)), ("turned", P.Advection(-0.7))])
def test_orders_of_differences_from_a_given_inflow_to_a_free_outflow(kind, equation, centring, accuracy):
    assert_order(accuracy, equation, kind, P.FiniteDifference(accuracy), centring)


def test_differences_move_a_bump():
    grid = P.Grid(96)
    problem = P.Advection(1.0).problem(grid, lambda x: bump(x[0]), (0.0, 0.2), P.FiniteDifference(6))
    y1 = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(y1, bump(grid.points()[0] - 0.2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference(6), P.FiniteVolume(P.WENO5())], ids=name)
def test_a_wind_that_varies(scheme):
    """``v = (1 + t) (2 + sin(2 pi x)) / 2 pi``; the time that it takes from 0 to ``x`` is known."""
    grid = P.Grid(64)

    def crossing(x):
        """``int 2 pi dx / (2 + sin(2 pi x))``."""
        turns = torch.floor(x + 0.5)
        half = torch.tan(math.pi * (x - turns))
        return 2 / math.sqrt(3) * (torch.atan((2 * half + 1) / math.sqrt(3)) + math.pi * turns)

    def velocity(x, t):
        return [(1 + t) * (2 + torch.sin(2 * math.pi * x[0])) / (2 * math.pi)]

    problem = P.Advection(velocity).problem(
        grid, lambda x: torch.sin(math.sqrt(3) * crossing(x[0])), (0.0, 0.5), scheme
    )
    y1 = kt.solve(problem, kt.Vern7(), rtol=1e-8, atol=1e-10).y1
    exact = torch.sin(math.sqrt(3) * (crossing(grid.points()[0]) - 0.625))
    assert float((y1 - exact).abs().max()) < 1e-4


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443()], ids=["ETDRK4", "ARS443"])
def test_a_wind_that_varies_in_space_is_no_number_for_each_wave(method):
    """It is noticed, and products with functions of the operator are taken instead."""
    grid = P.Grid(32)
    wind = (2 + torch.sin(2 * math.pi * grid.points()[0])) / (2 * math.pi)
    problem = P.Advection((wind,)).problem(grid, lambda x: torch.cos(2 * math.pi * x[0]), (0.0, 0.5))
    split = kt.solve(problem, method, controller=kt.Fixed(0.02)).y1
    whole = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(split, whole, rtol=0, atol=1e-4 if method.order == 3 else 1e-8)


def test_gradients_to_the_velocity():
    u0 = torch.sin(torch.arange(16, dtype=F64))

    def loss(velocity, method, scheme):
        problem = P.Advection((velocity[0],)).problem(P.Grid(16), u0, (0.0, 0.2), scheme)
        return (kt.solve(problem, method, controller=kt.Fixed(0.01)).y1 ** 3).sum()

    velocity = torch.tensor([0.3], dtype=F64)
    for method, scheme in [(kt.ETDRK4(), P.PseudoSpectral()), (kt.SSPRK33(), P.FiniteVolume())]:
        found = gradient(lambda v, m=method, s=scheme: loss(v, m, s), velocity)
        assert relative_error(found, difference(lambda v, m=method, s=scheme: loss(v, m, s), velocity)) < 1e-7


def test_default_schemes():
    def scheme(grid):
        return P.Advection([1.0] * grid.dim).problem(grid, lambda x: x[0], (0.0, 1.0)).scheme

    assert scheme(P.Grid((4, 4))) == P.PseudoSpectral()
    assert scheme(P.Grid(4, boundary=P.Neumann())) == P.FiniteVolume()
    assert scheme(P.Grid(4, boundary=P.Neumann(), centring="node")) == P.FiniteDifference()


def test_refusals():
    grid = P.Grid((8, 8))

    def refused(velocity):
        return P.Advection(velocity).problem(grid, lambda x: x[0], (0.0, 1.0))

    with pytest.raises(ValueError, match="velocity must have an entry for each of the 2 axes; got 1"):
        refused(1.0)
    with pytest.raises(TypeError, match="velocity must be a number, one for each axis"):
        refused(None)
    with pytest.raises(ValueError, match=r"velocity\[1\] must be a number or have the shape \(..., 8, 8\)"):
        refused((1.0, torch.ones(8)))
    with pytest.raises(ValueError, match=r"velocity\[0\] must be finite"):
        refused((math.nan, 1.0))


@pytest.mark.parametrize(("accuracy", "centring"), [(4, "node"), (6, "cell"), (6, "node")])
def test_differences_that_grow_between_walls_are_refused(accuracy, centring):
    grid = P.Grid(16, 1.0, centring, boundary=(P.Dirichlet(), P.Neumann()))
    with pytest.raises(ValueError, match=rf"FiniteDifference\({accuracy}\) of Advection grows from Dirichlet"):
        P.Advection(1.0).problem(grid, lambda x: x[0], (0.0, 1.0), P.FiniteDifference(accuracy))
