"""Chains of blocks: what dense matrices give, for any number of blocks, and what does not fit."""

import pytest
import torch

import kutta as kt
from kutta.solvers.algebra.nonlinear.block_chain import BlockChain
from tests._helpers import F64, relative_error

METHODS = [kt.LevenbergMarquardt(), kt.LevenbergMarquardt(1e-2), kt.Dogleg(), kt.GaussNewton()]


def chain(blocks, rows=4, size=3, links=2, problems=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    own = torch.randn(problems, blocks, rows, size, generator=generator, dtype=F64)
    return BlockChain(own, torch.randn(problems, blocks - 1, links, 2, size, generator=generator, dtype=F64))


def posed(jacobian, dense):
    """``tanh(A x) + A x / 2 - b`` with a chain ``A``."""
    matrix = jacobian.dense()
    b = torch.randn(matrix.shape[:2], generator=torch.Generator().manual_seed(1), dtype=F64)

    def residual(x):
        image = (matrix @ x[..., None]).squeeze(-1)
        return torch.tanh(image) + 0.5 * image - b

    def slope(x):
        image = (matrix @ x[..., None]).squeeze(-1)
        scale = 1.5 - torch.tanh(image).square()
        if dense:
            return scale[..., None] * matrix
        count, rows = jacobian.own.shape[1:3]
        of_own, of_links = scale.split([count * rows, scale.shape[1] - count * rows], 1)
        own = jacobian.own * of_own.reshape(*jacobian.own.shape[:3], 1)
        return BlockChain(own, jacobian.between * of_links.reshape(*jacobian.between.shape[:3], 1, 1))

    x0 = torch.zeros(len(matrix), matrix.shape[2], dtype=F64)
    return kt.LeastSquaresProblem(residual, x0, batched=True, jacobian=slope)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("blocks", [1, 2, 7])
def test_it_is_what_a_dense_matrix_gives(method, blocks):
    jacobian = chain(blocks)
    one, other = (kt.solve(posed(jacobian, dense), method, rtol=1e-10) for dense in (False, True))
    assert one.stats.steps.tolist() == other.stats.steps.tolist()
    torch.testing.assert_close(one.y1, other.y1, rtol=1e-9, atol=1e-12)


def test_its_products_are_those_of_the_matrix():
    jacobian = chain(5)
    matrix = jacobian.dense()
    assert jacobian.shape == tuple(matrix.shape)
    r = torch.randn(matrix.shape[:2], generator=torch.Generator().manual_seed(3), dtype=F64)
    assert relative_error(jacobian.pulled(r), (matrix.mT @ r[..., None]).squeeze(-1)) < 1e-14
    own, below = jacobian.products()
    gram = (matrix.mT @ matrix).unflatten(2, (5, 3)).unflatten(1, (5, 3))
    for k in range(5):
        assert relative_error(own[:, k], gram[:, k, :, k]) < 1e-13
        if k < 4:
            assert relative_error(below[:, k], gram[:, k + 1, :, k]) < 1e-13
    assert float(gram[:, 0, :, 2:].abs().max()) == 0.0


def test_a_singular_problem_does_the_others_no_harm():
    jacobian = chain(3)
    jacobian.own[0, 1], jacobian.between[0] = 0.0, 0.0
    sol = kt.solve(posed(jacobian, False), kt.GaussNewton(), throw=False)
    alone = kt.solve(posed(chain(3), False), kt.GaussNewton())
    torch.testing.assert_close(sol.y1[1], alone.y1[1], rtol=1e-10, atol=0.0)
    assert sol.result.codes[1] == 0


def test_derivatives_and_a_problem_without_a_batch():
    def fitted(data):
        def residual(x, data):
            return torch.cat([x - data, x.diff()])

        def jacobian(x, data):
            links = torch.tensor([-1.0, 1.0], dtype=F64).expand(3, 1, 2)[..., None]
            return BlockChain(torch.ones(4, 1, 1, dtype=F64), links)

        zero = torch.zeros(4, dtype=F64)
        return kt.solve(kt.LeastSquaresProblem(residual, zero, (data,), jacobian=jacobian)).y1

    data = torch.tensor([1.0, 2.0, 6.0, -1.0], dtype=F64)
    system = torch.tensor([[2.0, -1, 0, 0], [-1, 3, -1, 0], [0, -1, 3, -1], [0, 0, -1, 2]], dtype=F64)
    torch.testing.assert_close(fitted(data), torch.linalg.solve(system, data))
    torch.testing.assert_close(torch.func.jacrev(fitted)(data), torch.linalg.inv(system))


def test_what_does_not_fit():
    own = torch.zeros(3, 4, 2)
    for between in (torch.zeros(3, 1, 2, 2), torch.zeros(2, 1, 3, 2), torch.zeros(2, 1, 2), torch.zeros(1, 2, 1, 2, 2)):
        with pytest.raises(ValueError, match=r"between must have the shape \(..., 2, f, 2, 2\) beside own"):
            BlockChain(own, between)
    wrong = BlockChain(own, torch.zeros(2, 1, 2, 2))
    for problem in (
        kt.LeastSquaresProblem(lambda x: x, torch.zeros(6), jacobian=lambda x: wrong),
        kt.RootProblem(lambda x: x - 1.0, torch.zeros(6), jacobian=lambda x: wrong),
    ):
        with pytest.raises((TypeError, ValueError), match="jacobian must return"):
            kt.solve(problem)
    for lists, kind, words in (
        (([[1.0]], torch.zeros(2, 1, 2, 2)), TypeError, "own must be a tensor; got list"),
        ((own, own.double()), TypeError, r"between must be of the dtype of own, torch\.float32; got torch\.float64"),
        ((torch.zeros(3, 2), own), ValueError, r"own must have the shape \(\.\.\., K, m, N\); got \(3, 2\)"),
        (
            (own, torch.zeros(2, 1, 2, 2, device="meta")),
            ValueError,
            "between must be on the device of own, cpu; got meta",
        ),
    ):
        with pytest.raises(kind, match=words):
            BlockChain(*lists)
