"""Sketch and project: systems with known solutions, and what it does in the mean."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor


def system(n, dtype=F64, batch=(3,)):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(*batch, n, n, dtype=dtype, generator=generator)
    matrix = 3.0 * torch.eye(n, dtype=dtype) + 0.5 / n**0.5 * noise
    x = torch.randn(*batch, n, dtype=dtype, generator=generator)
    return matrix, x, (matrix @ x.unsqueeze(-1)).squeeze(-1)


@pytest.mark.parametrize("kind", ["gaussian", "rows"])
@pytest.mark.parametrize("size", [1, 8, 200])
@pytest.mark.parametrize("dtype", [F64, torch.complex128])
def test_systems_that_are_not_symmetric(kind, size, dtype):
    matrix, x, b = system(30, dtype)
    sol = kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(size, kind), rtol=1e-11)
    assert relative_error(sol.y1, x) < 1e-10


def test_more_unknowns_than_are_written_out_by_products_only():
    matrix, x, b = system(70)
    operator = kt.algebra.MatrixFree(lambda v: (matrix @ v.unsqueeze(-1)).squeeze(-1), axes=1)
    assert relative_error(kt.solve(kt.LinearProblem(operator, b), kt.Sketch(16), rtol=1e-11).y1, x) < 1e-10


def test_kaczmarz_fulfils_one_equation_after_the_other_as_fast_as_foretold():
    # In the mean |x - x*|^2 falls by 1 - sigma_min^2 / |A|_F^2 in each projection, for rows of equal norms.
    matrix, x, b = system(20, batch=())
    matrix, b = matrix / matrix.norm(dim=1, keepdim=True), b / matrix.norm(dim=1)
    rate = 1.0 - float(torch.linalg.matrix_norm(matrix, -2)) ** 2 / 20.0
    left = []
    for seed in range(20):
        sol = kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(1, "rows", seed), rtol=0.0, max_steps=2, throw=False)
        left.append(float((sol.y1 - x).square().sum()))
    mean = sum(left) / len(left) / float(x.square().sum())
    assert mean < rate**128


def test_the_same_seed_gives_the_same_and_a_batch_the_same_as_its_systems():
    matrix, _, b = system(10)
    together = kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(3), rtol=1e-8).y1
    assert torch.equal(together, kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(3), rtol=1e-8).y1)
    assert not torch.equal(together, kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(3, seed=1), rtol=1e-8).y1)
    alone = kt.solve(kt.LinearProblem(matrix[1], b[1]), kt.Sketch(3), rtol=1e-8).y1
    torch.testing.assert_close(together[1], alone, rtol=1e-12, atol=1e-14)


def test_systems_without_a_solution_and_nan_do_no_harm_to_others():
    matrix = torch.stack([torch.eye(2, dtype=F64), tensor(1.0, 2.0, 2.0, 4.0).reshape(2, 2), torch.eye(2, dtype=F64)])
    b = torch.stack([tensor(1.0, 2.0), tensor(1.0, 0.0), tensor(float("nan"), 1.0)])
    sol = kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(1), max_steps=20, throw=False)
    assert [one.name for one in sol.result] == ["SUCCESS", "MAX_STEPS", "NON_FINITE"]
    torch.testing.assert_close(sol.y1[0], b[0], rtol=1e-5, atol=1e-5)


def test_derivatives_by_the_implicit_rule():
    matrix, _, b = system(5, batch=())
    matrix.requires_grad_()

    def solved(matrix):
        return kt.solve(kt.LinearProblem(matrix, b), kt.Sketch(2), rtol=1e-13).y1

    assert torch.autograd.gradcheck(solved, (matrix,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be a positive whole number; got 0"),
        ({"size": True}, "size must be a positive whole number; got True"),
        ({"kind": "columns"}, "kind must be one of 'gaussian', 'rows'; got 'columns'"),
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        kt.Sketch(**options)
