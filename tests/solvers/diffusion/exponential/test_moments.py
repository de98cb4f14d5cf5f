"""The weights of predictions over a step: against integrals in 50 digits, and their derivatives."""

import mpmath
import torch

from kutta.solvers.diffusion.exponential.moments import data_moments, noise_moments
from tests.solvers.exponential.test_phi import relative_errors


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


def test_the_moments_are_along_a_new_last_axis():
    assert data_moments(torch.linspace(0, 30, 24).reshape(2, 3, 4), 3).shape == (2, 3, 4, 3)
