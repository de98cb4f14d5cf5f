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
