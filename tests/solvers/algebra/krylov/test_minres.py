"""Minimal residuals for symmetric operators, definite or not."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import definite, exact, indefinite, random, solved, with_spectrum


@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex64, torch.complex128], ids=str)
def test_indefinite_systems(dtype):
    spread = torch.cat([torch.linspace(-3, -1, 15), torch.linspace(1, 4, 15)]).double()
    phase = torch.polar(torch.ones(30, dtype=F64), torch.arange(30.0).double()) if dtype.is_complex else torch.ones(30)
    matrix = (phase[:, None] * with_spectrum(spread) * phase.conj()).to(dtype)
    b = random(3, 30, dtype=dtype)
    sol = solved(kt.algebra.Dense(matrix, symmetric=True), b, kt.MINRES())
    assert sol.y1.dtype == dtype and relative_error(sol.y1, exact(matrix, b)) < 1e-4


def test_iterations_are_the_different_eigenvalues():
    matrix = with_spectrum(tensor(-2.0, -1.0, 1.0, 3.0).repeat(8))
    sol = solved(kt.algebra.Dense(matrix, symmetric=True), random(2, 32), kt.MINRES(), rtol=1e-10)
    assert sol.stats.steps.tolist() == [4, 4]


def test_each_residual_is_the_smallest_of_its_krylov_space():
    matrix, b = indefinite(12), random(12)
    powers = [b]
    for k in range(1, 12):
        sol = solved(kt.algebra.Dense(matrix, symmetric=True), b, kt.MINRES(), rtol=1e-15, max_steps=k, throw=False)
        space = torch.linalg.qr(torch.stack(powers, -1))[0]
        best = torch.linalg.lstsq(matrix @ space, b[:, None]).solution
        smallest = float((b - (matrix @ space @ best)[:, 0]).norm())
        assert sol.stats.residual_norms == pytest.approx(smallest, rel=1e-6)
        powers.append(matrix @ powers[-1] / powers[-1].norm())


def test_what_it_knows_of_the_residual_is_true():
    # It takes no further product to end: one begins, and one looks at what came out.
    calls = []
    matrix = indefinite(30)

    def function(x):
        calls.append(1)
        return x @ matrix.mT

    operator = kt.algebra.MatrixFree(function, axes=1, symmetric=True)
    sol = solved(operator, random(30), kt.MINRES(kt.algebra.Diagonal(1.0 + random(30).abs())), rtol=1e-6)
    assert len(calls) <= sol.stats.steps + 2


def test_preconditioners_must_be_positive():
    operator, b = kt.algebra.Dense(indefinite(30), symmetric=True), random(30)
    good = kt.algebra.Diagonal(1.0 + random(30).abs())
    assert relative_error(solved(operator, b, kt.MINRES(good), rtol=1e-10).y1, exact(operator.matrix, b)) < 1e-8
    bad = kt.algebra.Diagonal(tensor(-1.0).repeat(30))
    assert solved(operator, b, kt.MINRES(bad), throw=False).result is kt.Result.INDEFINITE


def test_systems_of_a_batch_end_on_their_own():
    matrices = torch.stack([torch.eye(20, dtype=F64), definite(20), indefinite(20)])
    b = random(3, 20)
    whole = solved(kt.algebra.Dense(matrices, symmetric=True), b, kt.MINRES(), rtol=1e-8)
    steps = whole.stats.steps.tolist()
    assert steps[0] == 1 < steps[1] < steps[2]
    for place in range(3):
        alone = solved(kt.algebra.Dense(matrices[place], symmetric=True), b[place], kt.MINRES(), rtol=1e-8)
        assert alone.stats.steps == steps[place]
        torch.testing.assert_close(alone.y1, whole.y1[place], rtol=1e-9, atol=1e-9)


def test_singular_systems():
    matrix = with_spectrum(tensor(0.0, 0.0, *torch.linspace(1.0, 2.0, 18).tolist()))
    operator, inside = kt.algebra.Dense(matrix, symmetric=True), matrix @ random(20)
    assert relative_error(matrix @ solved(operator, inside, kt.MINRES(), rtol=1e-10).y1, inside) < 1e-9
    outside = random(20)
    sol = solved(operator, outside, kt.MINRES(), max_steps=100, throw=False)
    assert sol.result is kt.Result.SINGULAR and bool(torch.isfinite(sol.y1).all())
    # It stops at the least squares.
    least = float((outside - matrix @ (torch.linalg.pinv(matrix, rtol=1e-10) @ outside)).norm())
    assert least * (1 - 1e-9) <= sol.stats.residual_norms < (1 + 1e-9) * least


def test_other_operators_are_refused():
    with pytest.raises(ValueError, match="MINRES needs a symmetric operator"):
        solved(definite(5), random(5), kt.MINRES())
