"""Derivatives of solvers of one's own: closed forms, unrolled iterations, and what is no solution."""

import warnings

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error

FUNC = torch.func
GENERATOR = torch.Generator().manual_seed(0)
MATRIX = torch.randn(10, 4, dtype=F64, generator=GENERATOR)
DATA = torch.randn(10, dtype=F64, generator=GENERATOR)
RIDGE = torch.tensor(0.7, dtype=F64)


def gradient_of_ridge(x, ridge):
    return MATRIX.T @ (MATRIX @ x - DATA) + ridge * x


def in_closed_form(ridge):
    return torch.linalg.solve(MATRIX.T @ MATRIX + ridge * torch.eye(4, dtype=F64), MATRIX.T @ DATA)


@kt.implicit_root(gradient_of_ridge, symmetric=True)
def ridge_regression(x0, ridge):
    """By a solver that PyTorch cannot differentiate."""
    return torch.from_numpy(in_closed_form(ridge).numpy().copy())


@pytest.mark.parametrize(
    "derivative",
    [FUNC.jacrev, FUNC.jacfwd, FUNC.hessian, lambda f: FUNC.jacrev(FUNC.jacrev(f))],
    ids=["reverse", "forward", "Hessian", "reverse twice"],
)
def test_ridge_regression_has_the_derivatives_of_its_closed_form(derivative):
    found = derivative(lambda ridge: differentiable_ridge(torch.zeros(4, dtype=F64), ridge))(RIDGE)
    assert relative_error(found, derivative(in_closed_form)(RIDGE)) < 1e-11


@kt.implicit_root(gradient_of_ridge, symmetric=True)
def differentiable_ridge(x0, ridge):
    return in_closed_form(ridge)


def test_the_solver_itself_is_not_differentiated():
    ridge = RIDGE.clone().requires_grad_()
    ridge_regression(torch.zeros(4, dtype=F64), ridge).sum().backward()
    assert relative_error(ridge.grad, FUNC.grad(lambda r: in_closed_form(r).sum())(RIDGE)) < 1e-11


def projected(v):
    """Onto the simplex; see Duchi, Shalev-Shwartz, Singer, Chandra, 2008."""
    falling = v.sort(descending=True).values
    above = (falling.cumsum(0) - 1.0) / torch.arange(1, len(v) + 1, dtype=v.dtype)
    return (v - above[(falling > above).sum() - 1]).clamp(min=0.0)


def test_the_projection_onto_a_simplex_by_steps_of_projected_gradients():
    @kt.implicit_fixed_point(lambda x, v: projected(x - 0.5 * (x - v)))
    def nearest(x0, v):
        return projected(v)

    v = torch.tensor([0.6, 0.3, -0.2, 0.5, -1.0], dtype=F64)
    support = (projected(v) > 0.0).to(F64)
    jacobian = FUNC.jacrev(lambda v: nearest(torch.zeros(5, dtype=F64), v))(v)
    assert 1 < support.sum() < 5
    assert (jacobian - (torch.diag(support) - torch.outer(support, support) / support.sum())).abs().max() < 1e-14


def lasso_step(x, weight):
    step = 0.5 / torch.linalg.matrix_norm(MATRIX, 2) ** 2
    moved = x - step * (MATRIX.T @ (MATRIX @ x - DATA))
    return moved.sign() * (moved.abs() - step * weight).clamp(min=0.0)


def unrolled_lasso(x, weight):
    for _ in range(2000):
        x = lasso_step(x, weight)
    return x


def test_the_lasso_by_steps_of_proximal_gradients_as_if_unrolled():
    lasso = kt.implicit_fixed_point(lasso_step)(unrolled_lasso)
    weight, x0 = torch.tensor(1.5, dtype=F64), torch.zeros(4, dtype=F64)
    x = lasso(x0, weight)
    assert 0 < (x == 0.0).sum() < 4
    found, wanted = (FUNC.jacrev(lambda w, f=f: f(x0, w))(weight) for f in (lasso, unrolled_lasso))
    assert relative_error(found, wanted) < 1e-6


