"""The implicit rule: first and second derivatives against differences, what they cost, and how they fail."""

import pickle
import re
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import kutta as kt
from kutta.solvers.algebra.implicit import implicit
from kutta.solvers.algebra.krylov.krylov import Iterative
from kutta.solvers.algebra.method import Goal
from tests._helpers import F64, gradient, relative_error, tensor
from tests.solvers.algebra._systems import definite, general, random, solved

N = 4
TIGHT = 1e-13
SYMMETRIC = [kt.CG(), kt.MINRES(), kt.CG(kt.SOR(1.2, symmetric=True)), kt.Cholesky(), kt.SOR(symmetric=True)]


def third(r):
    """A preconditioner that is a function."""
    return r / 3.0


ANY = [kt.GMRES(), kt.GMRES(kt.SOR(1.2)), kt.GMRES(third), kt.BiCGSTAB(), kt.LU()]


def name(value):
    """The same in every process, which the places of functions are not."""
    return re.sub(r"<function (\w+) at 0x\w+>", r"\1", repr(value))


METHODS = [(method, True) for method in SYMMETRIC] + [(method, False) for method in ANY]
FUNC = torch.func
DEFINITE, TURNED = definite(N), random(N, N, seed=7)


def options(method):
    return {} if method.direct else {"rtol": TIGHT}


def matrix(theta, symmetric):
    """A matrix that depends on two parameters, in a nonlinear way."""
    slope = TURNED + TURNED.mT if symmetric else TURNED
    return DEFINITE + theta[0] ** 2 * torch.eye(N, dtype=F64) + 0.05 * torch.sin(theta[1]) * slope


def solution(method, symmetric, theta, b):
    """By an operator that holds its parameters in a closure."""
    A = matrix(theta, symmetric)
    operator = kt.algebra.MatrixFree(lambda x: x @ A.mT, axes=1, symmetric=symmetric, definite=symmetric)
    if isinstance(method, kt.SOR):
        operator = kt.algebra.Dense(A, symmetric=symmetric)
    return solved(operator, theta[2] * b, method, **options(method)).y1


def by_hand(symmetric, theta, b):
    return torch.linalg.solve(matrix(theta, symmetric), (theta[2] * b).unsqueeze(-1)).squeeze(-1)


@pytest.mark.parametrize("method, symmetric", METHODS, ids=name)
class TestEveryMethod:
    def test_first_and_second_derivatives(self, method, symmetric):
        inputs = tensor(0.8, 0.4, 1.3).requires_grad_(), random(2, N).requires_grad_()

        def f(theta, b):
            return solution(method, symmetric, theta, b)

        assert gradcheck(f, inputs, check_forward_ad=True, rtol=1e-6, fast_mode=True)
        assert gradgradcheck(f, inputs, check_fwd_over_rev=True, fast_mode=True)

    def test_third_derivatives(self, method, symmetric):
        b, at = random(N), torch.tensor(0.3, dtype=F64, requires_grad=True)
        vector = tensor(0.8, 0.4, 1.3)

        def third(f):
            value = (f(symmetric, torch.stack([at, at, vector[2]]), b) ** 2).sum()
            for _ in range(3):
                (value,) = torch.autograd.grad(value, at, create_graph=True)
            return value.detach()

        found = third(lambda *given: solution(method, *given))
        assert relative_error(found, third(by_hand)) < 1e-7

    def test_under_torch_func(self, method, symmetric):
        theta, b = tensor(0.8, 0.4, 1.3), random(2, N)

        def loss(theta, b):
            return (solution(method, symmetric, theta, b) ** 2).sum()

        def wanted(theta, b):
            return (by_hand(symmetric, theta, b) ** 2).sum()

        many = torch.stack([theta, 2.0 * theta])
        for transform in (
            lambda f: FUNC.grad(f, (0, 1))(theta, b)[0],
            lambda f: FUNC.jacfwd(f, 1)(theta, b),
            lambda f: FUNC.vmap(f, (0, None))(many, b),
            lambda f: FUNC.vmap(FUNC.grad(f), (0, None))(many, b),
            lambda f: FUNC.grad(lambda one: FUNC.vmap(f, (None, 0))(one, torch.stack([b, 2.0 * b])).sum())(theta),
        ):
            assert relative_error(transform(loss), transform(wanted)) < 1e-9

    def test_nested_transforms_work_or_are_refused(self, method, symmetric):
        theta, b = tensor(0.8, 0.4, 1.3), random(2, N)

        def loss(theta):
            return (solution(method, symmetric, theta, b) ** 2).sum()

        def wanted(theta):
            return (by_hand(symmetric, theta, b) ** 2).sum()

        many = torch.stack([theta, 2.0 * theta])
        for transform in (
            lambda f: FUNC.hessian(f)(theta),
            lambda f: FUNC.grad(lambda many: FUNC.vmap(f)(many).sum())(many),
        ):
            if method.direct:
                assert relative_error(transform(loss), transform(wanted)) < 1e-9
            else:
                with pytest.raises(NotImplementedError, match=r"use a direct method such as kutta.LU\(\)"):
                    transform(loss)


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128], ids=str)
@pytest.mark.parametrize("method, symmetric", METHODS, ids=name)
def test_other_dtypes(method, symmetric, dtype):
    A, b = (definite if symmetric else general)(N, dtype=dtype), random(2, N, dtype=dtype)
    weight = random(2, N, seed=3, dtype=dtype)
    close = {} if method.direct else {"rtol": 1e-6 if dtype == torch.float32 else 1e-12}

    def mine(A, b):
        return solved(kt.algebra.Dense(A, symmetric, symmetric), b, method, **close).y1

    def wanted(A, b):
        return torch.linalg.solve(A, b.unsqueeze(-1)).squeeze(-1)

    inputs = A.clone().requires_grad_(), b.clone().requires_grad_()
    found, right = (torch.autograd.grad((f(*inputs) * weight).sum().abs(), inputs) for f in (mine, wanted))
    for one, other in zip(found, right, strict=True):
        assert one.dtype == dtype and relative_error(one, other) < (1e-4 if dtype == torch.float32 else 1e-9)


