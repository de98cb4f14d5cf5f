"""Waves: d'Alembert's solution, energy, order in differences, and exact steps where a transform is known."""

import math
from dataclasses import replace
from functools import cache

import pytest
import torch

import kutta as kt
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations._orders import ACCURACIES, PLACES, THREE, assert_order, fulfilling, some_waves

P = kt.pde


def bump(x):
    return torch.exp(torch.sin(2 * math.pi * x))


def at_rest(shape):
    return lambda x: torch.stack([shape(x), torch.zeros_like(x[0])])


def energy(problem, state, accuracy):
    """``(|v|^2 - c^2 u laplace(u)) / 2``, which the differences keep."""
    u, v = state
    return float((v**2 - problem.equation.speed**2 * u * P.laplacian(u, problem.grid, accuracy)).sum()) / 2


# Exact in waves.


@pytest.mark.parametrize("dt", [0.01, 1.0, 100.0])
def test_two_waves_part_whatever_the_step(dt):
    grid = P.Grid(64)
    problem = P.Wave(0.7).problem(grid, at_rest(lambda x: bump(x[0])), (0.0, 2 * dt))
    y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(dt)).y1
    x, way = grid.points()[0], 0.7 * 2 * dt
    assert float((y1[0] - (bump(x - way) + bump(x + way)) / 2).abs().max()) < 1e-13 + 2e-15 * 400 * way


def test_one_wave_travels():
    def to_the_right(x):
        u = bump(x[0])
        return torch.stack([u, -2.0 * 2 * math.pi * torch.cos(2 * math.pi * x[0]) * u])

    problem = P.Wave(2.0).problem(P.Grid(64), to_the_right, (0.0, 0.3))
    for options in ({"method": kt.ETDRK4(), "controller": kt.Fixed(0.3)}, {}):  # error control, in the second case
        y1 = kt.solve(problem, **options).y1
        assert torch.allclose(y1, to_the_right(problem.grid.points() - 0.6), rtol=0, atol=1e-11)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize(("boundary", "shape"), [(P.Dirichlet(), torch.sin), (P.Neumann(), torch.cos)], ids=["D", "N"])
def test_membranes_between_walls(boundary, shape, centring):
    grid = P.Grid((12, 9), (1.0, 2.0), centring, boundary=boundary)
    problem = P.Wave(1.5).problem(
        grid, at_rest(lambda x: shape(math.pi * x[0]) * shape(math.pi * x[1])), (0.0, 5.0), P.PseudoSpectral()
    )
    y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(2.5)).y1
    turn = math.cos(1.5 * math.pi * math.sqrt(2) * 5.0)
    assert torch.allclose(y1[0], problem.u0[0] * turn, rtol=0, atol=1e-13)


def test_a_mean_velocity_moves_all():
    problem = P.Wave().problem(P.Grid(8), lambda x: torch.ones(2, 8, dtype=F64), (0.0, 3.0))
    y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(3.0)).y1
    assert torch.allclose(y1, torch.tensor([[4.0], [1.0]], dtype=F64).expand(2, 8))


def test_implicit_steps_have_their_order():
    counts, errors = (20, 40), []
    problem = P.Wave().problem(P.Grid(32), at_rest(lambda x: torch.sin(2 * math.pi * x[0])), (0.0, 0.3))
    exact = problem.u0[0] * math.cos(2 * math.pi * 0.3)
    for count in counts:
        y1 = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(0.3 / count)).y1
        errors.append(float((y1[0] - exact).abs().max()))
    assert slopes_of(errors, counts)[0] == pytest.approx(3, abs=0.15)


# Differences.


@cache
def without_displacement(kind):
    """States that vanish where their nodes do."""
    found = [fulfilling(lambda ops, u: u, kind, waves) for waves in some_waves()]
    return [replace(one, means=one.means * MOVES, sizes=one.sizes * MOVES[:, None]) for one in found]


MOVES = torch.tensor([1.0, 0.0], dtype=F64)  # of displacement and velocity


