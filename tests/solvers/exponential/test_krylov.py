"""Products with functions of an operator: against the functions of its matrix."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.exponential.krylov import Krylov, exponential_times
from kutta.solvers.exponential.krylov_sums import KrylovSums
from kutta.solvers.exponential.phi import matrix_phis
from kutta.solvers.tableaus.exponential import _phi as term
from tests._helpers import F64, relative_error


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
        lambda a, v: exponential_times(lambda x: a @ x, v, Krylov(1e-13)), (matrix, vector), atol=1e-7, fast_mode=True
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


def second_differences(n):
    """A matrix, and an eigenvector of it."""
    return laplacian(n), torch.sin(math.pi * torch.arange(1, n + 1, dtype=F64) / (n + 1))


def ended(linear, f, y0, method=None):
    problem = kt.SplitODEProblem(linear, f, y0, (0.0, 1.0))
    return kt.solve(problem, method or kt.ETDRK4(), controller=kt.Fixed(1.0)).y1


@pytest.mark.parametrize("scale", [1.0, 1e-13, 1e-200, 1e200])
def test_small_states_without_a_remainder_keep_their_digits(scale):
    matrix, y0 = 10 * laplacian(12), scale * random(12)
    found = ended(kt.algebra.MatrixFree(lambda x: x @ matrix.T, axes=1), lambda t, y: 0 * y, y0)
    exact = torch.linalg.matrix_exp(matrix) @ (y0 / scale)
    assert float((found / scale - exact).norm() / exact.norm()) < 1e-10


@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e-24, 1e19])
def test_small_and_large_states_in_single_precision(scale):
    matrix, y0 = 10 * laplacian(12).float(), (scale * random(12)).float()
    found = ended(kt.algebra.MatrixFree(lambda x: x @ matrix.T, axes=1), lambda t, y: 0 * y, y0, kt.ETDRK2())
    exact = torch.linalg.matrix_exp(matrix.double()) @ y0.double()
    assert float((found - exact).norm() / scale) < 1e-4 * float(exact.norm() / scale)


REMAINDERS = {"none": lambda t, y: 0 * y, "cubic": lambda t, y: -(y**3), "linear": lambda t, y: 0.1 * y}


@pytest.mark.parametrize("kind", REMAINDERS)
@pytest.mark.parametrize("start", ["eigenvector", "any"])
@pytest.mark.parametrize("method", [kt.ETD1(), kt.ETDRK4()], ids=["ETD1", "ETDRK4"])
def test_derivatives_where_the_space_is_invariant(kind, start, method):
    matrix, eigenvector = second_differences(6)
    y0 = eigenvector if start == "eigenvector" else random(6)

    def loss(written_out, matrix, y0):
        linear = matrix if written_out else kt.algebra.MatrixFree(lambda x: x @ matrix.mT, axes=1)
        return ended(linear, REMAINDERS[kind], y0, method).pow(3).sum()

    for transform in (
        lambda f: torch.func.grad(f, (0, 1))(matrix, y0),
        lambda f: torch.func.jvp(f, (matrix, y0), (random(6, 6, seed=5), random(6, seed=6))),
    ):
        wanted, found = (transform(lambda m, y, w=w: loss(w, m, y)) for w in (True, False))
        for one, other in zip(found, wanted, strict=True):
            assert relative_error(one, other) < 1e-10


@pytest.mark.parametrize("largest", [6, 40])
def test_derivatives_when_the_way_is_gone_in_parts(largest):
    matrix = (30 * laplacian(12)).requires_grad_()
    vector, weights = random(12, seed=8).requires_grad_(), random(12, seed=9)
    krylov = Krylov(1e-13, largest)
    found = torch.autograd.grad(exponential_times(lambda x: matrix @ x, vector, krylov) @ weights, (matrix, vector))
    wanted = torch.autograd.grad((torch.linalg.matrix_exp(matrix) @ vector) @ weights, (matrix, vector))
    for one, other in zip(found, wanted, strict=True):
        assert relative_error(one, other) < 1e-9


def test_derivatives_of_complex_and_of_mapped_ones():
    matrix, vector = (0.1 + 1j) * laplacian(3).to(torch.complex128), random(3, dtype=torch.complex128)
    assert torch.autograd.gradcheck(
        lambda a, v: exponential_times(lambda x: a @ x, v, Krylov(1e-13)),
        (matrix.requires_grad_(), vector.requires_grad_()),
        check_forward_ad=True,
        atol=1e-7,
    )
    real, vectors = laplacian(8), random(3, 8)

    def slope(function):
        return torch.func.vmap(torch.func.grad(lambda v: (function(v) ** 2).sum()))(vectors)

    found = slope(lambda v: exponential_times(lambda x: real @ x, v, Krylov(1e-13)))
    assert relative_error(found, slope(lambda v: torch.linalg.matrix_exp(real) @ v)) < 1e-10


def test_second_derivatives_are_refused():
    matrix, eigenvector = second_differences(8)
    for leaf in (matrix.requires_grad_(), eigenvector.requires_grad_()):
        end = exponential_times(lambda x: matrix @ x, eigenvector, Krylov())
        (first,) = torch.autograd.grad(end.pow(2).sum(), leaf, create_graph=True)
        with pytest.raises(NotImplementedError, match="give the linear part as a matrix"):
            torch.autograd.grad(first.sum(), leaf)
