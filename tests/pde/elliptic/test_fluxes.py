"""Diffusion by fluxes: that of `Elliptic`, conserved, of order two in time-dependent problems; gradients, refusals."""

import dataclasses
import math

import pytest
import torch

import kutta as kt
from kutta.pde.elliptic.fluxes import diffusion
from tests._helpers import F64, difference, gradient, relative_error, slopes_of
from tests.pde.equations import _manufactured as exact

P = kt.pde
GRIDS = {
    "periodic": P.Grid((6, 5), (1.0, 2.0)),
    "cells": P.Grid(
        (6, 5),
        boundary=((P.Dirichlet(1.0), P.Robin(1.0, 0.3, 2.0)), (P.Neumann(0.5), P.Dirichlet(lambda x, t: x[0] + t))),
    ),
    "nodes": P.Grid(
        (6, 5), 1.0, "node", ((P.Dirichlet(1.0), P.Robin(1.0, 0.3, 2.0)), (P.Neumann(0.5), P.Dirichlet(-1.0)))
    ),
    "one axis": P.Grid(7, 1.0, "node", (P.Neumann(1.0), P.Dirichlet(2.0))),
    "three axes": P.Grid((3, 4, 5), 1.0, boundary=(P.Periodic(), P.Neumann(), (P.Dirichlet(1.0), P.Neumann(0.3)))),
}


def random(shape, seed=0):
    return torch.rand(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", GRIDS)
def test_it_is_that_of_the_elliptic_operator(name):
    grid = GRIDS[name]
    u, a = random((2, *grid.shape)), 0.5 + random(grid.shape, 1)
    operator = P.Elliptic(grid, a)
    wanted = operator.source(u, 0.7) - operator.apply(u)
    unknown = operator.among(operator.unknowns(torch.ones_like(u)), 0.0)
    assert relative_error(unknown * diffusion(u, a, grid, 0.7), wanted) < 1e-13


def test_what_no_side_lets_through_is_conserved():
    grid = P.Grid((8, 6), boundary=(P.Periodic(), P.Neumann()))
    change = diffusion(random(grid.shape), 0.1 + random(grid.shape, 1), grid)
    assert abs(float(change.sum())) < 1e-12 * float(change.norm())


def a(x):
    return 1.0 + 0.5 * torch.sin(2.0 * x[0])


def spread(x):
    """``div(a grad U)``."""
    return -a(x) * exact.minus_laplacian(x) + torch.cos(2.0 * x[0]) * exact.slope(x, 0)


def heated(kind, n, centring):
    def decaying(boundary):
        return dataclasses.replace(boundary, g=lambda x, t: torch.exp(-t) * boundary.g(x, t))

    sides = tuple(tuple(decaying(exact.KINDS[kind](axis, side)) for side in (0, 1)) for axis in (0, 1))
    grid = P.Grid((n, n), (1.0, 0.8), centring, sides)
    x = grid.points()
    equation = P.Heat(a(x), lambda x, t: -torch.exp(-t) * (exact.field(x) + spread(x)))
    y1 = kt.solve(equation.problem(grid, exact.field, (0.0, 0.1)), kt.ROCK4()).y1
    return exact.norm(y1 - math.exp(-0.1) * exact.field(x), grid), 1.0 / grid.spacing[0]


@pytest.mark.parametrize("centring", ["cell", "node"])
@pytest.mark.parametrize("kind", ["dirichlet", "neumann", "mixed", "robin"])
def test_heat_with_a_coefficient_that_varies_converges_with_order_two(kind, centring):
    errors, spacings = zip(*(heated(kind, n, centring) for n in (9, 14)), strict=True)
    assert slopes_of(errors, spacings)[-1] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    "scheme",
    [P.FiniteDifference(2), P.FiniteDifference(4), P.FiniteDifference(6), P.PseudoSpectral()],
    ids=["order 2", "order 4", "order 6", "waves"],
)
def test_periodic_heat_with_a_coefficient_that_varies(scheme):
    """``u = exp(-t) sin x``, ``a = 2 + cos x``."""

    def source(x, t):
        return torch.exp(-t) * (-torch.sin(x[0]) + 2.0 * torch.sin(x[0]) + torch.sin(2.0 * x[0]))

    counts, errors = (12, 18, 27), []
    for n in counts:
        grid = P.Grid(n, 2 * math.pi)
        x = grid.points()[0]
        problem = P.Heat(2.0 + torch.cos(x), source).problem(grid, torch.sin(x), (0.0, 0.5), scheme)
        errors.append(
            relative_error(kt.solve(problem, kt.Tsit5(), rtol=1e-9, atol=1e-11).y1, math.exp(-0.5) * torch.sin(x))
        )
    if isinstance(scheme, P.PseudoSpectral):
        assert max(errors) < 1e-8
        fixed = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.0025)).y1
        assert relative_error(fixed, math.exp(-0.5) * torch.sin(x)) < 1e-8
    else:
        assert slopes_of(errors, counts)[-1] == pytest.approx(scheme.accuracy, abs=0.15)


@pytest.mark.parametrize("method", [kt.Tsit5(), kt.ARS222()], ids=["explicit", "implicit"])
def test_gradients_to_the_coefficient_and_the_boundary(method):
    coefficient, value = 0.5 + random((3, 2)), random((2,), 1)

    def loss(a, g):
        grid = P.Grid((3, 2), boundary=((P.Dirichlet(g), P.Robin(1.0, 1.0)), P.Neumann(0.2)))
        y1 = kt.solve(P.Heat(a).problem(grid, random((3, 2), 2), (0.0, 0.01)), method, controller=kt.Fixed(0.01)).y1
        return (y1**3).sum()

    for ask, at in ((lambda a: loss(a, value), coefficient), (lambda g: loss(coefficient, g), value)):
        assert relative_error(gradient(ask, at), difference(ask, at)) < 1e-6


def test_it_ends_where_darcy_begins():
    grid = P.Grid((6, 6), boundary=(P.Dirichlet(1.0), P.Neumann(0.1)))
    coefficient = torch.where(grid.points()[0] < 0.5, 1.0, 0.1).to(F64)
    steady = kt.solve(P.Darcy(coefficient).problem(grid, 2.0), rtol=1e-12).y1
    problem = P.Heat(coefficient, 2.0).problem(grid, torch.zeros(6, 6, dtype=F64), (0.0, 20.0))
    assert relative_error(kt.solve(problem, kt.RKC2(), rtol=1e-5, atol=1e-8).y1, steady) < 1e-5


def test_higher_orders_between_walls_are_refused():
    grid = P.Grid(16, boundary=P.Dirichlet())
    problem = P.Heat(torch.ones(16)).problem(grid, torch.ones(16), (0.0, 1.0), P.FiniteDifference(4))
    with pytest.raises(ValueError, match="between walls, has accuracy 2; got 4"):
        kt.solve(problem, kt.RKC2())
