"""``solve`` of a `LinearProblem`: what may be given, what comes out, and what is refused."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import definite, exact, general, poisson, random, solved

B = random(4)
FREE = kt.algebra.MatrixFree(poisson, axes=1, definite=True)


def test_matrices_of_all_kinds_are_operators():
    matrix = general(4)
    for given in (matrix, matrix.to_sparse_coo(), kt.algebra.Dense(matrix), matrix.numpy(), matrix.tolist()):
        b = B.float() if isinstance(given, list) else B
        assert relative_error(solved(given, b).y1.double(), exact(matrix, B)) < 1e-4


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("dtype", [torch.float32, F64, torch.complex128])
def test_sparse_matrices_of_scipy_keep_their_dtype(layout, dtype):
    matrix, b = general(4, dtype=dtype), random(4, dtype=dtype)
    matrix[0, 2] = 0.0
    sol = solved(scipy.sparse.csr_array(matrix.numpy()).asformat(layout), b, kt.GMRES(), rtol=1e-6)
    assert sol.y1.dtype == dtype and relative_error(sol.y1, exact(matrix, b)) < 1e-5


def test_a_sparse_matrix_of_scipy_is_left_as_it_is():
    twice = scipy.sparse.csr_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    before = twice.data.copy()
    x = solved(twice, tensor(6.0, 8.0), rtol=1e-12).y1
    torch.testing.assert_close(x, tensor(2.0, 2.0))
    x.zero_()
    assert twice.nnz == 3 and (twice.data == before).all()


def test_numbers_and_arrays_are_right_hand_sides():
    assert solved([[2.0, 0.0], [0.0, 4.0]], [2.0, 2.0]).y1.tolist() == [1.0, 0.5]
    assert solved(np.diag([2.0, 4.0]), np.array([2.0, 2.0])).y1.dtype == F64


def test_the_solution():
    one, many = solved(FREE, B, rtol=1e-9), solved(FREE, random(2, 3, 4), rtol=1e-9)
    assert one.result is kt.Result.SUCCESS and not one.result.failed
    assert one.ys.shape == (1, 4) and torch.equal(one.ys[0], one.y1)
    assert (one.stats.steps, one.stats.accepted, one.stats.linear_solves) == (4, 4, 1)
    assert isinstance(one.stats.residual_norms, float) and one.stats.residual_norms <= 1e-9 * float(B.norm())
    assert many.y1.shape == (2, 3, 4) and many.stats.steps.shape == many.stats.residual_norms.shape == (2, 3)
    assert many.stats.linear_solves.tolist() == [[1, 1, 1]] * 2
    assert len(many.result) == 6 and not bool(many.result.failed.any())
    assert one.stats.engine == "eager"


def test_the_right_hand_side_is_left_as_it_is():
    b, guess = random(3, 4), random(3, 4, seed=1)
    before, guessed = b.clone(), guess.clone()
    for method in (kt.CG(), kt.MINRES(), kt.GMRES(), kt.BiCGSTAB(), kt.SOR()):
        kt.solve(kt.LinearProblem(FREE, b, guess), method)
    solved(FREE, b, kt.LU())
    assert torch.equal(b, before) and torch.equal(guess, guessed)


def test_progress(capsys):
    pytest.importorskip("tqdm")
    solved(FREE, random(4), kt.CG(), progress=True, rtol=1e-10)
    assert "100%" in capsys.readouterr().err


def test_autocast_does_not_coarsen_a_solve():
    with torch.autocast("cpu", torch.bfloat16):
        sol = solved(definite(8, dtype=torch.float32), random(8, dtype=torch.float32), kt.LU())
    assert sol.y1.dtype == torch.float32 and sol.stats.residual_norms < 1e-5


def test_modes_of_autograd():
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            for method in (kt.CG(), kt.LU(), kt.GMRES(kt.LU())):
                assert relative_error(poisson(solved(FREE, random(4), method).y1), random(4)) < 1e-4


def test_errors_can_be_sent():
    with pytest.raises(kt.SolveError) as caught:
        solved(FREE, random(3, 4), kt.CG(), max_steps=1)
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is kt.LinearSolveError and str(error) == str(caught.value)
    assert error.advice == caught.value.advice and error.advice in str(error)
    assert (error.result, error.trajectory, error.iterations, error.failures) == (kt.Result.MAX_STEPS, 0, 1, 3)
    assert caught.value.solution.y1.shape == (3, 4) and error.residual == caught.value.residual > 0.0


@pytest.mark.parametrize(
    "operator, b, method, options, error, message",
    [
        (general(4), random(5), None, {}, ValueError, r"acts on vectors of shape \(..., 4\); got shape \(5,\)"),
        (general(4), B.float(), None, {}, TypeError, "dtype torch.float64 and cannot act on torch.float32"),
        (general(4), torch.ones(4).int(), None, {}, TypeError, "b must have a floating-point or complex dtype"),
        (general(4), torch.tensor(1.0), None, {}, ValueError, "b must be a state with at least one axis"),
        (FREE, torch.ones(0), None, {}, ValueError, "at least one axis and one entry"),
        (general(4), "b", None, {}, TypeError, "b must be a tensor; got str"),
        (poisson, B, None, {}, TypeError, r"got a function: write MatrixFree\(function\)"),
        ("A", B, None, {}, TypeError, "operator must be a matrix or a linear operator"),
        (scipy.sparse.eye(4, dtype=int), B, None, {}, TypeError, "a floating-point or complex dtype; got torch.int64"),
        (scipy.sparse.eye(4, dtype=np.longdouble), B, None, {}, TypeError, "a dtype that PyTorch knows; got"),
        (scipy.sparse.eye(4, 3), B, None, {}, ValueError, r"matrix must be square.*\(4, 3\)"),
        (random(4, 3), B, None, {}, ValueError, r"matrix must be square.*\(4, 3\)"),
        (random(2, 4, 4), random(3, 4), None, {}, ValueError, r"batch of the operator, \(2,\).*\(3, 4\)"),
        (kt.algebra.MatrixFree(poisson, axes=2), B, None, {}, ValueError, "axes=2 axes"),
        (kt.algebra.MatrixFree(torch.sum), B, None, {}, ValueError, "function must return a tensor such as"),
        (FREE, B, kt.CG, {}, TypeError, r"write CG\(\) with its parentheses"),
        (FREE, B, kt.Tsit5(), {}, TypeError, "must be such as kutta.CG"),
        (FREE, B, "cg", {}, TypeError, "must be such as kutta.CG"),
        (FREE, B, None, {"rtol": -1.0}, ValueError, "rtol must be a number of at least 0"),
        (FREE, B, None, {"atol": tensor(1.0, 2.0)}, ValueError, "atol must be a number of at least 0"),
        (FREE, B, None, {"max_steps": 0}, ValueError, "max_steps must be a positive whole number"),
        (FREE, B, None, {"dt0": 0.1}, ValueError, "dt0 means nothing to CG and linear systems; leave it out"),
        (FREE, B, None, {"save_at": "steps"}, ValueError, "save_at means nothing"),
        (FREE, B, kt.LU(), {"rtol": 1e-9}, ValueError, "rtol means nothing to LU, which solves without iterations"),
        (FREE, B, None, {"engine": kt.Compiled()}, NotImplementedError, "Compiled.*got a LinearProblem"),
        (FREE, B, None, {"engine": kt.Kernel()}, NotImplementedError, "Kernel.*got a LinearProblem"),
    ],
)
def test_what_does_not_fit_is_refused(operator, b, method, options, error, message):
    with pytest.raises(error, match=message):
        solved(operator, b, method, **options)


def test_guesses_are_checked():
    for guess, error, message in (
        (random(5), ValueError, r"guess must have the shape of b, \(4,\)"),
        (B.float(), TypeError, "guess must have the dtype of b"),
    ):
        with pytest.raises(error, match=message):
            kt.solve(kt.LinearProblem(FREE, B, guess), kt.CG())
    with pytest.raises(ValueError, match="guess means nothing to LU"):
        kt.solve(kt.LinearProblem(FREE, B, B), kt.LU())


def test_linear_methods_are_for_linear_problems():
    with pytest.raises(TypeError, match="CG is for a LinearProblem"):
        kt.solve(kt.ODEProblem(lambda t, y: y, torch.ones(1), (0.0, 1.0)), kt.CG())


def test_a_preconditioner_or_an_operator_that_changes_the_dtype_is_refused():
    symbols = torch.ones(3, dtype=F64)
    operator = kt.algebra.Diagonal(symbols, torch.fft.rfft, lambda u: torch.fft.irfft(u, 4), axes=1)
    fine = kt.algebra.MatrixFree(lambda x: 2.0 * x, axes=1)
    for one, method in ((operator, None), (operator, kt.GMRES()), (operator, kt.LU()), (fine, kt.GMRES(operator))):
        with pytest.raises(TypeError, match=r"turns torch.float32 .*into torch.float64"):
            solved(one, torch.ones(4), method)
