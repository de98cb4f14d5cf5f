"""Dense output: the interpolants of single steps and of whole solves."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.field import VectorField
from kutta.state import layout_of
from tests._helpers import F64, TIGHT, swing, tensor, turn, turned
from tests.solvers.test_order import METHODS, SPLITTINGS, name

START = tensor(1.0, 0.0)
SINGLE = [method for method in METHODS if method not in SPLITTINGS]
THETAS = (0.1, 0.35, 0.6, 0.85)


def order_of_interpolant(method):
    # The cubic polynomial is no better than the ends that it joins.
    return min(method.interpolant_order, method.order)


def dense_error(method, n):
    problem = kt.ODEProblem(turn, START, (0.0, 2.0))
    sol = kt.solve(problem, method, controller=kt.Fixed(2.0 / n), dense=True)
    ts = tensor(*[(i + theta) * 2.0 / n for i in range(n) for theta in THETAS])
    return float((sol(ts) - turned(ts)).abs().mean())


@pytest.mark.parametrize("method", [m for m in SINGLE if m.order < 6], ids=name)
def test_dense_output_has_the_order_of_its_interpolant(method):
    order = order_of_interpolant(method)
    n = {1: 64, 2: 48, 3: 32}.get(order, 16)
    slope = math.log2(dense_error(method, n) / dense_error(method, 2 * n))
    print(f"order of the dense output of {name(method)}: {slope:.2f}, nominal {order}")
    assert slope > order - 0.2


@pytest.mark.parametrize("method", [m for m in SINGLE if m.order >= 6 and hasattr(m, "tableau")], ids=name)
def test_dense_output_of_high_order_methods_is_accurate(method):
    coarse, fine = dense_error(method, 4), dense_error(method, 8)
    print(f"order of the dense output of {name(method)}: {math.log2(coarse / fine):.2f}")
    order = order_of_interpolant(method)
    assert fine < 1e-11 or math.log2(coarse / fine) > order - 0.5


@pytest.mark.parametrize("method", [m for m in SINGLE if not name(m).startswith("AdamsBashforth(")], ids=name)
def test_an_interpolant_meets_both_ends_of_its_step(method):
    field = VectorField(kt.ODEProblem(swing, START, (0.0, 1.0)), layout_of(START, ensemble=False))
    carry = method.init(field, 0.3, START)
    step, _ = method.step(field, 0.3, START, 0.1, carry)
    assert (step.at(0.0) - step.y0).abs().max() < 1e-14
    # Verner's interpolants have coefficients of up to a million, which cancel.
    assert (step.at(1.0) - step.y1).abs().max() < 1e-10
    assert torch.allclose(torch.stack([step.at(0.2), step.at(0.7)]), step.many([0.2, 0.7]), atol=1e-10)


@pytest.mark.parametrize("method", [kt.Dopri8(), kt.Vern6(), kt.Vern7(), kt.Vern8(), kt.Vern9()], ids=name)
def test_outputs_in_float32_are_as_good_as_the_steps(method):
    ts = torch.linspace(0.0, 3.0, 50, dtype=F64)
    y0 = START.float()
    alone = kt.solve(kt.ODEProblem(turn, y0, (0.0, 3.0)), method, save_at=ts, dense=True)
    family = kt.solve(kt.EnsembleProblem(turn, y0.expand(2, 2), (0.0, 3.0)), method, save_at=ts)
    for ys in (alone.ys, family.ys[:, 0], alone(ts)):
        assert float((ys - turned(ts)).abs().max()) < 2e-4


@pytest.mark.parametrize("backwards", [False, True])
def test_a_solve_is_a_function_of_time(backwards):
    span = (3.0, 0.0) if backwards else (0.0, 3.0)
    y0 = turned(tensor(span[0]))[0]
    sol = kt.solve(kt.ODEProblem(turn, y0, span), dense=True, **TIGHT)
    ts = torch.linspace(0.0, 3.0, 31, dtype=F64)
    assert torch.allclose(sol(ts), turned(ts), atol=1e-8)
    assert sol(1.5).shape == (2,) and sol(torch.tensor(1.5)).shape == (2,) and sol(ts).shape == (31, 2)
    assert torch.allclose(sol(span[0]), y0, atol=1e-14) and torch.allclose(sol(span[1]), sol.y1, atol=1e-12)


def test_outputs_equal_dense_output():
    ts = torch.linspace(0.0, 3.0, 13, dtype=F64)
    problem = kt.ODEProblem(swing, START, (0.0, 3.0))
    for method in (kt.Tsit5(), kt.Dopri8(), kt.Bosh3()):
        saved, dense = kt.solve(problem, method, save_at=ts), kt.solve(problem, method, dense=True)
        assert torch.allclose(saved.ys, dense(ts), atol=1e-13)


def test_dense_output_of_a_pytree():
    f = lambda t, s: {"q": s["p"], "p": -s["q"]}  # noqa: E731
    sol = kt.solve(kt.ODEProblem(f, {"q": START[:1], "p": START[1:]}, (0.0, 2.0)), dense=True, **TIGHT)
    assert sol(tensor(0.5, 1.0))["q"].shape == (2, 1)
    assert abs(float(sol(1.0)["q"]) - math.cos(1.0)) < 1e-8


def test_dense_output_can_be_differentiated_in_time_and_state():
    y0 = START.clone().requires_grad_()
    sol = kt.solve(kt.ODEProblem(turn, y0, (0.0, 2.0)), dense=True, **TIGHT)
    t = torch.tensor(1.2, dtype=F64, requires_grad=True)
    by_t, by_y = torch.autograd.grad(sol(t)[0], (t, y0))
    assert abs(float(by_t) + math.sin(1.2)) < 1e-6 and torch.allclose(
        by_y, tensor(math.cos(1.2), math.sin(1.2)), atol=1e-7
    )


@pytest.mark.parametrize("t", [-0.1, 2.1, math.nan])
def test_times_outside_the_solve_are_refused(t):
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 2.0)), dense=True)
    with pytest.raises(ValueError, match="outside the solve"):
        sol(t)


def test_a_matrix_of_times_is_refused():
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 2.0)), dense=True)
    with pytest.raises(ValueError, match=r"a number or a tensor of shape \(n,\)"):
        sol(torch.zeros(2, 2))


def test_without_dense_there_is_no_interpolant():
    with pytest.raises(ValueError, match=r"call solve.*dense=True"):
        kt.solve(kt.ODEProblem(turn, START, (0.0, 2.0)))(1.0)
