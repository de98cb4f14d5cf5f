"""What a user writes without touching the library: a method, a tableau, a regulariser, a controller."""

import math
from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch

import kutta as kt
from tests._helpers import F64, TIGHT, difference, gradient, relative_error, swing, tensor, turn, turned

START = tensor(1.0, 0.0)


@dataclass(frozen=True)
class TwoStage(kt.Method):
    """The explicit trapezoidal rule with Euler's method as error estimate."""

    order = 2
    error_order = 2
    source = "a user"

    def step(self, problem, t, y, dt, carry):
        first = problem.derivative(t, y)
        second = problem.derivative(t + dt, y + dt * first)
        y1 = y + 0.5 * dt * (first + second)
        return kt.Step(t, t + dt, dt, y, y1, problem, error=0.5 * dt * (second - first)), None


@dataclass(frozen=True)
class TwoStepLeapfrog(kt.Method):
    """y_{n+1} = y_{n-1} + 2 h f_n for equal steps: a carry from step to step. Starts with Heun's method."""

    order = 2
    source = "a user"

    def init(self, problem, t, y):
        return {"previous": y, "known": torch.zeros(y.shape[:1] or (1,), dtype=torch.bool)}

    def step(self, problem, t, y, dt, carry):
        slope = problem.derivative(t, y)
        start = y + 0.5 * dt * (slope + problem.derivative(t + dt, y + dt * slope))
        known = carry["known"].reshape(-1, *[1] * (y.dim() - 1))
        y1 = torch.where(known, carry["previous"] + 2 * dt * slope, start)
        return kt.Step(t, t + dt, dt, y, y1, problem), {"previous": y, "known": torch.ones_like(carry["known"])}


THIRD = kt.tableaus.Tableau(
    name="Kutta 3",
    order=3,
    c=(Fraction(0), Fraction(1, 2), Fraction(1)),
    a=((), (Fraction(1, 2),), (Fraction(-1), Fraction(2))),
    b=(Fraction(1, 6), Fraction(2, 3), Fraction(1, 6)),
    error=(Fraction(1, 6), Fraction(-1, 3), Fraction(1, 6)),
    embedded_order=2,
    source="W. Kutta (1901)",
)
OWN = [TwoStage(), kt.RungeKutta(THIRD)]
each = pytest.mark.parametrize("method", OWN, ids=["method", "tableau"])


class Farthest(kt.Regularizer):
    def init(self, y):
        return torch.linalg.vector_norm(y, dim=-1)

    def update(self, largest, step):
        return torch.maximum(largest, torch.linalg.vector_norm(step.y1, dim=-1))

    def value(self, largest):
        return largest


@each
def test_it_solves(method):
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 3.0)), method, rtol=1e-6, atol=1e-8, save_at=[1.0, 3.0])
    assert torch.allclose(sol.ys, turned(tensor(1.0, 3.0)), atol=1e-4) and sol.stats.rejected < sol.stats.accepted


@pytest.mark.parametrize("method", [*OWN, TwoStepLeapfrog()], ids=["method", "tableau", "two steps"])
def test_it_has_its_order(method):
    def error(n):
        y1 = kt.solve(kt.ODEProblem(swing, START, (0.0, 2.0)), method, controller=kt.Fixed(2.0 / n)).y1
        return float((y1 - reference).norm())

    reference = kt.solve(kt.ODEProblem(swing, START, (0.0, 2.0)), kt.Vern9(), rtol=1e-13, atol=1e-13).y1
    assert abs(math.log2(error(100) / error(200)) - method.order) < 0.1


@each
def test_it_has_dense_output(method):
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 3.0)), method, rtol=1e-6, atol=1e-8, dense=True)
    ts = torch.linspace(0.0, 3.0, 20, dtype=F64)
    assert torch.allclose(sol(ts), turned(ts), atol=1e-4)


@each
def test_it_finds_events(method):
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 3.0)), method, events=[kt.Event(lambda t, y: y[0])], rtol=1e-7)
    assert sol.result is kt.Result.EVENT and abs(float(sol.t1) - math.pi / 2) < 1e-4


