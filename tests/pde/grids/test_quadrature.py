"""Integrals over boxes, for all centrings."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.grids.quadrature import quadrature

WALL = kt.pde.Neumann()


def integral(grid, f):
    return float((quadrature(grid) * f(grid.points())).sum())


@pytest.mark.parametrize("given", [{}, {"boundary": WALL}, {"centring": "node", "boundary": WALL}])
def test_the_volume_of_the_box(given):
    grid = kt.pde.Grid((7, 5), (2.0, 3.0), **given)
    assert integral(grid, lambda x: torch.ones_like(x[0])) == pytest.approx(6.0, rel=1e-14)


@pytest.mark.parametrize("centring", ["cell", "node"])
def test_linear_functions_are_integrated_exactly_and_others_to_second_order(centring):
    line = [kt.pde.Grid(count, 2.0, centring, WALL, 1.0) for count in (20, 39)]
    assert integral(line[0], lambda x: x[0]) == pytest.approx(4.0, rel=1e-14)
    errors = [abs(integral(grid, lambda x: x[0].exp()) - (math.exp(3.0) - math.exp(1.0))) for grid in line]
    assert errors[0] / errors[1] == pytest.approx((line[0].spacing[0] / line[1].spacing[0]) ** 2, rel=0.01)


def test_waves_are_integrated_exactly():
    grid = kt.pde.Grid(12, 2.0 * math.pi)
    assert integral(grid, lambda x: x[0].cos().square()) == pytest.approx(math.pi, rel=1e-14)
