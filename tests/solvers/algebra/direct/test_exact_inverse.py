"""The inverse that an operator brings."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, gradient, relative_error
from tests.solvers.algebra._systems import random, solved


def periodic_poisson(n, shift):
    k = 2 * torch.pi * torch.fft.rfftfreq(n, 1 / n, dtype=F64)
    return kt.algebra.Diagonal(shift + k**2, torch.fft.rfft, lambda u: torch.fft.irfft(u, n), symmetric=True)


def test_it_is_the_default_and_exact():
    operator, b = periodic_poisson(32, 1.0), random(3, 32)
    assert kt.algebra.default_method(operator) == kt.algebra.ExactInverse()
    assert relative_error(operator.apply(solved(operator, b).y1), b) < 1e-12


def test_a_system_without_mean_is_solved_and_another_named():
    operator, b = periodic_poisson(32, 0.0), random(32)
    found = solved(operator, b - b.mean()).y1
    assert abs(float(found.mean())) < 1e-14 and relative_error(operator.apply(found), b - b.mean()) < 1e-12
    assert solved(operator, b + 1.0, throw=False).result is kt.Result.SINGULAR


def test_gradients_to_what_the_symbols_are_made_of():
    b = random(16)

    def loss(shift):
        return (solved(periodic_poisson(16, shift), b).y1 ** 2).sum()

    shift = torch.tensor(2.0, dtype=F64)
    step = 1e-4
    wanted = (loss(shift + step) - loss(shift - step)) / (2 * step)
    assert float(gradient(loss, shift)) == pytest.approx(float(wanted), rel=1e-7)
    assert torch.autograd.gradgradcheck(loss, shift.requires_grad_(), fast_mode=True)


def test_operators_without_an_inverse_are_refused():
    with pytest.raises(ValueError, match="needs an operator with an inverse; got a Dense"):
        solved(torch.eye(3), torch.ones(3), kt.algebra.ExactInverse())
