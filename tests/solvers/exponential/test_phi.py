"""The phi functions against 50 digits, and their derivatives."""

import math

import mpmath
import numpy as np
import pytest
import torch

from kutta.solvers.exponential.phi import HIGHEST, matrix_phis, phi, phis

SIZES = [*10.0 ** torch.linspace(-8, 1.3, 60, dtype=torch.float64), 19.99, 20.0, 20.01, 35.0, 50.0]
ARGUMENTS = torch.tensor([sign * float(size) for sign in (1, -1) for size in SIZES], dtype=torch.float64)


def exact(k, z):
    """``1F1(1; k + 1; z) / k!``."""
    with mpmath.workdps(50):
        return mpmath.hyp1f1(1, k + 1, mpmath.mpmathify(z)) / mpmath.factorial(k)


def relative_errors(found, wanted):
    with mpmath.workdps(50):
        return [float(abs(mpmath.mpf(one) / right - 1)) for one, right in zip(found.tolist(), wanted, strict=True)]


@pytest.mark.parametrize("k", range(HIGHEST + 1))
def test_phi_is_right_to_thirteen_digits(k):
    errors = relative_errors(phi(k, ARGUMENTS), [exact(k, z) for z in ARGUMENTS.tolist()])
    assert max(errors) < 1e-13


def test_numbers_arrays_and_lists_are_arguments():
    """All in double precision: a complex number is not rounded to single precision on its way."""
    z = torch.tensor([0.1 + 0.3j, -2.0 + 0.1j], dtype=torch.complex128)
    wanted = phi(2, z)
    assert phi(2, 0.1 + 0.3j) == wanted[0] and phi(2, np.complex128(-2.0 + 0.1j)) == wanted[1]
    assert torch.equal(phi(2, z.numpy()), wanted) and torch.equal(phi(2, z.tolist()), wanted)
    assert torch.equal(phi(2, z.numpy()[::-1]), wanted.flip(0))
    assert torch.equal(phi(1, [1, 2]), phi(1, torch.tensor([1.0, 2.0]))) and phi(1, np.float32(2.0)) == phi(1, 2)


@pytest.mark.parametrize("wrong", ["1.5", None, [None], object()])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(TypeError, match="expected numbers, an array of them or a tensor; got"):
        phi(1, wrong)


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


DIRECTIONS = (1j, -1j, -1 + 1j, 1 + 1j, -0.1 - 1j)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_phi_of_complex_numbers(direction):
    """Also near the zeros ``2 pi i n`` of ``phi_1``, where no digit would be left of a difference."""
    sizes = [*map(float, SIZES), *(2 * math.pi * n + 1e-3 for n in (1, 2, 5))]
    z = torch.tensor([direction / abs(direction) * size for size in sizes], dtype=torch.complex128)
    for k, found in enumerate(phis(z, 4)):
        for one, at in zip(found.tolist(), z.tolist(), strict=True):
            with mpmath.workdps(50):
                right = exact(k, at)
                scale = max(abs(right), abs(mpmath.exp(at)) / (1 + abs(at)) ** k * 1e-3)
                assert float(abs(mpmath.mpmathify(one) - right) / scale) < 1e-12
                if abs(right) > 1e-2 * abs(exact(k, at.real)):
                    assert float(abs(mpmath.mpmathify(one) - right) / abs(right)) < 1e-13


def test_the_derivative_at_complex_numbers():
    z = torch.tensor([0.3 + 0.2j, -4.0 + 9.0j, 30.0j], dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: torch.stack(phis(z, 3)), (z,))


@pytest.mark.parametrize("size", [1e-6, 0.4, 3.0, 200.0])
@pytest.mark.parametrize("kind", ["symmetric", "skew", "triangular", "complex"])
def test_phi_of_matrices(kind, size):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    matrix = {
        "symmetric": lambda: -(a @ a.T),
        "skew": lambda: a - a.T,
        "triangular": lambda: torch.triu(a, 1) - torch.diag(a.diag().abs()),
        "complex": lambda: torch.complex(-(a @ a.T), a - a.T),
    }[kind]()
    matrix = matrix * size / torch.linalg.matrix_norm(matrix, 2)
    found = matrix_phis(matrix, 4)
    with mpmath.workdps(150):
        exactly = mpmath.matrix(matrix.tolist())
        value, unit = mpmath.expm(exactly, method="taylor"), mpmath.eye(6)
        for k, one in enumerate(found):
            if k:
                value = mpmath.inverse(exactly) * (value - unit / mpmath.factorial(k - 1))
            difference = mpmath.matrix(one.tolist()) - value
            assert float(mpmath.norm(difference, mpmath.inf)) < 1e-14 * (1 + size) * float(
                mpmath.norm(value, mpmath.inf)
            )


def test_phi_of_a_singular_matrix_and_of_a_batch():
    found = matrix_phis(torch.tensor([[[0.0, 2.0], [0.0, 0.0]], [[-3.0, 0.0], [0.0, 40.0]]], dtype=torch.float64), 2)
    assert torch.allclose(found[1][0], torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=torch.float64), rtol=1e-15)
    assert torch.allclose(found[2][1].diagonal(), phi(2, torch.tensor([-3.0, 40.0])), rtol=1e-13)


def test_derivative_of_the_phi_of_matrices():
    matrix = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: torch.stack(matrix_phis(5 * a, 3)), (matrix,))


def test_shapes():
    z = torch.linspace(-30, 30, 24).reshape(2, 3, 4)
    assert phi(2, z).shape == (2, 3, 4) and phi(2, z).dtype == torch.float64


@pytest.mark.parametrize("k", [-1, HIGHEST + 1, 1.0])
def test_other_orders_are_refused(k):
    with pytest.raises(ValueError, match="k must be a whole number from 0 to 10"):
        phi(k, 0.5)
