"""The method taken when none is named, by the structure of the operator."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error
from tests.solvers.algebra._systems import definite, exact, general, indefinite, laplacian, poisson, random, solved

EYE = torch.eye(6, dtype=F64)
ALGEBRA = kt.algebra
SPARSE = EYE.to_sparse_coo()


@pytest.mark.parametrize(
    "operator, method",
    [
        (ALGEBRA.Dense(general(6)), kt.LU),
        (ALGEBRA.Dense(indefinite(6), symmetric=True), kt.LU),
        (ALGEBRA.Dense(definite(6), definite=True), kt.Cholesky),
        (laplacian(6), kt.CyclicReduction),
        (ALGEBRA.Diagonal(1.0 + random(6).abs()), ALGEBRA.ExactInverse),
        (ALGEBRA.Sparse(SPARSE), kt.GMRES),
        (ALGEBRA.Sparse(SPARSE, symmetric=True), kt.MINRES),
        (ALGEBRA.Sparse(SPARSE, definite=True), kt.CG),
        (ALGEBRA.MatrixFree(poisson, axes=1), kt.GMRES),
        (ALGEBRA.MatrixFree(poisson, axes=1, definite=True), kt.CG),
        (ALGEBRA.MatrixFree(poisson, axes=1, definite=True).shifted(1.0, 0.1), kt.MINRES),
        (laplacian(6) + ALGEBRA.Dense(EYE), kt.GMRES),
    ],
)
def test_it_suits_the_operator_and_solves(operator, method):
    assert type(kt.algebra.default_method(operator)) is method
    b = random(2, 6)
    assert relative_error(solved(operator, b).y1, exact(operator.dense(b), b)) < 1e-4


def banded(main, side, n=6, dtype=F64):
    rows = [torch.full((n,), value, dtype=dtype) for value in (side, main, side)]
    return ALGEBRA.Banded(torch.stack(rows), (-1, 0, 1))


@pytest.mark.parametrize(
    "operator, method",
    [
        (banded(2.0, -1.0), kt.CyclicReduction),
        (banded(0.9, -1.0), kt.CyclicReduction),  # does not dominate, and is no trouble
        (banded(0.0, -1.0), kt.LU),
        (banded(1e-30, -1.0), kt.LU),
        (ALGEBRA.Banded(torch.ones(2, 6, dtype=F64), (-1, 1)), kt.LU),
        (ALGEBRA.Banded(torch.stack([banded(0.0, 1.0).diagonals, banded(2.0, 1.0).diagonals]), (-1, 0, 1)), kt.LU),
        (banded(0.0, 1.0, n=4098), kt.CyclicReduction),  # too large to be written out
    ],
)
def test_banded_matrices_that_need_pivots_get_them(operator, method):
    assert type(kt.algebra.default_method(operator)) is method
    b = random(2, operator.diagonals.shape[-1])
    if b.shape[-1] == 6:
        assert relative_error(solved(operator, b).y1, exact(operator.dense(b), b)) < 1e-13
    else:
        with pytest.raises(kt.LinearSolveError, match=r"SINGULAR.*or kutta.GMRES\(\) instead of kutta.CyclicReduction"):
            solved(operator, b)


def test_the_choice_for_a_banded_matrix_can_be_mapped_and_differentiated():
    bands, b = torch.stack([banded(0.0, 1.0).diagonals, banded(2.5, 1.0).diagonals]), random(2, 6)

    def solution(bands, b):
        return solved(ALGEBRA.Banded(bands, (-1, 0, 1)), b).y1

    found = torch.func.vmap(solution)(bands, b)
    assert relative_error(found, exact(ALGEBRA.Banded(bands, (-1, 0, 1)).dense(b), b)) < 1e-13
    assert torch.autograd.gradcheck(solution, (bands.requires_grad_(), b.requires_grad_()), check_forward_ad=True)