@pytest.mark.parametrize("accuracy", ACCURACIES)
@pytest.mark.parametrize(("kind", "centring"), PLACES)
def test_orders_in_space(kind, centring, accuracy):
    options = {"means": (0.5, 0.2)}
    if centring == "node" and kind in ("Dirichlet", "mixed"):
        options = {"states": without_displacement(kind), "counts": THREE}
    scheme = P.FiniteDifference(accuracy)
    assert_order(accuracy, P.Wave(), kind, scheme, centring, bounded=lambda u: u[0], **options)


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize(("boundary", "shape"), [(P.Dirichlet(), torch.sin), (P.Neumann(), torch.cos)], ids=["D", "N"])
def test_waves_stand_between_walls(boundary, shape, centring):
    grid = P.Grid(65, 1.0, centring, boundary=boundary)
    problem = P.Wave().problem(grid, at_rest(lambda x: shape(2 * math.pi * x[0])), (0.0, 0.4), P.FiniteDifference(6))
    y1 = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(y1[0], problem.u0[0] * math.cos(2 * math.pi * 0.4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_energy_is_kept(accuracy):
    problem = P.Wave(2.0).problem(
        P.Grid((16, 12)), at_rest(lambda x: bump(x[0] + x[1])), (0.0, 1.0), P.FiniteDifference(accuracy)
    )
    y1 = kt.solve(problem, kt.Vern9(), rtol=1e-11, atol=1e-12).y1
    assert energy(problem, y1, accuracy) == pytest.approx(energy(problem, problem.u0, accuracy), rel=1e-9)
    assert float((y1 - problem.u0).abs().max()) > 0.1


def test_a_speed_that_varies_in_space():
    """Waves act on one another then, which is noticed."""
    grid = P.Grid(32)
    speed = 1.0 + 0.3 * torch.cos(2 * math.pi * grid.points()[0])
    problem = P.Wave(speed).problem(grid, at_rest(lambda x: torch.sin(2 * math.pi * x[0])), (0.0, 0.2))
    exact = kt.solve(problem, kt.Vern7(), rtol=1e-9, atol=1e-11).y1
    assert torch.allclose(kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1)).y1, exact, rtol=0, atol=1e-7)
    fine = P.Wave(speed).problem(grid, problem.u0, (0.0, 0.2), P.FiniteDifference(6))
    assert torch.allclose(kt.solve(fine, kt.Vern7(), rtol=1e-8).y1[0], exact[0], rtol=0, atol=1e-4)


# Gradients, precision, refusals.


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443(), kt.RK4()], ids=["ETDRK4", "ARS443", "RK4"])
def test_gradients_to_speed_and_initial_state(method):
    start = at_rest(lambda x: bump(x[0]))(P.Grid(8).points())

    def loss(numbers):
        problem = P.Wave(numbers[0]).problem(P.Grid(8), numbers[1] * start, (0.0, 0.1), P.PseudoSpectral())
        return (kt.solve(problem, method, controller=kt.Fixed(0.02)).y1 ** 2).sum()

    numbers = torch.tensor([0.7, 1.1], dtype=F64)
    assert relative_error(gradient(loss, numbers), difference(loss, numbers)) < 1e-8


def test_batches_in_single_precision():
    start = at_rest(lambda x: bump(x[0]))(P.Grid(32).points())
    u0 = torch.stack([start, 2 * start]).to(torch.float32)
    y1 = kt.solve(P.Wave().problem(P.Grid(32), u0, (0.0, 1.0)), kt.ETDRK4(), controller=kt.Fixed(0.5)).y1
    assert y1.dtype == torch.float32 and torch.allclose(y1, u0, rtol=0, atol=1e-4)


def test_steps_that_are_too_large_are_refused_and_no_others():
    """Displacement and velocity are in other units, and what is applied to one grows as what comes of it shrinks."""
    problem = P.Wave().problem(P.Grid(100), at_rest(lambda x: bump(x[0])), (0.0, 0.1), P.FiniteDifference())
    kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.013))  # 2.83 / (2 / h)
    with pytest.raises(ValueError, match="violates the Courant-Friedrichs-Lewy condition"):
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.018))


def test_refusals():
    with pytest.raises(ValueError, match=r"u0 must have the shape \(\.\.\., 2, 8\) of Wave"):
        P.Wave().problem(P.Grid(8), torch.ones(8), (0.0, 1.0))
    with pytest.raises(ValueError, match=r"speed must be a number or have the shape \(..., 8\)"):
        P.Wave(torch.ones(7)).problem(P.Grid(8), torch.ones(2, 8), (0.0, 1.0))
    with pytest.raises(ValueError, match="speed must be finite"):
        P.Wave(math.inf).problem(P.Grid(8), torch.ones(2, 8), (0.0, 1.0))
    nodes = P.Grid(8, centring="node", boundary=P.Dirichlet(1.0))
    with pytest.raises(ValueError, match=r"Wave takes Dirichlet\(0\) on nodes only"):
        P.Wave().problem(nodes, torch.ones(2, 8), (0.0, 1.0))
    sides = P.Grid(8, boundary=P.Dirichlet(torch.tensor([0.0, 1.0])))  # of u alone
    with pytest.raises(ValueError, match=r"g at side 0 of axis 0 has the axes \(2,\) .* the field there has \(\)"):
        kt.solve(P.Wave().problem(sides, torch.ones(2, 8), (0.0, 0.1)), kt.Tsit5())