def test_what_is_returned_besides_passes_without_gradients():
    @kt.implicit_root(lambda x, a: x**2 - a, has_aux=True)
    def root(x0, a):
        return a.sqrt(), {"steps": 3, "twice": 2.0 * a}

    a = torch.tensor([4.0], dtype=F64, requires_grad=True)
    x, aux = root(torch.ones(1, dtype=F64, requires_grad=True), a)
    assert aux["steps"] == 3 and not aux["twice"].requires_grad
    x.backward()
    assert a.grad.tolist() == [0.25]


def test_pytrees_and_batches():
    @kt.implicit_root(lambda x, a: {"x": x["x"] ** 2 - a, "y": x["y"] - x["x"][:, 0]}, batched=True)
    def roots(x0, a):
        return {"x": a.sqrt(), "y": a[:, 0].sqrt()}

    a = torch.tensor([[4.0], [9.0]], dtype=F64, requires_grad=True)
    x0 = {"x": torch.ones(2, 1, dtype=F64), "y": torch.ones(2, dtype=F64)}
    x = roots(x0, a)
    (x["x"].sum() + 10.0 * x["y"].sum()).backward()
    assert relative_error(a.grad, 11.0 * 0.5 / a.detach().sqrt()) < 1e-14


def test_what_is_no_solution_is_warned_of():
    def root(x0, a):
        return 0.5 * (x0 + a.sqrt())

    a = torch.tensor([4.0], dtype=F64)
    with pytest.warns(RuntimeWarning, match=r"\|optimality\| .* is 0.583 of what it is at x0"):
        kt.implicit_root(lambda x, a: x**2 - a)(root)(torch.ones(1, dtype=F64), a)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kt.implicit_root(lambda x, a: x**2 - a)(lambda x0, a: a.sqrt())(torch.full((1,), 2.0, dtype=F64), a)


def test_it_keeps_the_name_of_the_solver_and_names_what_is_wrong():
    assert ridge_regression.__name__ == "ridge_regression"
    with pytest.raises(TypeError, match=r"optimality must return tensors of the dtype of x0, .*; got str"):
        kt.implicit_root(lambda x: "zero")(lambda x0: x0)(torch.ones(1, dtype=F64))


def test_units_and_good_beginnings_do_not_hide_or_make_a_warning():
    a, start = torch.tensor([[4.0], [9.0]], dtype=F64), torch.ones(2, 1, dtype=F64)
    lazy = kt.implicit_root(lambda x, a: 1e-9 * (x**2 - a), batched=True)(lambda x0, a: x0)
    with pytest.warns(RuntimeWarning, match="is 1 of what it is at x0") as caught:
        lazy(start, a)
    assert caught[0].filename == __file__
    warm = torch.tensor([[2.0], [1.0]], dtype=F64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kt.implicit_root(lambda x, a: x**2 - a, batched=True)(lambda x0, a: a.sqrt() + 1e-7)(warm, a)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.implicit_root(3), "optimality must be callable; got int"),
        (lambda: kt.implicit_fixed_point(3), "step must be callable; got int"),
        (lambda: kt.implicit_root(torch.cos, rule="LU"), "rule must be a kutta.Implicit; got 'LU'"),
        (lambda: kt.implicit_root(torch.cos)(lambda x0: x0)(None), "x0 must be a tensor"),
        (lambda: kt.implicit_root(torch.cos)(lambda x0: x0[:1])(torch.ones(3)), "x0 must be like what the function"),
        (lambda: kt.implicit_root(torch.cos, has_aux=True)(lambda x0: x0)(torch.ones(3)), r"must return \(x, aux\)"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_ridge_for_what_is_singular():
    def flat(x, a):
        return (x.sum() - a) * torch.ones_like(x)

    a = torch.tensor(3.0, dtype=F64, requires_grad=True)
    found = kt.implicit_root(flat, rule=kt.Implicit(ridge=1e-6))(lambda x0, a: a * torch.ones_like(x0) / 2.0)
    found(torch.zeros(2, dtype=F64), a).sum().backward()
    assert float(a.grad) == pytest.approx(1.0, rel=1e-5)
