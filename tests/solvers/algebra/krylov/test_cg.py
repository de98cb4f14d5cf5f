"""Conjugate gradients: finite termination, bounds by the spectrum, and what is not definite."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error
from tests.solvers.algebra._systems import (
    definite,
    exact,
    indefinite,
    poisson,
    random,
    solved,
    with_spectrum,
)


@pytest.mark.parametrize("n", [1, 2, 7, 40, 101])
def test_it_ends_after_as_many_iterations_as_there_are_eigenvalues_in_play(n):
    # A symmetric right-hand side has parts in every second eigenvector of the Laplacian only.
    free = kt.algebra.MatrixFree(poisson, axes=1, definite=True)
    assert solved(free, torch.ones(n, dtype=F64), kt.CG(), rtol=1e-10).stats.steps == (n + 1) // 2
    lopsided = torch.nn.functional.one_hot(torch.tensor(0), n).double()
    assert solved(free, lopsided, kt.CG(), rtol=1e-10).stats.steps == n


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_spectrum_of_few_points_takes_few_iterations(count):
    eigenvalues = torch.linspace(1.0, 3.0, count, dtype=F64).repeat(20)
    matrix, b = with_spectrum(eigenvalues), random(4, 20 * count)
    sol = solved(kt.algebra.Dense(matrix, definite=True), b, kt.CG(), rtol=1e-10)
    assert sol.stats.steps.tolist() == [count] * 4
    assert relative_error(sol.y1, exact(matrix, b)) < 1e-9


@pytest.mark.parametrize("condition", [10.0, 100.0, 1000.0])
def test_the_bound_by_the_condition_number(condition):
    n, steps = 200, 20
    matrix, b = with_spectrum(torch.linspace(1.0, condition, n, dtype=F64)), random(n)
    found = solved(kt.algebra.Dense(matrix, definite=True), b, kt.CG(), rtol=1e-14, max_steps=steps, throw=False)
    assert found.result is kt.Result.MAX_STEPS and found.stats.steps == steps
    x = exact(matrix, b)
    error = found.y1 - x
    reduction = math.sqrt(float(error @ matrix @ error) / float(x @ matrix @ x))
    root = math.sqrt(condition)
    bound = 2.0 * ((root - 1.0) / (root + 1.0)) ** steps
    assert 1e-4 * bound < reduction < bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.complex128], ids=str)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_solutions_of_both_signs(dtype, sign):
    matrix, b = sign * definite(30, dtype=dtype), random(3, 30, dtype=dtype)
    sol = solved(kt.algebra.Dense(matrix, definite=True), b, kt.CG())
    assert sol.y1.dtype == dtype and relative_error(sol.y1, exact(matrix, b)) < 1e-4


def test_systems_of_a_batch_end_on_their_own():
    spectra = [torch.linspace(1.0, 1.0 + spread, 40, dtype=F64) for spread in (0.0, 1.0, 100.0)]
    matrices = torch.stack([with_spectrum(one) for one in spectra])
    b = random(3, 40)
    whole = solved(kt.algebra.Dense(matrices, definite=True), b, kt.CG(), rtol=1e-8)
    steps = whole.stats.steps.tolist()
    assert steps[0] == 1 < steps[1] < steps[2]
    for place in range(3):
        alone = solved(kt.algebra.Dense(matrices[place], definite=True), b[place], kt.CG(), rtol=1e-8)
        assert alone.stats.steps == steps[place]
        torch.testing.assert_close(alone.y1, whole.y1[place], rtol=1e-11, atol=1e-11)


def test_preconditioners():
    scale = torch.logspace(0, 6, 60, dtype=F64)
    matrix = scale[:, None].sqrt() * (definite(60) * scale.sqrt())
    operator, b = kt.algebra.Dense(matrix, definite=True), random(2, 60)
    plain = solved(operator, b, kt.CG(), rtol=1e-8, throw=False)
    jacobi = kt.algebra.Diagonal(1.0 / torch.diagonal(matrix), definite=True)
    for given in (jacobi, jacobi.apply, -jacobi, kt.SOR(symmetric=True), kt.Cholesky()):
        sol = solved(operator, b, kt.CG(given), rtol=1e-8)
        assert relative_error(sol.y1, exact(matrix, b)) < 1e-5
        assert int(sol.stats.steps.max()) < 0.25 * int(plain.stats.steps.max())


def test_other_spectra_are_named():
    b = random(20)
    assert solved(kt.algebra.Dense(indefinite(20), definite=True), b, kt.CG(), throw=False).result is (
        kt.Result.INDEFINITE
    )
    with pytest.raises(ValueError, match=r"CG needs a symmetric operator.*symmetric=True, or use kutta.GMRES"):
        solved(definite(20), b, kt.CG())


def test_a_singular_system_that_has_a_solution_and_one_that_has_none():
    def neumann(u):
        padded = torch.cat([u[..., :1], u, u[..., -1:]], -1)
        return 2.0 * u - padded[..., 2:] - padded[..., :-2]

    operator, b = kt.algebra.MatrixFree(neumann, axes=1, definite=True), random(30)
    b = b - b.mean()
    found = solved(operator, b, kt.CG(), rtol=1e-10).y1
    assert relative_error(neumann(found), b) < 1e-9
    sol = solved(operator, b + 1.0, kt.CG(), max_steps=500, throw=False)
    assert sol.result.failed and bool(torch.isfinite(sol.y1).all())
