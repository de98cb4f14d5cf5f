"""Picard's iteration and Anderson's acceleration: rates, bounds, and what diverges."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor


def linear(n, rate, seed=0):
    """A symmetric matrix whose largest eigenvalue is `rate`, and its fixed point."""
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(n, n, dtype=F64, generator=generator))
    matrix = q @ torch.diag(torch.linspace(-0.3, rate, n, dtype=F64)) @ q.T
    b = torch.randn(n, dtype=F64, generator=generator)
    return matrix, b, torch.linalg.solve(torch.eye(n, dtype=F64) - matrix, b)


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.99])
def test_picard_takes_as_many_iterations_as_its_rate_says_and_ends_where_it_is_as_exact_as_asked(rate):
    matrix, b, exact = linear(20, rate)
    problem = kt.FixedPointProblem(lambda x: matrix @ x + b, torch.zeros(20, dtype=F64))
    sol = kt.solve(problem, kt.Picard(), max_steps=5000)
    assert sol.stats.steps == pytest.approx(math.log(1e-8) / math.log(rate), rel=0.2)
    assert relative_error(sol.y1, exact) < 2e-8


def test_anderson_ends_like_a_krylov_method_on_linear_equations():
    matrix, b, exact = linear(6, 0.95)
    problem = kt.FixedPointProblem(lambda x: matrix @ x + b, torch.zeros(6, dtype=F64))
    sol = kt.solve(problem, kt.Anderson(memory=6), rtol=1e-6)
    assert sol.stats.steps <= 9  # 6 directions, one to begin with, and two to see that it is there
    assert relative_error(sol.y1, exact) < 1e-6


@pytest.mark.parametrize("rate", [0.9, 0.99])
def test_anderson_needs_far_fewer(rate):
    matrix, b, exact = linear(50, rate)
    problem = kt.FixedPointProblem(lambda x: matrix @ x + b, torch.zeros(50, dtype=F64))
    picard, anderson = (kt.solve(problem, method, max_steps=5000) for method in (kt.Picard(), kt.Anderson()))
    assert anderson.stats.steps < 0.3 * picard.stats.steps
    assert relative_error(anderson.y1, exact) < 1e-6


def test_damping_makes_a_contraction_of_what_overshoots():
    problem = kt.FixedPointProblem(lambda x: 3.0 - 2.0 * x + 0.1 * torch.sin(x - 1.0), tensor(1.5))
    assert kt.solve(problem, kt.Picard(), throw=False).result.failed
    assert float(kt.solve(problem, kt.Picard(damping=0.3)).y1) == pytest.approx(1.0, rel=1e-7)
    assert float(kt.solve(problem, kt.Anderson()).y1) == pytest.approx(1.0, rel=1e-7)


@pytest.mark.parametrize("method", [kt.Newton(), kt.Broyden(), kt.NewtonKrylov()], ids=repr)
def test_methods_for_roots_find_fixed_points_also_where_nothing_contracts(method):
    sol = kt.solve(kt.FixedPointProblem(lambda x: 5.0 - x**3, tensor(1.0)), method)
    assert float(sol.y1) == pytest.approx(1.5159802276928, rel=1e-8)


def test_what_grows_without_bound():
    problem = kt.FixedPointProblem(lambda x: x**2 + 1.0, tensor(2.0))
    assert kt.solve(problem, kt.Picard(), throw=False).result is kt.Result.NON_FINITE
    assert kt.solve(problem, kt.Anderson(), throw=False).result.failed


def test_a_fixed_point_to_begin_with():
    for method in (kt.Picard(), kt.Anderson()):
        sol = kt.solve(kt.FixedPointProblem(lambda x: x.clone(), tensor(2.0)), method)
        assert sol.stats.steps == 0 and sol.y1.tolist() == [2.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.Picard(0.0), "damping must lie above 0 and be at most 1; got 0.0"),
        (lambda: kt.Picard(True), "damping must lie above 0 and be at most 1; got True"),
        (lambda: kt.Anderson(0), "memory must be a whole number of at least 1; got 0"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()
