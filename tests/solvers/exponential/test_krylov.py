"""Products with functions of an operator: against the functions of its matrix."""

import math

import pytest
import torch

from kutta.solvers.exponential.krylov import Krylov, KrylovSums, exponential_times
from kutta.solvers.exponential.phi import matrix_phis
from kutta.solvers.tableaus.exponential import _phi as term
from tests._helpers import F64


def laplacian(n):
    return (torch.diag(torch.full((n - 1,), 1.0), 1) + torch.diag(torch.full((n - 1,), 1.0), -1) - 2 * torch.eye(n)).to(
        F64
    )


def random(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


MATRICES = {
    "diffusion": 300.0 * laplacian(60),
    "advection": 80.0 * (torch.diag(torch.ones(59, dtype=F64), -1) - torch.eye(60, dtype=F64)),
    "skew": 5 * (random(60, 60) - random(60, 60).T),
    "complex": 1j * 20.0 * laplacian(60).to(torch.complex128),
}


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("largest", [12, 40])
def test_the_exponential_of_a_matrix_times_a_vector(kind, largest):
    matrix = MATRICES[kind]
    vector = random(60, seed=1).to(matrix.dtype)
    found = exponential_times(lambda x: matrix @ x, vector, Krylov(1e-11, largest))
    exact = torch.linalg.matrix_exp(matrix) @ vector
    assert float((found - exact).norm()) < 1e-10 * float(vector.norm() + exact.norm())


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_tolerance_is_kept_with_few_products(tolerance):
    matrix, vector, count = MATRICES["diffusion"], random(60, seed=1), []

    def product(x):
        count.append(1)
        return matrix @ x

    found = exponential_times(product, vector, Krylov(tolerance))
    error = float((found - torch.linalg.matrix_exp(matrix) @ vector).norm() / vector.norm())
    assert error < 2 * tolerance
    assert len(count) < 250


class Operator:
    def __init__(self, matrix):
        self.apply = lambda x: x @ matrix.T


def test_combinations_of_all_functions():
    """``exp(z) y + h (phi_1(z) - 2 phi_3(z)) N_1 + h phi_2(z/2) N_2``, with vectors of very different sizes."""
    matrix = 3 * random(20, 20, seed=3)
    y, first, second = 1e-6 * random(20), random(20, seed=4), 1e5 * random(20, seed=5)
    row = (term(1) + term(3, weight=-2), term(2, c="1/2"))
    sums = KrylovSums(Operator(matrix), Krylov(1e-12), 0.1)
    found = sums.combined(1, row, y, [first, second])
    whole, half = matrix_phis(0.1 * matrix, 3), matrix_phis(0.05 * matrix, 3)
    exact = whole[0] @ y + 0.1 * ((whole[1] - 2 * whole[3]) @ first + half[2] @ second)
    assert torch.allclose(found, exact, rtol=1e-10)
    assert torch.allclose(sums.combined(None, row, y, [first, second]), exact - whole[0] @ y, rtol=1e-10)


def test_spaces_that_are_exhausted_at_once():
    """An eigenvector, a zero vector, one dimension, and an operator of zeros."""
    matrix = torch.diag(torch.tensor([-1.0, -2.0, -3.0], dtype=F64))
    unit = torch.tensor([0.0, 1.0, 0.0], dtype=F64)
    assert torch.allclose(exponential_times(lambda x: matrix @ x, unit, Krylov()), math.exp(-2) * unit)
    assert torch.equal(exponential_times(lambda x: matrix @ x, 0 * unit, Krylov()), 0 * unit)
    one = torch.ones(1, dtype=F64)
    assert torch.allclose(exponential_times(lambda x: -5 * x, one, Krylov()), math.exp(-5) * one)
    assert torch.allclose(exponential_times(lambda x: 0 * x, unit, Krylov()), unit)


def test_what_is_not_finite_stays_so():
    found = exponential_times(lambda x: x * math.nan, torch.ones(4, dtype=F64), Krylov())
    assert not bool(torch.isfinite(found).any())


def test_derivatives():
    matrix = (2 * random(6, 6, seed=7)).requires_grad_()
    vector = random(6, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a, v: exponential_times(lambda x: a @ x, v, Krylov(1e-13)), (matrix, vector), atol=1e-7
    )


def test_single_precision():
    matrix, vector = MATRICES["skew"].float(), random(60, seed=1).float()
    found = exponential_times(lambda x: matrix @ x, vector, Krylov())
    exact = torch.linalg.matrix_exp(matrix.double()) @ vector.double()
    assert float((found - exact).norm() / exact.norm()) < 3e-5


@pytest.mark.parametrize("bad", [{"tolerance": 0.0}, {"tolerance": 2.0}, {"largest": 1}, {"largest": 3.0}])
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Krylov(**bad)
