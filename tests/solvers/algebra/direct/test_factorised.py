"""LU and Cholesky against torch.linalg, and what they refuse."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import definite, exact, general, laplacian, poisson, random, solved

DTYPES = [torch.float32, F64, torch.complex64, torch.complex128]


def tolerance(dtype):
    return 1e-4 if dtype in (torch.float32, torch.complex64) else 1e-12


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("method, make", [(kt.LU(), general), (kt.Cholesky(), definite)], ids=["LU", "Cholesky"])
def test_solutions(method, make, dtype):
    one, many = make(12, dtype=dtype), torch.stack([make(12, seed=seed, dtype=dtype) for seed in range(3)])
    for matrix, b in (
        (one, random(12, dtype=dtype)),
        (one, random(2, 3, 12, dtype=dtype)),
        (many, random(3, 12, dtype=dtype)),
        (many, random(2, 3, 12, dtype=dtype)),
        (many, random(12, dtype=dtype)),
    ):
        sol = solved(matrix, b, method)
        wanted = exact(matrix, b.expand(*torch.broadcast_shapes(b.shape, (*matrix.shape[:-2], 12))))
        assert sol.y1.shape == wanted.shape and sol.y1.dtype == dtype
        assert relative_error(sol.y1, wanted) < tolerance(dtype)


def test_what_the_solution_says():
    one = solved(general(5), random(5), kt.LU())
    assert one.result is kt.Result.SUCCESS and one.stats.steps == 0 and one.stats.linear_solves == 1
    assert isinstance(one.stats.residual_norms, float) and one.stats.residual_norms < 1e-12
    assert torch.equal(one.ys[-1], one.y1) and one.ys.shape == (1, 5)
    many = solved(general(5), random(2, 3, 5), kt.LU())
    assert many.stats.steps.shape == many.stats.residual_norms.shape == (2, 3)
    assert list(many.result) == [kt.Result.SUCCESS] * 6


def test_cholesky_takes_negative_definite_matrices_and_names_others():
    mixed = torch.stack([definite(6), -definite(6), torch.diag(tensor(1.0, -1.0, 1.0, 1.0, 1.0, 1.0))])
    sol = solved(mixed, random(3, 6), kt.Cholesky(), throw=False)
    assert [one.name for one in sol.result] == ["SUCCESS", "SUCCESS", "INDEFINITE"]
    assert relative_error(sol.y1[:2], exact(mixed[:2], random(3, 6)[:2])) < 1e-12
    with pytest.raises(kt.LinearSolveError, match=r"INDEFINITE in system 2 .* use kutta.MINRES"):
        solved(mixed, random(3, 6), kt.Cholesky())


def test_singular_matrices_are_named():
    zero, rank_one = torch.zeros(4, 4, dtype=F64), torch.ones(4, 4, dtype=F64)
    rounded = general(4) @ torch.diag(tensor(1.0, 1.0, 1.0, 0.0)) @ general(4, 1)
    for matrix in (zero, rank_one, rounded):
        sol = solved(matrix, random(4), kt.LU(), throw=False)
        assert sol.result is kt.Result.SINGULAR
    with pytest.raises(kt.LinearSolveError, match="SINGULAR") as caught:
        solved(torch.stack([general(4), zero]), random(2, 4), kt.LU())
    assert caught.value.trajectory == 1 and caught.value.solution.result[0] is kt.Result.SUCCESS


def test_operators_are_written_out_while_they_are_small():
    b = random(2, 20)
    wanted = exact(laplacian(20).dense(b), b)
    free = kt.algebra.MatrixFree(poisson, axes=1)
    for operator in (laplacian(20), free, free.shifted(0.0, 1.0), laplacian(20) + free.shifted(0.0, 0.0)):
        assert relative_error(solved(operator, b, kt.LU()).y1, wanted) < 1e-12
    field = kt.algebra.MatrixFree(lambda u: 2.0 * u + u.mT)
    assert relative_error(field.apply(solved(field, random(4, 4), kt.LU()).y1), random(4, 4)) < 1e-12
    for method in (kt.LU(), kt.Cholesky()):
        with pytest.raises(
            ValueError, match=r"writes out operators of up to 4096 unknowns.*got a Banded operator of 5000"
        ):
            solved(laplacian(5000), torch.ones(5000, dtype=F64), method)


@pytest.mark.parametrize("where", ["b", "matrix"])
def test_what_is_not_finite_is_named_and_stays_in_its_system(where):
    matrices, b = torch.stack([general(5)] * 3), random(3, 5)
    (b if where == "b" else matrices)[1].view(-1)[2] = float("nan")
    sol = solved(matrices, b, kt.LU(), throw=False)
    assert [one.failed for one in sol.result] == [False, True, False]
    assert relative_error(sol.y1[::2], exact(matrices[::2], b[::2])) < 1e-12


def test_as_preconditioners():
    matrix, b = general(12), random(3, 12)
    near = matrix + 0.01 * general(12, 1)
    for method in (kt.GMRES(kt.LU()), kt.BiCGSTAB(kt.LU())):
        assert int(solved(matrix, b, method, rtol=1e-10).stats.steps.max()) == 1
    inverse = kt.LU().preconditioner(kt.algebra.Dense(near), b)
    assert int(solved(matrix, b, kt.GMRES(inverse), rtol=1e-10).stats.steps.max()) < 6
    torch.testing.assert_close(inverse.transposed().apply(b), exact(near.mT, b), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_less_than_single_precision_is_refused(dtype):
    bands = torch.tensor([[-1.0], [2.0], [-1.0]], dtype=dtype).expand(3, 4)
    operators = (torch.eye(4, dtype=dtype), kt.algebra.Banded(bands, (-1, 0, 1)), kt.algebra.Diagonal(bands[1]))
    for operator in operators:
        with pytest.raises(TypeError, match=r"solves in single or double precision; got b of torch"):
            solved(operator, torch.ones(4, dtype=dtype))


def test_jacobians_of_mapped_systems():
    matrices, sides = general(4).expand(3, 4, 4) + random(3, 4, 4) / 10.0, random(3, 4)

    def solution(matrix, b):
        return kt.solve(kt.LinearProblem(matrix, torch.sin(b)), kt.LU()).y1

    found = torch.func.vmap(torch.func.jacrev(solution, argnums=1))(matrices, sides)
    wanted = torch.linalg.inv(matrices) * torch.cos(sides)[:, None, :]
    assert relative_error(found, wanted) < 1e-12
