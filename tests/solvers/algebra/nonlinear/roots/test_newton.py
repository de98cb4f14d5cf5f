"""Newton's method and its relatives: how fast, how many derivatives, from where, and when not."""

import math
from itertools import pairwise

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra.nonlinear._problems import bratu

METHODS = [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()]


def residuals(method, steps, x0=2.0):
    """``|F|`` after each of some iterations for ``x^3 + x = 1``."""
    problem = kt.RootProblem(lambda x: x**3 + x - 1.0, tensor(x0))
    return [
        kt.solve(problem, method, rtol=0.0, atol=1e-30, max_steps=count, throw=False).stats.residual_norms
        for count in range(1, steps + 1)
    ]


def test_it_converges_quadratically():
    sizes = residuals(kt.Newton(), 6)
    orders = [math.log(after) / math.log(before) for before, after in pairwise(sizes[3:])]
    assert all(1.8 < order < 2.2 for order in orders)


def test_broyden_converges_faster_than_linearly_in_one_dimension_like_the_secant():
    sizes = residuals(kt.Broyden(), 8)
    assert sizes[-1] < 1e-3 * sizes[-2] < 1e-4 * sizes[-3]


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_linear_equations_take_a_step(method):
    matrix = torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0)) + 4.0 * torch.eye(5, dtype=F64)
    problem = kt.RootProblem(lambda x: matrix @ x - 1.0, torch.zeros(5, dtype=F64))
    sol = kt.solve(problem, method)
    assert sol.stats.steps <= (1 if not isinstance(method, kt.NewtonKrylov) else 8)
    assert relative_error(sol.y1, torch.linalg.solve(matrix, torch.ones(5, dtype=F64))) < 1e-8


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_the_equation_of_bratu_has_its_exact_solution(method, strength):
    # u(1/2) = 2 log cosh(theta / 4) with theta = sqrt(2 s) cosh(theta / 4), here up to second differences.
    theta = torch.ones((), dtype=F64)
    for _ in range(200):
        theta = math.sqrt(2.0 * strength) * torch.cosh(theta / 4.0)
    x = torch.linspace(0.0, 1.0, 65, dtype=F64)[1:-1]
    exact = -2.0 * torch.log(torch.cosh((x - 0.5) * theta / 2.0) / torch.cosh(theta / 4.0))
    sol = kt.solve(kt.RootProblem(lambda u: bratu(u, strength), torch.zeros(63, dtype=F64)), method)
    assert relative_error(sol.y1, exact) < 5e-4


def test_bands_are_the_whole_derivative_with_fewer_products():
    x0 = torch.zeros(3, 40, dtype=F64) + torch.tensor([[0.0], [0.5], [1.0]], dtype=F64)
    dense, banded = (
        kt.solve(kt.RootProblem(bratu, x0, batched=True, jacobian=bands)) for bands in (None, kt.algebra.Bands(1, 1))
    )
    assert relative_error(banded.y1, dense.y1) < 1e-12
    assert banded.stats.steps.tolist() == dense.stats.steps.tolist()
    lopsided = torch.diag(torch.full((9,), 3.0)) + torch.diag(torch.ones(7), 2) - torch.diag(torch.ones(8), -1)
    found = kt.algebra.Bands(1, 2).of(lambda x: x @ lopsided.double().T, torch.zeros(2, 9, dtype=F64))
    assert torch.equal(found.dense(torch.zeros(9)), lopsided.double().expand(2, 9, 9))
    with pytest.raises(ValueError, match="upper must be a whole number of at least 0; got -1"):
        kt.algebra.Bands(1, -1)


def test_a_derivative_of_the_users():
    calls = 0

    def jacobian(x):
        nonlocal calls
        calls += 1
        return torch.diag(3.0 * x**2)

    sol = kt.solve(kt.RootProblem(lambda x: x**3 - 8.0, torch.full((2,), 3.0, dtype=F64), jacobian=jacobian))
    torch.testing.assert_close(sol.y1, tensor(2.0, 2.0))
    assert calls == sol.stats.jacobian_evaluations == sol.stats.steps
    diagonal = kt.algebra.Diagonal
    sol = kt.solve(kt.RootProblem(lambda x: x**3 - 8.0, sol.y1 + 1.0, jacobian=lambda x: diagonal(3.0 * x**2)))
    torch.testing.assert_close(sol.y1, tensor(2.0, 2.0))


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_from_afar_where_whole_steps_go_astray(method):
    # Newton's whole steps for arctan diverge from |x| > 1.39.
    x0 = tensor(3.0, -20.0, 1.0)[:, None]
    sol = kt.solve(kt.RootProblem(torch.atan, x0, batched=True), method)
    assert sol.y1.abs().max() < 1e-8


def test_broyden_takes_one_derivative_where_newton_takes_many():
    problem = kt.RootProblem(bratu, torch.zeros(30, dtype=F64))
    newton, broyden = kt.solve(problem, kt.Newton()), kt.solve(problem, kt.Broyden())
    assert newton.stats.jacobian_evaluations > 2 and broyden.stats.jacobian_evaluations == 1
    few = kt.solve(problem, kt.Broyden(memory=2))
    assert few.stats.jacobian_evaluations > 1
    assert relative_error(few.y1, newton.y1) < 1e-7


def test_a_preconditioner_saves_products():
    n, count = 200, 0
    laplacian = kt.algebra.Banded(
        torch.tensor([[1.0], [-2.0], [1.0]], dtype=F64).expand(3, n) * (n + 1.0) ** 2, (-1, 0, 1)
    )

    def counted(x):
        nonlocal count
        count += 1
        return bratu(x)

    problem = kt.RootProblem(counted, torch.zeros(n, dtype=F64))
    sol = kt.solve(problem, kt.NewtonKrylov(kt.GMRES(laplacian.inverse())))
    assert sol.result is kt.Result.SUCCESS and count < 60


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_double_roots_are_found_slowly(method):
    sol = kt.solve(kt.RootProblem(lambda x: (x - 1.0) ** 2, tensor(3.0)), method)
    assert abs(float(sol.y1) - 1.0) < 1e-6


def test_where_there_is_no_root():
    problem = kt.RootProblem(lambda x: torch.exp(x) + 1.0, tensor(0.0))
    sol = kt.solve(problem, throw=False)
    assert sol.result.failed
    with pytest.raises(kt.NonlinearSolveError, match=r"SINGULAR after 1 iterations.*LeastSquaresProblem"):
        kt.solve(kt.RootProblem(lambda x: x**2 + 1.0, tensor(0.0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.Newton("lu"), r"linear must be a method such as kutta.LU\(\)"),
        (lambda: kt.NewtonKrylov(kt.LU()), r"linear must be a Krylov method such as kutta.GMRES\(\)"),
        (lambda: kt.Broyden(0), "memory must be a whole number of at least 1; got 0"),
    ],
)
def test_options_that_make_no_sense(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("method", [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()], ids=repr)
def test_a_beginning_that_is_one_number_for_all(method):
    """Expanded tensors hold their values once."""
    start = torch.full((2, 1), 0.5, dtype=F64).expand(2, 3)
    sol = kt.solve(kt.RootProblem(lambda x: x**3 - 2.0, start, batched=True), method)
    torch.testing.assert_close(sol.y1, torch.full((2, 3), 2.0 ** (1.0 / 3.0), dtype=F64))
