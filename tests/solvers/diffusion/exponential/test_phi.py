"""The phi functions against 50 digits, and their derivatives."""

import math

import mpmath
import pytest
import torch

from kutta.solvers.diffusion.exponential.phi import HIGHEST, data_moments, noise_moments, phi

SIZES = [*10.0 ** torch.linspace(-8, 1.3, 60, dtype=torch.float64), 19.99, 20.0, 20.01, 35.0, 50.0]
ARGUMENTS = torch.tensor([sign * float(size) for sign in (1, -1) for size in SIZES], dtype=torch.float64)


def exact(k, z):
    """``1F1(1; k + 1; z) / k!``."""
    with mpmath.workdps(50):
        return mpmath.hyp1f1(1, k + 1, mpmath.mpf(z)) / mpmath.factorial(k)


def relative_errors(found, wanted):
    with mpmath.workdps(50):
        return [float(abs(mpmath.mpf(one) / right - 1)) for one, right in zip(found.tolist(), wanted, strict=True)]


@pytest.mark.parametrize("k", range(HIGHEST + 1))
def test_phi_is_right_to_thirteen_digits(k):
    errors = relative_errors(phi(k, ARGUMENTS), [exact(k, z) for z in ARGUMENTS.tolist()])
    assert max(errors) < 1e-13


@pytest.mark.parametrize("k", range(HIGHEST + 1))
def test_phi_at_zero_is_one_over_a_factorial(k):
    z = torch.zeros((), dtype=torch.float64, requires_grad=True)
    value = phi(k, z)
    (slope,) = torch.autograd.grad(value, z)
    assert float(value.detach()) == pytest.approx(1 / math.factorial(k), rel=1e-15)
    assert float(slope) == pytest.approx(1 / math.factorial(k + 1), rel=1e-15)


@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_derivative_of_phi(k):
    """``phi_k' = phi_k - k phi_{k+1}``, on both sides of every switch."""
    z = ARGUMENTS.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(phi(k, z).sum(), z)
    with mpmath.workdps(50):
        wanted = [exact(k, one) - k * exact(k + 1, one) for one in ARGUMENTS.tolist()]
    assert max(relative_errors(slopes, wanted)) < 1e-12


def test_moments_are_integrals():
    for h in (1e-6, 0.3, 4.0, 30.0, 800.0):
        for found, kernel in (
            (data_moments(h, 5), lambda r, h=h: mpmath.exp(r - h)),
            (noise_moments(h, 5), lambda r: mpmath.exp(-r)),
        ):
            with mpmath.workdps(50):
                ends = sorted({0.0, h} | {one for one in (1.0, 5.0, 20.0, h - 20.0, h - 5.0, h - 1.0) if 0 < one < h})
                wanted = [
                    mpmath.quad(lambda r, k=k, kernel=kernel, h=h: kernel(r) * (r / h) ** k, ends) for k in range(5)
                ]
            assert max(relative_errors(found, wanted)) < 1e-13


def test_moments_do_not_overflow_and_have_gradients():
    h = torch.tensor([1e-8, 1e-3, 2.0, 25.0, 1e4], dtype=torch.float64, requires_grad=True)
    for moments in (data_moments, noise_moments):
        found = moments(h, 4)
        (slopes,) = torch.autograd.grad(found.sum(), h)
        assert found.shape == (5, 4)
        assert bool(torch.isfinite(found).all()) and bool(torch.isfinite(slopes).all())
        assert torch.autograd.gradcheck(
            lambda h, moments=moments: moments(h, 4),
            (torch.tensor([0.5, 3.0, 25.0], dtype=torch.float64, requires_grad=True),),
        )


def test_shapes():
    z = torch.linspace(-30, 30, 24).reshape(2, 3, 4)
    assert phi(2, z).shape == (2, 3, 4) and phi(2, z).dtype == torch.float64
    assert data_moments(z.abs(), 3).shape == (2, 3, 4, 3)


@pytest.mark.parametrize("k", [-1, HIGHEST + 1, 1.0])
def test_other_orders_are_refused(k):
    with pytest.raises(ValueError, match="k must be a whole number from 0 to 10"):
        phi(k, 0.5)
