"""Least squares: problems with known minima, exactness where it is due, and lost ranks."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra.nonlinear import _problems as problems

METHODS = [kt.LevenbergMarquardt(), kt.LevenbergMarquardt(1e-3), kt.Dogleg(), kt.GaussNewton()]
SAFE = METHODS[:3]


def squares(problem, sol):
    return float(problem.residual(sol.y1).square().sum())


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_rosenbrock(method):
    sol = kt.solve(kt.LeastSquaresProblem(problems.rosenbrock, tensor(-1.2, 1.0)), method)
    torch.testing.assert_close(sol.y1, tensor(1.0, 1.0), rtol=1e-7, atol=0.0)
    assert sol.stats.steps < 40


@pytest.mark.parametrize("method", SAFE, ids=repr)
@pytest.mark.parametrize("start", [(500.0, 1e-4), (250.0, 5e-4)])
def test_certified_values_of_a_fit_whose_unknowns_are_five_orders_apart(method, start):
    problem = kt.LeastSquaresProblem(problems.misra, tensor(*start))
    sol = kt.solve(problem, method)
    torch.testing.assert_close(sol.y1, problems.MISRA, rtol=1e-8, atol=0.0)
    assert squares(problem, sol) == pytest.approx(problems.MISRA_SQUARES, rel=1e-9)


@pytest.mark.parametrize("method", SAFE, ids=repr)
def test_certified_values_of_a_fit_that_is_hard_from_afar(method):
    problem = kt.LeastSquaresProblem(problems.kowalik, tensor(0.25, 0.39, 0.415, 0.39))
    sol = kt.solve(problem, method)
    torch.testing.assert_close(sol.y1, problems.KOWALIK, rtol=1e-6, atol=0.0)
    assert squares(problem, sol) == pytest.approx(problems.KOWALIK_SQUARES, rel=1e-9)


@pytest.mark.parametrize("method", [kt.LevenbergMarquardt(), kt.Dogleg(), kt.GaussNewton()], ids=repr)
def test_linear_problems_take_a_step_and_are_as_exact_as_rounding_allows(method):
    # -u'' = f in the span of sines.
    values, curved = problems.sines(6)
    weights = tensor(1.0, -0.5, 0.25, 0.125, -0.3, 0.2)
    problem = kt.LeastSquaresProblem(lambda w: curved @ (w - weights), torch.ones(6, dtype=F64))
    sol = kt.solve(problem, method)
    assert sol.stats.steps == 1
    assert relative_error(values @ sol.y1, values @ weights) < 1e-12


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_nonlinear_equation_with_its_solution_in_the_span_of_the_basis(method):
    case = problems.ReactionDiffusion(8)
    sol = kt.solve(kt.LeastSquaresProblem(case.residual, case.start, (case.basis,)), method)
    assert sol.stats.steps <= 12
    assert relative_error(case.basis[0] @ sol.y1, case.solution) < 1e-8  # limited by the ridge


@pytest.mark.parametrize("method", SAFE, ids=repr)
def test_where_the_rank_is_lost_at_the_solution(method):
    sol = kt.solve(kt.LeastSquaresProblem(problems.powell, tensor(3.0, -1.0, 0.0, 1.0)), method, throw=False)
    assert sol.y1.abs().max() < 1e-6


@pytest.mark.parametrize("method", SAFE, ids=repr)
def test_fewer_equations_than_unknowns_and_an_unknown_that_does_nothing(method):
    problem = kt.LeastSquaresProblem(lambda x: (x[0] * x[1] - 6.0).reshape(1), tensor(1.0, 2.0, 5.0))
    with torch.no_grad():
        sol = kt.solve(problem, method)
    assert float(sol.y1[0] * sol.y1[1]) == pytest.approx(6.0, rel=1e-7)
    assert float(sol.y1[2]) == 5.0


def test_units_of_the_unknowns_change_nothing():
    for method in SAFE:
        units = tensor(1e-6, 1e8)
        plain = kt.solve(kt.LeastSquaresProblem(problems.rosenbrock, tensor(-1.2, 1.0)), method)
        scaled = kt.LeastSquaresProblem(
            lambda z, units: problems.rosenbrock(units * z), tensor(-1.2, 1.0) / units, (units,)
        )
        sol = kt.solve(scaled, method, atol=1e-10 / units)
        assert sol.stats.steps == plain.stats.steps
        torch.testing.assert_close(units * sol.y1, plain.y1, rtol=1e-10, atol=0.0)


def test_a_derivative_of_the_users():
    def jacobian(x):
        return torch.stack([torch.stack([-20.0 * x[0], 10.0 * torch.ones_like(x[0])]), tensor(-1.0, 0.0)])

    start = tensor(-1.2, 1.0)
    by_hand = kt.solve(kt.LeastSquaresProblem(problems.rosenbrock, start, jacobian=jacobian))
    torch.testing.assert_close(by_hand.y1, kt.solve(kt.LeastSquaresProblem(problems.rosenbrock, start)).y1)


@pytest.mark.parametrize("batched", [False, True])
def test_a_curvature_of_the_users_gives_the_same_derivatives(batched):
    """``F = (x_0^2 - a, x_1 + x_0 x_1 - 1, x_0)``, which is not zero anywhere."""

    def residual(x, a):
        x0, x1 = x[..., 0], x[..., 1]
        return torch.stack([x0**2 - a, x1 + x0 * x1 - 1.0, x0 + 0.0 * a], -1)

    def curvature(x, a):
        calls.append(1)
        found, zero = residual(x, a), torch.zeros_like(x[..., 0])
        rows = (2.0 * found[..., 0], found[..., 1]), (found[..., 1], zero)
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    calls, gradients = [], []
    a = tensor(2.0, 3.0) if batched else tensor(2.0)[0]
    start = tensor(1.0, 0.5).expand(*a.shape, 2)
    for given in (None, curvature):
        theta = a.clone().requires_grad_()
        problem = kt.LeastSquaresProblem(residual, start, (theta,), batched, curvature=given)
        sol = kt.solve(problem, rtol=1e-12)
        gradients.append(torch.autograd.grad((sol.y1 * tensor(1.0, -2.0)).sum(), theta)[0])
    assert calls and float(gradients[0].abs().min()) > 0.01
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=0.0)


def test_a_kink_is_not_taken_for_a_minimum():
    """``|x| + 1`` twice, and ``x - 1``: the slopes on both sides of 0 lead there, and none of them vanishes."""
    problem = kt.LeastSquaresProblem(lambda x: torch.cat([x.abs() + 1.0, x.abs() + 1.0, x - 1.0]), tensor(0.5))
    sol = kt.solve(problem, throw=False)
    assert sol.result is kt.Result.NOT_CONVERGED and abs(float(sol.y1[0])) < 1e-6


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_large_residual_does_not_keep_it_from_the_minimum(method):
    problem = kt.LeastSquaresProblem(lambda x: torch.cat([x, torch.exp(x) - 20.0, 0.1 * x**2 - 5.0]), tensor(0.0))
    sol = kt.solve(problem, method)
    x = sol.y1.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.residual(x).square().sum(), x)
    assert abs(float(gradient)) < 1e-5 and squares(problem, sol) > 20.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.LevenbergMarquardt(-1.0), "damping must be a number of at least 0; got -1.0"),
        (lambda: kt.LevenbergMarquardt(True), "damping must be a number of at least 0; got True"),
        (lambda: kt.Dogleg(0.0), "radius must be a positive number; got 0.0"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()
