"""Derivatives of solutions: against solving again, in every mode, and where there is no solution."""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import kutta as kt
from kutta.solvers.algebra.nonlinear.derivatives import LARGEST_DENSE
from tests._helpers import F64, relative_error, tensor
from tests.solvers.algebra.nonlinear._problems import ReactionDiffusion, bratu

ROOTS = [kt.Newton(), kt.NewtonKrylov(), kt.Broyden()]
FIXED = [kt.Picard(), kt.Anderson(), kt.Newton()]
LEAST = [kt.LevenbergMarquardt(), kt.Dogleg(), kt.GaussNewton()]


def scalar(value):
    return torch.tensor(value, dtype=F64)


def weights(case, basis, **options):
    problem = kt.LeastSquaresProblem(case.residual, case.start, (basis,))
    return kt.solve(problem, rtol=1e-13, atol=1e-14, **options).y1


def by_differences(function, x, direction, h=1e-5):
    """The derivative along a direction, of order 4."""
    with torch.no_grad():
        near = function(x + h * direction) - function(x - h * direction)
        far = function(x + 2 * h * direction) - function(x - 2 * h * direction)
    return (8.0 * near - far) / (12.0 * h)


@pytest.mark.parametrize(
    ("functions", "residual", "shortcut"),
    [(8, (0.0, 1e-2), (0.0, 1e-6)), (3, (10.0, 1e3), (0.05, 10.0)), (2, (10.0, 1e3), (0.05, 10.0))],
)
def test_least_squares_against_solving_again_also_where_the_residual_is_large(functions, residual, shortcut):
    case = ReactionDiffusion(functions)
    generator = torch.Generator().manual_seed(1)
    cotangent = torch.randn(functions, dtype=F64, generator=generator)
    direction = torch.randn(case.basis.shape, dtype=F64, generator=generator)
    direction = direction / direction.norm() * case.basis.norm()
    errors = []
    wanted = by_differences(lambda basis: weights(case, basis) @ cotangent, case.basis, direction)
    for rule in (kt.Implicit(), kt.Implicit(curvature=False)):
        basis = case.basis.clone().requires_grad_()
        (weights(case, basis, adjoint=rule) @ cotangent).backward()
        errors.append(float(abs((basis.grad * direction).sum() / wanted - 1.0)))
    left = torch.cat(case.residual(weights(case, case.basis), case.basis)).norm()
    assert residual[0] < left < residual[1]
    assert errors[0] < 1e-8
    assert shortcut[0] <= errors[1] < shortcut[1]


@pytest.mark.parametrize("method", ROOTS, ids=repr)
def test_roots_have_two_derivatives(method):
    def root(a, b):
        problem = kt.RootProblem(lambda x, a: x**3 + b * x.roll(1) - a, torch.ones_like(a), (a,))
        return kt.solve(problem, method, rtol=1e-12, atol=1e-12).y1

    inputs = tensor(2.0, 3.0, 4.0).requires_grad_(), scalar(0.3).requires_grad_()
    assert gradcheck(root, inputs, check_forward_ad=True)
    assert gradgradcheck(root, inputs)


@pytest.mark.parametrize("method", FIXED, ids=repr)
def test_fixed_points_have_two_derivatives(method):
    def point(a):
        problem = kt.FixedPointProblem(lambda x: torch.cos(a * x), torch.ones_like(a))
        return kt.solve(problem, method, rtol=1e-13, atol=1e-13).y1

    inputs = (tensor(0.5, 0.8).requires_grad_(),)
    assert gradcheck(point, inputs, check_forward_ad=True)
    assert gradgradcheck(point, inputs)


@pytest.mark.parametrize("method", LEAST, ids=repr)
def test_least_squares_have_two_derivatives(method):
    t = torch.linspace(0.0, 1.0, 6, dtype=F64)

    def fitted(data):
        problem = kt.LeastSquaresProblem(
            lambda x, data: x[0] * torch.exp(-x[1] * t) - data, torch.ones(2).to(F64), (data,)
        )
        return kt.solve(problem, method, rtol=1e-12, atol=1e-12).y1

    data = (2.0 * torch.exp(-3.0 * t) + 0.1 * torch.cos(9.0 * t)).requires_grad_()
    assert gradcheck(fitted, (data,), check_forward_ad=True)
    assert gradgradcheck(fitted, (data,))


@pytest.mark.parametrize("orders", [1, 2, 3])
def test_there_are_as_many_orders_as_were_asked_for(orders):
    def root(a):
        problem = kt.RootProblem(lambda x: x**3 - a, torch.ones((), dtype=F64))
        return kt.solve(problem, adjoint=kt.Implicit(orders=orders), rtol=1e-13).y1

    exact = [1 / 3 * 8 ** (-2 / 3), -2 / 9 * 8 ** (-5 / 3), 10 / 27 * 8 ** (-8 / 3)]
    found, function = [], root
    for _ in range(3):
        function = torch.func.grad(function)
        found.append(float(function(scalar(8.0))))
    assert found[:orders] == pytest.approx(exact[:orders], rel=1e-9)
    assert all(abs(one / other - 1.0) > 0.1 for one, other in zip(found[orders:], exact[orders:], strict=True))


