"""Cyclic reduction against dense elimination, for every width and number of unknowns."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra._systems import exact, laplacian, random, solved


def dominant(n, width, *batch, dtype=F64):
    offsets = tuple(range(-width, width + 1))
    bands = random(*batch, len(offsets), n, seed=n + width, dtype=dtype)
    bands[..., width, :] = bands.abs().sum(-2) + 1.0
    return kt.algebra.Banded(bands, offsets)


@pytest.mark.parametrize("width", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33, 100])
def test_solutions(n, width):
    operator = dominant(n, min(width, n - 1))
    b = random(2, n)
    assert relative_error(solved(operator, b, kt.CyclicReduction()).y1, exact(operator.dense(b), b)) < 1e-13
    torch.testing.assert_close(operator.apply(operator.inverse()(b)), b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.complex128], ids=str)
def test_dtypes(dtype):
    for width in (1, 2):
        operator, b = dominant(31, width, dtype=dtype), random(31, dtype=dtype)
        error = relative_error(solved(operator, b, kt.CyclicReduction()).y1, exact(operator.dense(b), b))
        assert error < (1e-13 if dtype == torch.complex128 else 1e-5)


@pytest.mark.parametrize("width", [1, 2])
def test_one_matrix_a_sample(width):
    operator = dominant(21, width, 4)
    for b in (random(4, 21), random(3, 4, 21), random(21)):
        whole = b.expand(*torch.broadcast_shapes(b.shape, (4, 21)))
        found = solved(operator, b, kt.CyclicReduction()).y1
        assert relative_error(found, exact(operator.dense(b), whole)) < 1e-13
    alone = kt.algebra.Banded(operator.diagonals[2], operator.offsets)
    b = random(4, 21)
    together = solved(operator, b, kt.CyclicReduction()).y1[2]
    torch.testing.assert_close(solved(alone, b[2], kt.CyclicReduction()).y1, together, rtol=1e-13, atol=1e-13)


def test_a_large_poisson_problem_is_exact():
    # -u'' = 2 with u = 0 at both ends is u = x (1 - x), which second differences have without error.
    n = 100_000
    h = 1.0 / (n + 1)
    x = torch.arange(1, n + 1, dtype=F64) * h
    found = solved(laplacian(n), torch.full((n,), 2.0 * h**2, dtype=F64)).y1
    assert float((found - x * (1.0 - x)).abs().max()) < 1e-6


def test_refinement_mends_and_zero_pivots_are_named():
    # The first pivots are tiny, so that elimination without exchange loses digits.
    bands = torch.stack([torch.ones(9), torch.full((9,), 1e-6), -2.0 * torch.ones(9)]).double()
    operator, b = kt.algebra.Banded(bands, (-1, 0, 1)), random(9)
    wanted = exact(operator.dense(b), b)
    once = relative_error(operator.inverse()(b), wanted)
    assert relative_error(solved(operator, b, kt.CyclicReduction()).y1, wanted) < max(1e-3 * once, 1e-11)
    swap = kt.algebra.Banded(tensor((1.0, 1.0), (1.0, 1.0)), (-1, 1))
    assert solved(swap, tensor(1.0, 2.0), kt.CyclicReduction(), throw=False).result is kt.Result.SINGULAR
    assert relative_error(solved(swap, tensor(1.0, 2.0), kt.LU()).y1, tensor(2.0, 1.0)) < 1e-15


@pytest.mark.parametrize("width", [1, 2])
def test_gradients(width):
    offsets = tuple(range(-width, width + 1))
    bands, b = dominant(7, width).diagonals, random(2, 7)

    def solution(bands, b):
        return solved(kt.algebra.Banded(bands, offsets), b, kt.CyclicReduction()).y1

    inputs = (bands.requires_grad_(), b.requires_grad_())
    assert torch.autograd.gradcheck(solution, inputs, check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(solution, inputs, fast_mode=True)


@pytest.mark.parametrize("pivot", [1e-4, 1e-8, 1e-10, 1e-12, 1e-13, 1e-14, 1e-15, 1e-16])
def test_tiny_pivots_are_mended_or_named(pivot):
    """The matrix has a condition number of 40."""
    bands = tensor((0.7,), (1.3,), (0.9,)).repeat(1, 7) * (
        1 + 0.1 * torch.cos(torch.arange(21.0).double()).reshape(3, 7)
    )
    bands[1, 2] = pivot
    operator, b = kt.algebra.Banded(bands, (-1, 0, 1)), torch.arange(1.0, 8.0).double() ** 0.5
    sol = solved(operator, b, kt.CyclicReduction(), throw=False)
    error = relative_error(sol.y1, exact(operator.dense(b), b))
    assert error < 1e-10 if sol.result is kt.Result.SUCCESS else pivot < 1e-14
    if pivot == 1e-16:
        with pytest.raises(kt.LinearSolveError, match="SINGULAR"):
            solved(operator, b, kt.CyclicReduction())
    assert relative_error(solved(operator, b).y1, exact(operator.dense(b), b)) < 1e-10  # the default exchanges rows


def test_random_matrices_without_dominance_are_solved_or_named():
    bands = random(300, 3, 15)
    bands[:, 1, 4:6] *= 10.0 ** -(16.0 * torch.rand(300, 2, generator=torch.Generator().manual_seed(1))).double()
    operator, b = kt.algebra.Banded(bands, (-1, 0, 1)), random(300, 15, seed=2)
    sol = solved(operator, b, kt.CyclicReduction(), throw=False)
    matrices = operator.dense(b)
    error = (sol.y1 - exact(matrices, b)).norm(dim=-1) / exact(matrices, b).norm(dim=-1)
    solved_ones = torch.tensor([one is kt.Result.SUCCESS for one in sol.result])
    assert bool((error < 1e-11 * torch.linalg.cond(matrices))[solved_ones].all())
    assert int(solved_ones.sum()) > 270


def test_other_operators_are_refused():
    with pytest.raises(ValueError, match=r"CyclicReduction needs a kutta.algebra.Banded operator; got a Dense"):
        solved(torch.eye(3), torch.ones(3), kt.CyclicReduction())
