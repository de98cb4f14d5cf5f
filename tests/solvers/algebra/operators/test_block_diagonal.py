"""A small matrix for each wave: apply, transposed, shifted, inverse, dense, and exponentials say the same."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.solvers.algebra._systems import random

C = 3
SHAPE = (4, 5)


def transforms():
    def forward(x):
        return torch.fft.rfftn(x, dim=(-2, -1))

    return forward, lambda x: torch.fft.irfftn(x, s=SHAPE, dim=(-2, -1))


def blocks_of_real_fields():
    """Such as any convolution has."""
    return torch.fft.rfftn(random(C, C, *SHAPE, seed=3), dim=(-2, -1))


CASES = {
    "as it is": lambda: kt.algebra.BlockDiagonal(random(C, C, *SHAPE, seed=1)),
    "in Fourier's space": lambda: kt.algebra.BlockDiagonal(blocks_of_real_fields(), *transforms()),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param](), random(2, C, *SHAPE, seed=2)


def by(matrix, x):
    return (x.reshape(len(x), -1) @ matrix.mT).reshape(x.shape)


def close(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


def test_dense_and_diagonal(case):
    operator, x = case
    matrix = operator.dense(x)
    assert operator.axes == 3 and matrix.shape == (C * 20, C * 20)
    close(operator.apply(x), by(matrix, x))
    close(operator.diagonal(x), torch.diagonal(matrix).reshape(C, *SHAPE))
    operator.check(x)


def test_transposed(case):
    operator, x = case
    turned = operator.transposed()
    close(turned.apply(x), by(operator.dense(x).mT, x))
    close(turned.transposed().apply(x), operator.apply(x))


def test_shifted_keeps_structure(case):
    operator, x = case
    moved = operator.shifted(0.7, -1.5)
    assert isinstance(moved, kt.algebra.BlockDiagonal)
    close(moved.apply(x), 0.7 * x - 1.5 * operator.apply(x))


def test_inverse_and_solve(case):
    operator, x = case
    for one in (operator, operator.transposed()):
        close(one.apply(one.inverse()(x)), x)
    sol = kt.solve(kt.LinearProblem(operator, x))
    close(operator.apply(sol.y1), x)


def test_singular_blocks_are_inverted_where_they_can_be():
    blocks = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=F64)[:, :, None].repeat(1, 1, 2)
    blocks[:, :, 1] = torch.tensor([[2.0, 1.0], [0.0, 4.0]])
    operator = kt.algebra.BlockDiagonal(blocks)
    wanted = torch.tensor([[0.0, 1.0], [3.0, 2.0]], dtype=F64)
    close(operator.inverse()(operator.apply(wanted)), wanted)


def test_exponentials(case):
    operator, x = case
    problem = kt.SplitODEProblem(operator, lambda t, y: torch.zeros_like(y), x, (0.0, 0.3))
    found = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.15)).y1
    close(found, by(torch.linalg.matrix_exp(0.3 * operator.dense(x)), x))


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443()], ids=["ETDRK4", "ARS443"])
def test_a_remainder_beside_it(case, method):
    operator, x = case
    problem = kt.SplitODEProblem(operator, lambda t, y: torch.sin(y) + t, x, (0.0, 0.2))
    dense = kt.SplitODEProblem(operator.dense(x), lambda t, y: torch.sin(y) + t, x.reshape(2, -1), (0.0, 0.2))
    found, wanted = (kt.solve(one, method, controller=kt.Fixed(0.05)).y1 for one in (problem, dense))
    close(found.reshape(2, -1), wanted)


def test_small_matrices_keep_their_digits_beside_large_ones():
    """Each matrix is halved and doubled as often as it needs."""
    rates = torch.tensor([1e-3, 1.0, 1e5], dtype=F64)
    zero = torch.zeros_like(rates)
    turns = kt.algebra.BlockDiagonal(torch.stack([torch.stack([zero, rates]), torch.stack([-rates, zero])]))
    start = torch.tensor([[1.0], [0.0]], dtype=F64).expand(2, 3)
    problem = kt.SplitODEProblem(turns, lambda t, y: torch.zeros_like(y), start, (0.0, 1.0))
    y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1.0)).y1
    error = (y1 - torch.stack([rates.cos(), -rates.sin()])).abs().amax(0)
    assert float(error[0]) < 1e-15 and float(error[1]) < 1e-14 and float(error[2]) < 1e-9


def test_gradients_reach_the_blocks():
    blocks = random(2, 2, 3, seed=4)

    def exponential(blocks):
        operator = kt.algebra.BlockDiagonal(blocks)
        problem = kt.SplitODEProblem(operator, lambda t, y: y * y, torch.ones(2, 3, dtype=F64), (0.0, 0.1))
        return kt.solve(problem, kt.ETDRK2(), controller=kt.Fixed(0.05)).y1

    assert torch.autograd.gradcheck(exponential, blocks.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda b: kt.algebra.BlockDiagonal(b).inverse()(torch.ones(2, 3, dtype=F64)), blocks
    )


def test_definite_only_as_multiples():
    operator = kt.algebra.BlockDiagonal(torch.eye(2)[:, :, None].expand(2, 2, 4), definite=True)
    assert operator.symmetric and operator.shifted(0.0, math.pi).definite and not operator.shifted(1.0, 1.0).definite


def test_refusals():
    with pytest.raises(ValueError, match=r"blocks must have shape \(c, c, \*entries\)"):
        kt.algebra.BlockDiagonal(torch.ones(2, 3, 4))
    with pytest.raises(TypeError, match="blocks must be a tensor of a floating-point or complex dtype"):
        kt.algebra.BlockDiagonal(torch.ones(2, 2, 4, dtype=torch.int64))
    operator = kt.algebra.BlockDiagonal(torch.ones(2, 2, 4, dtype=F64))
    with pytest.raises(ValueError, match="has 2 axes, the first of 2 components"):
        operator.check(torch.ones(3, 4, dtype=F64))
    with pytest.raises(TypeError, match=r"cannot act on torch\.float32"):
        operator.check(torch.ones(2, 4))