def test_entries_of_every_kind_of_matrix():
    b = random(2, 6)
    bands = torch.stack([random(6), 4.0 + random(6), random(6)])
    pattern = torch.tensor([[0, 0, 1, 2, 2, 3, 4, 4, 5], [0, 3, 1, 2, 5, 3, 0, 4, 5]])
    values = torch.where(pattern[0] == pattern[1], 3.0, 0.5) + 0.1 * random(9)
    skeleton = torch.sparse_coo_tensor(pattern, torch.ones(9, dtype=F64), (6, 6), check_invariants=True)

    def banded(bands):
        return solved(kt.algebra.Banded(bands, (-1, 0, 2)), b, kt.GMRES(), rtol=TIGHT).y1

    def sparse(values):
        return solved(kt.algebra.Sparse(skeleton, values), b, kt.BiCGSTAB(), rtol=TIGHT).y1

    def torch_sparse(values):
        matrix = torch.sparse_coo_tensor(pattern, values, (6, 6), check_invariants=True)
        return solved(matrix, b, kt.GMRES(kt.SOR()), rtol=TIGHT).y1

    def combined(values):
        sum_of = kt.algebra.Sparse(skeleton, values) + values[0] * kt.algebra.Dense(general(6))
        return solved(sum_of.shifted(values[1], 0.5), b, kt.GMRES(), rtol=TIGHT).y1

    for f, entries in ((banded, bands), (sparse, values), (torch_sparse, values), (combined, values)):
        assert gradcheck(f, entries.clone().requires_grad_(), rtol=1e-6, fast_mode=True)


def test_ridge_regression():
    # w = (X^T X + s I)^-1 X^T y, so that dw/ds = -(X^T X + s I)^-1 w and d2w/ds2 = 2 (X^T X + s I)^-2 w.
    X, y, s = random(20, 5), random(20, seed=1), torch.tensor(0.7, dtype=F64)

    def weights(s):
        operator = kt.algebra.MatrixFree(lambda w: (w @ X.mT) @ X + s * w, axes=1, definite=True)
        return solved(operator, X.mT @ y, kt.CG(), rtol=TIGHT).y1

    inverse = torch.linalg.inv(X.mT @ X + s * torch.eye(5, dtype=F64))
    first = FUNC.jacfwd(weights)(s)
    assert relative_error(first, -inverse @ weights(s)) < 1e-10
    at = s.clone().requires_grad_()
    (slope,) = torch.autograd.grad(weights(at).sum(), at, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, at)
    assert float(curvature) == pytest.approx(float((2 * inverse @ inverse @ weights(s)).sum()), rel=1e-9)


def counted(theta, calls, symmetric=True):
    A = theta * definite(60)

    def function(x):
        calls.append(1)
        return x @ A.mT

    return kt.algebra.MatrixFree(function, axes=1, definite=True)


def test_a_gradient_costs_one_solve():
    calls = []
    theta = torch.tensor(1.5, dtype=F64, requires_grad=True)
    sol = solved(counted(theta, calls), random(60), kt.CG(), rtol=1e-8)
    forward = len(calls)
    # One product for each iteration, one to see that it is true, and one for each of the three residuals.
    assert forward == sol.stats.steps + 4
    (sol.y1 * random(60, seed=4)).sum().backward()
    assert abs(len(calls) - forward - sol.stats.steps) <= 6


def test_without_gradients_nothing_is_added():
    calls = []
    theta = torch.tensor(1.5, dtype=F64, requires_grad=True)
    with torch.no_grad():
        sol = solved(counted(theta, calls), random(60), kt.CG(), rtol=1e-8)
    assert not sol.y1.requires_grad and len(calls) == sol.stats.steps + 1
    with_gradient = solved(counted(theta, []), random(60), kt.CG(), rtol=1e-8)
    assert with_gradient.y1.requires_grad and torch.equal(with_gradient.y1, sol.y1)
    direct = solved(theta * definite(6), random(6), kt.LU())
    with torch.no_grad():
        assert torch.equal(direct.y1, solved(theta * definite(6), random(6), kt.LU()).y1)