@each
@pytest.mark.parametrize(
    "adjoint", [kt.Direct(), kt.Recompute(), kt.Backsolve(), kt.Interpolating(), kt.Gauss()], ids=repr
)
def test_it_has_gradients(method, adjoint):
    def loss(y0):
        return (
            kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), method, adjoint=adjoint, rtol=1e-6, atol=1e-8).y1 ** 2
        ).sum()

    assert relative_error(gradient(loss, START), difference(loss, START, 1e-3)) < 3e-3


@pytest.mark.parametrize("method", [*OWN, TwoStepLeapfrog()], ids=["method", "tableau", "two steps"])
def test_recompute_equals_direct(method):
    def loss(adjoint, y0):
        sol = kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), method, controller=kt.Fixed(0.02), adjoint=adjoint)
        return (sol.y1**2).sum()

    direct, again = (gradient(lambda y, a=a: loss(a, y), START) for a in (kt.Direct(), kt.Recompute(segment=3)))
    assert relative_error(again, direct) < 1e-12


@each
def test_it_solves_ensembles(method):
    y0 = torch.stack([START, 2 * START, -START])
    ends = tensor(1.0, 2.0, 3.0)
    save = tensor(0.25, 0.5)
    sol = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, ends)), method, rtol=1e-4, save_at=save)
    for row in range(3):
        alone = kt.solve(kt.ODEProblem(swing, y0[row], (0.0, float(ends[row]))), method, rtol=1e-4, save_at=save)
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-8
        assert int(sol.stats.accepted[row]) == alone.stats.accepted


def test_a_method_with_a_carry_solves_ensembles():
    y0 = torch.stack([START, 2 * START, -START])
    sol = kt.solve(
        kt.EnsembleProblem(swing, y0, (0.0, tensor(1.0, 2.0, 3.0))), TwoStepLeapfrog(), controller=kt.Fixed(0.01)
    )
    for row in range(3):
        problem = kt.ODEProblem(swing, y0[row], (0.0, row + 1.0))
        alone = kt.solve(problem, TwoStepLeapfrog(), controller=kt.Fixed(0.01)).y1
        assert relative_error(sol.y1[row], alone) < 1e-12


@each
def test_everything_at_once_in_an_ensemble(method):
    y0 = torch.stack([START, 2 * START, -START]).requires_grad_()
    event = kt.Event(lambda t, y: y[0], change=lambda t, y: -0.5 * y)
    for adjoint in (kt.Direct(), kt.Recompute()):
        sol = kt.solve(
            kt.EnsembleProblem(swing, y0, (0.0, 3.0)),
            method,
            events=[event],
            penalties={"far": Farthest()},
            adjoint=adjoint,
            save_at=[1.0, 3.0],
            rtol=1e-3,
            atol=1e-4,
        )
        (grad,) = torch.autograd.grad(sol.penalties["far"].sum() + sol.ys.sum(), y0)
        assert grad.isfinite().all() and sol.penalties["far"].shape == (3,)


def test_a_controller_of_one_s_own_weights():
    @dataclass(frozen=True)
    class H211(kt.PID):
        """Soderlind's H211b digital filter."""

        def factor(self, ratio, earlier, error_order):
            ratio, factor = super().factor(ratio, earlier, error_order)
            return ratio, factor**0.9

    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 3.0)), controller=H211(), **TIGHT)
    assert torch.allclose(sol.y1, turned(tensor(3.0))[0], atol=1e-8)


def test_a_tableau_that_is_no_tableau_is_refused():
    with pytest.raises(ValueError, match="must have one entry a stage"):
        kt.tableaus.Tableau(name="bad", order=1, c=(Fraction(0),), a=(), b=(Fraction(1),), source="")
    with pytest.raises(ValueError, match="row 1 of a must have 1 entries"):
        kt.tableaus.Tableau(
            name="bad", order=1, c=(Fraction(0),) * 2, a=((), ()), b=(Fraction(1), Fraction(0)), source=""
        )
