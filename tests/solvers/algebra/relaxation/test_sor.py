"""Successive over-relaxation: Young's theory, every kind of matrix, and SSOR as a preconditioner."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error
from tests.solvers.algebra._systems import definite, exact, general, laplacian, random, solved


def five_point(n, shift=0.0):
    """The five-point Laplacian of ``n x n`` interior points, as a sparse matrix."""
    line = laplacian(n).dense(torch.ones(n))
    eye = torch.eye(n, dtype=F64)
    return (torch.kron(line, eye) + torch.kron(eye, line) + shift * torch.eye(n * n, dtype=F64)).to_sparse_coo()


def rate(matrix, omega, symmetric=False):
    """The spectral radius of one sweep, ``I - M^-1 A``."""
    n = matrix.shape[0]
    inverse = kt.SOR(omega, symmetric).preconditioner(kt.algebra.Dense(matrix), torch.ones(n, dtype=matrix.dtype))
    return float(torch.linalg.eigvals(torch.eye(n) - inverse.dense(torch.ones(n, dtype=F64)) @ matrix).abs().max())


@pytest.mark.parametrize("n", [5, 10])
def test_the_theory_of_consistently_ordered_matrices(n):
    matrix, beta = five_point(n).to_dense(), math.cos(math.pi / (n + 1))
    # Gauss and Seidel's method squares the radius of Jacobi's; the best relaxation has the rate omega - 1.
    assert rate(matrix, 1.0) == pytest.approx(beta**2, rel=1e-6)
    best = 1.0 + (beta / (1.0 + math.sqrt(1.0 - beta**2))) ** 2
    assert best == pytest.approx(2.0 / (1.0 + math.sqrt(1.0 - beta**2)))
    # Two eigenvalues meet there, so that rounding enters by its root.
    assert rate(matrix, best) == pytest.approx(best - 1.0, abs=1e-3)
    assert rate(matrix, best + 0.1) == pytest.approx(best + 0.1 - 1.0, rel=1e-6)


def test_iterations_by_the_relaxation():
    operator = kt.algebra.Sparse(five_point(10), definite=True)
    b = random(3, 100)
    steps = {one: solved(operator, b, kt.SOR(one), rtol=1e-8).stats.steps for one in (1.0, 1.3, 1.56, 1.9)}
    means = {omega: float(counts.double().mean()) for omega, counts in steps.items()}
    assert means[1.56] < 0.3 * means[1.0] and means[1.56] < means[1.3] < means[1.0] and means[1.56] < means[1.9]
    beta = math.cos(math.pi / 11)
    # The rate holds in the end; parts of the right-hand side that fall faster go first.
    asymptotic = math.log(1e-8) / math.log(beta**2)
    assert 0.75 * asymptotic < means[1.0] < asymptotic


@pytest.mark.parametrize("symmetric", [False, True])
def test_sparse_dense_and_other_matrices_sweep_alike(symmetric):
    method, b = kt.SOR(1.4, symmetric=symmetric), random(2, 30)
    dense = laplacian(30).dense(b) + 0.2 * torch.diag(random(30).abs())
    by_dense = kt.algebra.Dense(dense, definite=True)
    wanted = solved(by_dense, b, method, rtol=1e-9)
    for operator in (
        kt.algebra.Sparse(dense.to_sparse_coo(), definite=True),
        kt.algebra.Banded(torch.stack([torch.diagonal(dense.roll(s, 1)) for s in (1, 0, -1)]), (-1, 0, 1)),
        kt.algebra.MatrixFree(lambda x: x @ dense.mT, axes=1),
    ):
        sol = solved(operator, b, method, rtol=1e-9)
        assert sol.stats.steps.tolist() == wanted.stats.steps.tolist()
        torch.testing.assert_close(sol.y1, wanted.y1, rtol=1e-10, atol=1e-10)
        for turned in (False, True):
            one, other = (method.preconditioner(given, b) for given in (operator, by_dense))
            one, other = (one.transposed(), other.transposed()) if turned else (one, other)
            torch.testing.assert_close(one.apply(b), other.apply(b), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex128], ids=str)
def test_one_matrix_a_sample(dtype):
    matrices = torch.stack([definite(9, seed=seed, dtype=dtype) for seed in range(3)])
    for b in (random(3, 9, dtype=dtype), random(2, 3, 9, dtype=dtype), random(9, dtype=dtype)):
        sol = solved(kt.algebra.Dense(matrices, definite=True), b, kt.SOR(1.1))
        assert relative_error(sol.y1, exact(matrices, b.expand(*torch.broadcast_shapes(b.shape, (3, 9))))) < 1e-4


def test_a_sweep_is_what_the_formula_says():
    matrix, r, omega = general(6), random(6), 1.3
    d, lower, upper = torch.diag(torch.diagonal(matrix)), matrix.tril(-1), matrix.triu(1)
    forth, back = torch.linalg.inv(d / omega + lower), torch.linalg.inv(d / omega + upper)
    both = (2 - omega) / omega * back @ d @ forth
    torch.testing.assert_close(kt.SOR(omega).preconditioner(kt.algebra.Dense(matrix), r).apply(r), forth @ r)
    sweep = kt.SOR(omega, symmetric=True).preconditioner(kt.algebra.Dense(matrix), r)
    torch.testing.assert_close(sweep.apply(r), both @ r)
    torch.testing.assert_close(sweep.transposed().apply(r), both.mT @ r)
    # One sweep forth and one back.
    x = forth @ r
    torch.testing.assert_close(both @ r, x + back @ (r - matrix @ x))


def test_ssor_as_a_preconditioner_of_conjugate_gradients():
    operator = kt.algebra.Sparse(five_point(20), definite=True)
    b = random(400)
    plain = solved(operator, b, kt.CG(), rtol=1e-8)
    ssor = solved(operator, b, kt.CG(kt.SOR(1.7, symmetric=True)), rtol=1e-8)
    seidel = solved(operator, b, kt.CG(kt.SOR(1.0, symmetric=True)), rtol=1e-8)
    assert ssor.stats.steps < 0.75 * seidel.stats.steps and seidel.stats.steps < 0.75 * plain.stats.steps
    assert relative_error(ssor.y1, plain.y1) < 1e-6


def test_divergence_is_named():
    matrix = torch.tensor([[1.0, 3.0], [3.0, 1.0]], dtype=F64)
    sol = solved(matrix, torch.ones(2, dtype=F64), kt.SOR(), throw=False)
    assert sol.result is kt.Result.NON_FINITE and sol.stats.steps < 500


def test_options_are_checked():
    for omega in (0.0, 2.0, -1.0, "1", True, float("nan")):
        with pytest.raises(ValueError, match="omega must be a number between 0 and 2"):
            kt.SOR(omega)
    with pytest.raises(ValueError, match=r"SOR sweeps through.*got a Banded operator of 5000"):
        solved(laplacian(5000), torch.ones(5000, dtype=F64), kt.SOR())


def test_a_large_dense_matrix_is_written_out_already():
    matrix = torch.eye(4100) + 0.1 * torch.ones(4100).diag_embed(0).roll(1, 0)
    assert solved(matrix, torch.ones(4100), kt.SOR(), max_steps=20).result is kt.Result.SUCCESS


@pytest.mark.parametrize("method", [kt.SOR(), kt.SOR(1.2, symmetric=True), kt.GMRES(kt.SOR())], ids=repr)
def test_sparse_sweeps_can_be_mapped(method):
    matrix, b = general(5), random(3, 5)
    operator = kt.algebra.Sparse(matrix.to_sparse_coo())
    values = torch.stack([operator.values, 2.0 * operator.values, operator.values + 0.1])

    def solution(b, values=None):
        mapped = operator if values is None else kt.algebra.Sparse(matrix.to_sparse_coo(), values)
        return solved(mapped, b, method, rtol=1e-12).y1

    assert relative_error(torch.func.vmap(solution)(b), exact(matrix, b)) < 1e-11
    wanted = torch.stack([solution(*one) for one in zip(b, values, strict=True)])
    assert relative_error(torch.func.vmap(solution)(b, values), wanted) < 1e-11
    slopes = torch.func.vmap(torch.func.grad(lambda b: solution(b).sum()))(b)
    assert relative_error(slopes, exact(matrix.mT, torch.ones_like(b))) < 1e-11
    jacobian = torch.func.jacrev(solution)(b[0])
    assert relative_error(jacobian, torch.linalg.inv(matrix)) < 1e-11