def test_the_accuracy_of_a_gradient_follows_the_tolerance():
    def loss(theta, rtol):
        return solved(counted(theta, []), random(60), kt.CG(), rtol=rtol).y1.square().sum()

    theta = torch.tensor(1.5, dtype=F64)
    right = gradient(lambda one: loss(one, 1e-13), theta)
    found = [gradient(partial(loss, rtol=rtol), theta) for rtol in (1e-3, 1e-6, 1e-9)]
    errors = [abs(float(one / right) - 1.0) for one in found]
    assert errors[0] < 1e-2 and errors[1] < 1e-5 and errors[2] < 1e-8


def test_a_gradient_that_is_not_found_is_an_error():
    theta = torch.tensor(1.5, dtype=F64, requires_grad=True)
    operator, b = counted(theta, []), random(60)
    guess = torch.linalg.solve(1.5 * definite(60), b)
    problem = kt.LinearProblem(operator, b, guess)
    backward = "MAX_STEPS in the backward pass, which solves the transposed system, after 2 iterations"
    with pytest.raises(kt.LinearSolveError, match=f"{backward}.*raise max_steps.*those given to the solve") as caught:
        kt.solve(problem, kt.CG(), max_steps=2).y1.sum().backward()
    assert "throw=False" not in str(caught.value) and str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.warns(RuntimeWarning, match=f"a derivative of a linear solve is not accurate: {backward}"):
        kt.solve(problem, kt.CG(), max_steps=2, throw=False).y1.sum().backward()
    with pytest.raises(kt.LinearSolveError, match="MAX_STEPS in a derivative in forward mode, which solves the system"):
        torch.func.jvp(
            lambda b: kt.solve(kt.LinearProblem(operator, b, guess), kt.CG(), max_steps=2).y1,
            (b,),
            (random(60, seed=3),),
        )


def test_the_guess_gets_no_gradient():
    b, guess = random(4).requires_grad_(), random(4, seed=2).requires_grad_()
    x = kt.solve(kt.LinearProblem(general(4), b, guess), kt.GMRES()).y1
    by_b, by_guess = torch.autograd.grad(x.sum(), (b, guess), allow_unused=True)
    assert by_guess is None and relative_error(by_b, torch.linalg.solve(general(4).mT, torch.ones(4).double())) < 1e-4


def test_systems_of_a_batch_get_their_own_gradients():
    matrices, b = torch.stack([general(5), 3.0 * general(5, 1)]), random(2, 5)

    def loss(matrices):
        return solved(matrices, b, kt.GMRES(), rtol=1e-12).y1[0].sum()

    found = gradient(loss, matrices)
    assert not bool(found[1].any())
    assert relative_error(found[0], gradient(lambda A: torch.linalg.solve(A, b[0]).sum(), matrices[0])) < 1e-9


def newton(theta):
    """The root of ``F(x) = x^3 + theta x - 1``, entry by entry."""
    x = torch.ones_like(theta)
    for _ in range(50):
        x = x - (x**3 + theta * x - 1.0) / (3.0 * x**2 + theta)
    return x


@pytest.mark.parametrize("iterative", [False, True])
def test_roots_of_nonlinear_equations_by_the_same_rule(iterative):
    def root(theta):
        x = newton(theta.detach())
        slope = 3.0 * x**2 + theta.detach()
        if iterative:
            goal = Goal(rtol=1e-14)
            operator = kt.algebra.MatrixFree(lambda v: slope * v, axes=1, definite=True)
            solver = Iterative(kt.CG().begin(), operator, None, goal)
        else:
            solver = kt.algebra.ExactInverse().factorised(kt.algebra.Diagonal(slope, definite=True), x)
        return implicit(x, lambda x: 1.0 - x**3 - theta * x, solver, lambda found, way: None)

    theta = tensor(0.5, 1.0, 2.0).requires_grad_()
    assert torch.equal(root(theta).detach(), newton(theta.detach()))
    # dx/dtheta = -x / (3 x^2 + theta), and its derivative once more.
    assert gradcheck(lambda t: -root(t), theta, check_forward_ad=True, fast_mode=True)
    x, t = newton(theta.detach()), theta.detach()
    slope = -x / (3 * x**2 + t)
    (first,) = torch.autograd.grad(root(theta).sum(), theta, create_graph=True)
    assert relative_error(first.detach(), slope) < 1e-12
    (second,) = torch.autograd.grad(first.sum(), theta)
    wanted = -slope / (3 * x**2 + t) + x * (6 * x * slope + 1) / (3 * x**2 + t) ** 2
    assert relative_error(second, wanted) < 1e-12
