"""Jacobians of right-hand sides, against torch.func and by hand."""

import pytest
import torch
from torch.autograd import forward_ad

import kutta as kt
from kutta.solvers.field import EnsembleField, VectorField
from kutta.solvers.jacobian import linearise
from kutta.state import layout_of
from tests._helpers import F64, tensor

Y, T = tensor(0.7, -0.3, 1.2), torch.tensor(0.4, dtype=F64)


def f(t, y):
    return torch.stack([y[0] * y[1] * t, torch.sin(y[0]) + t**2 * y[2], y[2] ** 2 + y[0]])


def same(found, t=T, y=Y, g=f):
    assert torch.equal(found.slope.detach(), g(t, y))
    torch.testing.assert_close(found.jacobian.detach(), torch.func.jacfwd(g, 1)(t, y), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(found.in_time.detach(), torch.func.jacfwd(g, 0)(t, y), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_of_one_problem(mode):
    with mode():
        found = linearise(f, T.clone(), Y.clone(), rows=False)
    same(found)
    # Nothing is differentiated, so nothing is on a tape.
    assert not any(part.requires_grad for part in found)


@pytest.mark.parametrize("vectorized", [False, True])
def test_of_an_ensemble(vectorized):
    ys, ts = torch.stack([Y, 2 * Y]), torch.stack([T, T + 1])

    def rows(t, y):
        return torch.stack([y[:, 0] * y[:, 1] * t, torch.sin(y[:, 0]) + t**2 * y[:, 2], y[:, 2] ** 2 + y[:, 0]], 1)

    problem = kt.EnsembleProblem(rows if vectorized else f, ys, (0.0, 1.0), vectorized=vectorized)
    field = EnsembleField(problem, layout_of(ys, ensemble=True))
    found = field.linearised(ts[:, None], ys)
    assert found.jacobian.shape == (2, 3, 3) and (field.evaluations, field.jacobians) == (1, 1)
    for row in range(2):
        same(type(found)(*(part[row] for part in found)), ts[row], ys[row])


def test_of_a_state_of_any_structure():
    start = {"a": torch.rand(2, 2, dtype=F64), "b": torch.rand((), dtype=F64)}

    def g(t, s):
        return {"a": s["a"] @ s["a"] * s["b"], "b": t * s["a"].sum()}

    layout = layout_of(start, ensemble=False)
    field = VectorField(kt.ODEProblem(g, start, (0.0, 1.0)), layout)
    flat = layout.ravel(start)
    same(field.linearised(0.4, flat), T, flat, lambda t, y: layout.ravel(g(t, layout.unravel(y))))
    assert (field.evaluations, field.jacobians) == (1, 1)


@pytest.mark.parametrize(
    "g", [lambda t, y: torch.ones_like(y), lambda t, y: y, lambda t, y: -2.0 * y], ids=["ones", "y", "-2 y"]
)
def test_of_functions_that_use_little_of_their_input(g):
    same(linearise(g, T, Y, rows=False), g=g)


def test_of_a_state_without_axes():
    found = linearise(lambda t, y: t * y**2, T, torch.tensor(3.0, dtype=F64), rows=False)
    assert found.jacobian.shape == (1, 1) and found.in_time.shape == ()
    assert (float(found.jacobian), float(found.in_time)) == (2.4000000000000004, 9.0)


def test_its_own_derivatives_to_state_and_parameters():
    rate, y = torch.tensor(1.7, dtype=F64, requires_grad=True), Y.clone().requires_grad_()

    def entries(y, rate):
        found = linearise(lambda t, y: rate**2 * f(t, y), T, y, rows=False)
        return torch.cat([found.slope, found.jacobian.reshape(-1), found.in_time])

    assert torch.autograd.gradcheck(entries, (y, rate))
    # The state is not differentiated, and the parameter is found all the same.
    (by_rate,) = torch.autograd.grad(entries(Y, rate).sum(), rate)
    assert float(by_rate) == pytest.approx(2 * 1.7 * float(entries(Y, torch.ones((), dtype=F64)).sum()), rel=1e-12)


def trace(y):
    return linearise(f, T, y, rows=False).jacobian.trace()


def by_hand(y):
    return y[1] * T + 2 * y[2]


def test_under_torch_func():
    assert torch.allclose(torch.func.grad(trace)(Y), torch.func.grad(by_hand)(Y))
    assert torch.allclose(torch.func.jacfwd(trace)(Y), torch.func.grad(by_hand)(Y))
    batch = torch.stack([Y, 2 * Y])
    assert torch.allclose(torch.func.vmap(trace)(batch), torch.stack([by_hand(y) for y in batch]))


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad])
def test_in_forward_mode(mode):
    with mode(), forward_ad.dual_level():
        found = linearise(f, T, forward_ad.make_dual(Y, torch.ones_like(Y)), rows=False)
        slope, jacobian = (forward_ad.unpack_dual(part).tangent for part in (found.slope, found.jacobian))
    wanted = torch.func.jvp(lambda y: (f(T, y), torch.func.jacrev(f, 1)(T, y)), (Y,), (torch.ones_like(Y),))[1]
    assert torch.allclose(slope, wanted[0]) and torch.allclose(jacobian, wanted[1])


def test_a_right_hand_side_may_differentiate_inside():
    def gradient_flow(t, y):
        with torch.enable_grad():
            y = y if y.requires_grad else y.detach().requires_grad_()
            return -torch.autograd.grad((y**4).sum(), y, create_graph=True)[0]

    found = linearise(gradient_flow, T, Y, rows=False)
    assert torch.allclose(found.jacobian, torch.diag(-12 * Y**2))