@pytest.mark.parametrize("n", [20, LARGEST_DENSE + 10])
@pytest.mark.parametrize(
    ("bands", "adjoint"),
    [
        (kt.algebra.Bands(1, 1), kt.Implicit()),
        (None, kt.Implicit(linear=kt.LU())),
        (kt.algebra.Bands(1, 1), kt.Implicit(linear=kt.GMRES(restart=300))),
        (None, kt.Implicit(linear=kt.GMRES(restart=300))),
    ],
    ids=["bands", "dense", "bands and products", "products"],
)
def test_whatever_the_system_of_a_derivative_is_solved_by(n, bands, adjoint):
    a = scalar(2.0).requires_grad_()

    def middle(a):
        problem = kt.RootProblem(bratu, torch.zeros(n, dtype=F64), (a,), jacobian=bands)
        return kt.solve(problem, rtol=1e-12, adjoint=adjoint).y1[n // 2]

    (slope,) = torch.autograd.grad(middle(a), a)
    wanted = by_differences(middle, a.detach(), scalar(1.0), 1e-4)
    assert relative_error(slope, wanted) < 1e-8


def test_under_the_transforms_of_torch_func():
    def root(a):
        return kt.solve(kt.RootProblem(lambda x: x**2 - a, torch.ones_like(a)), rtol=1e-12).y1

    a = tensor(1.0, 4.0, 9.0)
    assert relative_error(torch.func.vmap(root)(a), a.sqrt()) < 1e-12
    slopes = torch.func.vmap(torch.func.grad(root))(a)
    assert relative_error(slopes, 0.5 / a.sqrt()) < 1e-10
    assert relative_error(torch.func.jacfwd(root)(a), torch.diag(0.5 / a.sqrt())) < 1e-10


def test_problems_without_a_solution_have_no_gradient_and_spoil_none():
    a = tensor(2.0, 3.0, -1.0, float("nan")).requires_grad_()
    x0 = torch.ones(4, 1, dtype=F64)
    problem = kt.RootProblem(lambda x, a: x**2 - a[:, None], x0, (a,), batched=True)
    sol = kt.solve(problem, throw=False, max_steps=30)
    sol.y1[:3].sum().backward()
    assert relative_error(a.grad[:2], 0.5 / a[:2].detach().sqrt()) < 1e-8
    assert a.grad[2:].tolist() == [0.0, 0.0]


def test_the_beginning_receives_nothing():
    x0 = torch.ones(2, dtype=F64, requires_grad=True)
    a = tensor(2.0, 3.0).requires_grad_()
    kt.solve(kt.RootProblem(lambda x: x**2 - a, x0)).y1.sum().backward()
    assert x0.grad is None and a.grad is not None
    with torch.no_grad():
        assert not kt.solve(kt.RootProblem(lambda x: x**2 - a, x0)).y1.requires_grad


def test_a_derivative_that_is_singular_is_told_of():
    a = tensor(1.0, 2.0).requires_grad_()
    problem = kt.LeastSquaresProblem(lambda x, a: (x[0] + x[1] - a).reshape(-1), torch.zeros(2, dtype=F64), (a,))
    with pytest.raises(kt.LinearSolveError, match="SINGULAR"):
        kt.solve(problem)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": 0}, "orders must be 1, 2 or 3; got 0"),
        ({"orders": True}, "orders must be 1, 2 or 3; got True"),
        ({"rtol": -1.0}, "rtol must be a number"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        kt.Implicit(**options)
    with pytest.raises(TypeError, match="linear must be a method"):
        kt.Implicit(linear="lu")


def test_curvature_is_for_least_squares():
    a = scalar(2.0).requires_grad_()
    problem = kt.RootProblem(lambda x: x**2 - a, torch.ones(1, dtype=F64))
    with pytest.raises(ValueError, match="curvature=False is for a LeastSquaresProblem"):
        kt.solve(problem, adjoint=kt.Implicit(curvature=False))
    with pytest.raises(TypeError, match=r"must be kutta\.Implicit"):
        kt.solve(problem, adjoint=kt.Direct())


def test_a_matrix_that_only_leads_to_the_solution_is_not_taken_for_the_derivative():
    def root(a):
        start, frozen = torch.tensor([1.5], dtype=F64), torch.tensor([[5.0]], dtype=F64)
        return kt.solve(kt.RootProblem(lambda x, a: x**2 - a, start, (a,), jacobian=lambda x, a: frozen)).y1[0]

    slope = torch.func.grad(root)(torch.tensor(4.0, dtype=F64))
    assert abs(float(slope) - 0.25) < 1e-7
