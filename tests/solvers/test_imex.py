"""Implicit-explicit methods: orders, stiffness without limit, every way to solve the systems, gradients."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error
from tests.solvers._split import coupled, error_at_end, in_fourier, periodic, reacting

METHODS = [kt.ARS222(), kt.ARS443()]

# PyTorch calls its compressed rows new, once.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning")


def name(method):
    return type(method).__name__


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("problem", [reacting(), coupled()], ids=["stiff", "not stiff"])
def test_order(problem, method):
    exact = kt.solve(problem, kt.Krogstad4(), controller=kt.Fixed(1 / 1024)).y1
    slope = math.log2(error_at_end(problem, method, 128, exact) / error_at_end(problem, method, 256, exact))
    print(f"order of {name(method)}: {slope:.3f}")
    assert abs(slope - method.order) < 0.15


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_stiffness_without_limit(method):
    linear = kt.algebra.Diagonal(torch.tensor([-1e12, -1.0], dtype=F64))
    problem = kt.SplitODEProblem(linear, lambda t, y: 0 * y, torch.ones(2, dtype=F64), (0.0, 1.0))
    y1 = kt.solve(problem, method, controller=kt.Fixed(0.01)).y1
    assert abs(float(y1[0])) < 1e-100 and float(y1[1]) == pytest.approx(math.exp(-1), rel=1e-4)


def dirichlet(n=20):
    """The Laplacian between two walls, as a matrix, as its diagonals, and by its products."""
    matrix = n**2 * (
        torch.diag(torch.ones(n - 2, dtype=F64), 1)
        + torch.diag(torch.ones(n - 2, dtype=F64), -1)
        - 2 * torch.eye(n - 1, dtype=F64)
    )
    band = n**2 * torch.tensor([[1.0], [-2.0], [1.0]], dtype=F64).expand(3, n - 1)
    return {
        "dense": kt.algebra.Dense(matrix),
        "definite": kt.algebra.Dense(matrix, definite=True),
        "banded": kt.algebra.Banded(band, (-1, 0, 1)),
        "sparse": kt.algebra.Sparse(matrix.to_sparse_csr()),
        "products": kt.algebra.MatrixFree(lambda x: x @ matrix.T),
    }


def start(n=20):
    x = torch.arange(1, n, dtype=F64) / n
    return torch.stack([torch.sin(math.pi * x), x * (1 - x)])


@pytest.mark.parametrize("kind", ["definite", "banded", "sparse", "products"])
@pytest.mark.parametrize("method", METHODS, ids=name)
def test_every_kind_of_operator_gives_the_same(method, kind):
    operators = dirichlet()

    def end(operator):
        problem = kt.SplitODEProblem(operator, lambda t, u: u * (1 - u), start(), (0.0, 0.2))
        return kt.solve(problem, method, controller=kt.Fixed(0.05))

    wanted, found = end(operators["dense"]), end(operators[kind])
    assert torch.allclose(wanted.y1, found.y1, rtol=1e-8, atol=1e-11)
    assert found.stats.linear_solves == 4 * method.tableau.stages
    assert found.stats.function_evaluations == 1 + 4 * method.tableau.stages


def test_a_solver_of_ones_own_choice():
    problem = kt.SplitODEProblem(dirichlet()["definite"], lambda t, u: u * (1 - u), start(), (0.0, 0.2))
    wanted = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(0.05)).y1
    found = kt.solve(problem, kt.ARS443(solver=kt.CG(), tolerance=1e-12), controller=kt.Fixed(0.05)).y1
    assert torch.allclose(wanted, found, rtol=1e-10)


@pytest.mark.parametrize("kind", ["diagonal", "dense", "banded", "products"])
def test_gradients_to_operator_start_and_arguments(kind):
    x, k = periodic(8)

    def end(rate, y0, scale):
        n = 8
        if kind == "diagonal":
            linear = in_fourier(-rate * k**2, n)
        elif kind == "banded":
            linear = kt.algebra.Banded(rate * torch.tensor([[1.0], [-2.5], [1.0]], dtype=F64).expand(3, n), (-1, 0, 1))
        else:
            matrix = rate * (torch.roll(torch.eye(n, dtype=F64), 1, 0) - 2 * torch.eye(n, dtype=F64))
            linear = matrix if kind == "dense" else kt.algebra.MatrixFree(lambda x: x @ matrix.T)
        problem = kt.SplitODEProblem(linear, lambda t, u, s: s * u.sin(), y0, (0.0, 0.4), (scale,))
        return kt.solve(problem, kt.ARS443(tolerance=1e-13), controller=kt.Fixed(0.2)).y1

    given = (torch.tensor(0.7, dtype=F64), torch.cos(x) + 0.2, torch.tensor(0.9, dtype=F64))
    assert torch.autograd.gradcheck(end, [one.requires_grad_() for one in given], atol=1e-7)


def test_recomputing_gives_the_same_gradients():
    rate = torch.tensor(0.7, dtype=F64, requires_grad=True)

    def loss(adjoint):
        linear = in_fourier(-rate * periodic(8)[1] ** 2, 8)
        problem = kt.SplitODEProblem(linear, lambda t, u: u.sin(), torch.cos(periodic(8)[0]), (0.0, 0.6))
        return kt.solve(problem, kt.ARS222(), controller=kt.Fixed(0.1), adjoint=adjoint).y1.square().sum()

    wanted, found = (torch.autograd.grad(loss(one), rate)[0] for one in (kt.Direct(), kt.Recompute(segment=2)))
    assert torch.allclose(wanted, found, rtol=1e-13)


def test_outputs_inside_steps():
    problem = reacting(t1=0.5)
    ts = torch.linspace(0.0, 0.5, 7, dtype=F64)
    exact = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 512), save_at=ts).ys
    found = kt.solve(problem, kt.ARS443(), controller=kt.Fixed(1 / 512), save_at=ts).ys
    assert torch.allclose(found, exact, rtol=0, atol=1e-6)


def test_what_does_not_fit_is_refused():
    problem = coupled()
    with pytest.raises(ValueError, match="ARS222 estimates no error"):
        kt.solve(problem, kt.ARS222())
    with pytest.raises(TypeError, match="ARS222 treats the linear part of the right-hand side apart"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), kt.ARS222(), dt0=0.1)
    with pytest.raises(TypeError, match="solver must be a method for linear systems"):
        kt.ARS222(solver=kt.Tsit5())
    with pytest.raises(ValueError, match="tolerance must lie between 0 and 1"):
        kt.ARS222(tolerance=0.0)
    with pytest.raises(ValueError, match="CyclicReduction"):
        kt.solve(problem, kt.ARS222(solver=kt.CyclicReduction()), controller=kt.Fixed(0.1))


def test_a_singular_system_is_named():
    linear = torch.eye(2, dtype=F64) / float(kt.tableaus.ARS443.gamma)
    problem = kt.SplitODEProblem(linear, lambda t, y: y, torch.ones(2, dtype=F64), (0.0, 1.0))
    with pytest.raises(kt.SolveError, match="SINGULAR"):
        kt.solve(problem, kt.ARS443(), controller=kt.Fixed(1.0))


@pytest.mark.parametrize("kind", ["diagonal", "blocks"])
@pytest.mark.parametrize("method", METHODS, ids=name)
def test_a_singular_symbol_is_named(method, kind):
    growth = torch.tensor([1.0, 1.0 / float(method.tableau.gamma), -3.0], dtype=F64)
    # Each block has its eigenvalue twice, in a basis of its own.
    coupling = torch.tensor([[1.0, 1.0], [0.0, 1.0]], dtype=F64)[..., None]
    linear, y0 = kt.algebra.Diagonal(growth), torch.ones(3, dtype=F64)
    if kind == "blocks":
        linear, y0 = kt.algebra.BlockDiagonal(coupling * growth), torch.ones(2, 3, dtype=F64)
    problem = kt.SplitODEProblem(linear, lambda t, y: 0 * y, y0, (0.0, 1.0))
    with pytest.raises(kt.SolveError, match="SINGULAR"):
        kt.solve(problem, method, controller=kt.Fixed(1.0))
    assert kt.solve(problem, method, controller=kt.Fixed(0.5)).result is kt.Result.SUCCESS


def test_a_system_that_needs_an_exchange_of_rows_gets_it_or_is_named():
    """``I - h gamma L`` has a pivot of 1e-16 and a condition number of 40."""
    rate = float(kt.tableaus.ARS222.gamma)
    bands = torch.tensor([[0.7], [1.3], [0.9]], dtype=F64).repeat(1, 7)
    bands *= 1 + 0.1 * torch.cos(torch.arange(21, dtype=F64)).reshape(3, 7)
    bands[1, 2] = 1e-16
    linear = kt.algebra.Banded(bands, (-1, 0, 1)).shifted(-1.0, 1.0) * (-1.0 / rate)
    problem = kt.SplitODEProblem(linear, lambda t, y: 0 * y, torch.ones(7, dtype=F64), (0.0, 1.0))
    with pytest.raises(kt.SolveError, match=r"SINGULAR.*exchange of rows"):
        kt.solve(problem, kt.ARS222(solver=kt.CyclicReduction()), controller=kt.Fixed(1.0))
    found, wanted = (kt.solve(problem, kt.ARS222(solver=one), controller=kt.Fixed(1.0)).y1 for one in (None, kt.LU()))
    assert relative_error(found, wanted) < 1e-12


@pytest.mark.parametrize("kind", ["diagonal", "dense", "iteration"])
def test_a_system_that_is_not_solved_leaves_a_partial_solution(kind):
    """Steps of 1/8 are solved; one of 1/2 has a stage without a solution."""
    growth = torch.tensor([2.0 / float(kt.tableaus.ARS222.gamma), -1.0], dtype=F64)
    linear = kt.algebra.Diagonal(growth) if kind == "diagonal" else kt.algebra.Dense(torch.diag(growth))
    method = kt.ARS222(solver=kt.SOR() if kind == "iteration" else None)
    problem = kt.SplitODEProblem(linear, lambda t, y: 0 * y, torch.ones(2, dtype=F64), (0.0, 0.875))
    controller = kt.StepTo([0.0, 0.125, 0.25, 0.75, 0.875])
    with pytest.raises(kt.SolveError, match=r"at t = 0\.25 .*throw=False") as caught:
        kt.solve(problem, method, controller=controller)
    sol = kt.solve(problem, method, controller=controller, throw=False, save_at="steps")
    assert sol.result is caught.value.result and sol.result.failed and sol.result is not kt.Result.NON_FINITE
    assert float(sol.t1) == caught.value.t == 0.25 and bool(torch.isfinite(sol.ys).all())


def test_an_iteration_that_takes_too_long_is_no_matter_of_time_steps():
    linear = kt.algebra.Dense(torch.tensor([[1.0, 5.0], [-5.0, -9.0]], dtype=F64))
    problem = kt.SplitODEProblem(linear, lambda t, y: 0 * y, torch.ones(2, dtype=F64), (0.0, 1.0))
    sol = kt.solve(problem, kt.ARS222(solver=kt.SOR(1.99)), controller=kt.Fixed(1.0), throw=False)
    assert sol.result in (kt.Result.BREAKDOWN, kt.Result.NON_FINITE) and not sol.stats.accepted


def test_errors_of_systems_within_the_remainder_are_those_of_the_user():
    singular = kt.LinearProblem(torch.zeros(2, 2, dtype=F64), torch.ones(2, dtype=F64))
    linear = kt.algebra.Diagonal(-torch.ones(2, dtype=F64))
    problem = kt.SplitODEProblem(linear, lambda t, y: kt.solve(singular).y1, torch.ones(2, dtype=F64), (0.0, 1.0))
    with pytest.raises(kt.LinearSolveError):
        kt.solve(problem, kt.ARS222(), controller=kt.Fixed(0.1))
