"""The power method finds the largest eigenvalue, a little enlarged."""

import pytest
import torch

from kutta.solvers.stabilised.spectral_radius import SAFETY, estimated_radius, first_direction
from tests._helpers import F64


class Field:
    def __init__(self, f):
        self.f, self.calls = f, 0

    def derivative(self, t, y):
        self.calls += 1
        return self.f(y)


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def estimated(f, y, direction=None):
    field = Field(f)
    slope = f(y)
    return (*estimated_radius(field, 0.0, y, slope, slope if direction is None else direction), field.calls)


@pytest.mark.parametrize("n", [1, 10, 200])
def test_diffusion(n):
    matrix = torch.diag(-torch.linspace(1.0, 1e4, n, dtype=F64)) if n > 1 else torch.tensor([[-1e4]], dtype=F64)
    basis = torch.linalg.qr(random(n, n))[0]
    matrix = basis @ matrix @ basis.T
    radius, direction, calls = estimated(lambda y: matrix @ y, random(n, seed=1))
    assert 0.98e4 <= radius <= SAFETY * 1.001e4
    again, _, fewer = estimated(lambda y: matrix @ y, random(n, seed=1), direction)
    assert abs(again - radius) < 0.05 * radius and fewer <= calls


def test_nonlinear_and_in_single_precision():
    for dtype in (F64, torch.float32):
        radius, _, _ = estimated(lambda y: -(y**3), torch.tensor([0.5, 2.0, 10.0], dtype=dtype))
        assert 290.0 < radius < 1.25 * 300.0


def test_at_rest_and_from_zero():
    assert estimated(lambda y: 0 * y, torch.zeros(3, dtype=F64))[0] == 0.0
    assert estimated(lambda y: -5 * y, torch.zeros(3, dtype=F64))[0] == pytest.approx(SAFETY * 5.0, rel=1e-6)


def test_nothing_is_put_on_a_tape():
    y = random(3).requires_grad_()
    slope = -y
    _, direction = estimated_radius(Field(lambda y: -y), 0.0, y, slope, slope)
    assert not direction.requires_grad


def test_what_is_not_finite_is_told():
    assert not torch.isfinite(torch.tensor(estimated(lambda y: y / 0.0, torch.ones(2, dtype=F64))[0]))


@pytest.mark.parametrize("size", [1e-7, 1e-9, 1e-13, 1e-18, 1e-40])
def test_near_zero_rounding_of_a_force_is_not_taken_for_stiffness(size):
    rates, force = torch.linspace(1.0, 100.0, 20, dtype=F64), 1.0 + random(20, seed=4)
    radius, _, _ = estimated(lambda y: force - rates * y, size * random(20), first_direction(force))
    assert 80.0 < radius < 1.01 * SAFETY * 100.0


def test_an_eigenvector_does_not_hide_faster_modes():
    rates, y = torch.linspace(1.0, 100.0, 20, dtype=F64), torch.eye(20, dtype=F64)[0]
    radius, _, _ = estimated(lambda y: -rates * y, y, first_direction(-rates * y))
    assert radius > 80.0
    assert estimated(lambda y: 0 * y, 0 * y, first_direction(0 * y))[0] == 0.0
