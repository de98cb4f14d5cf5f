"""Every function of the user that is handed a state finds the boundary's values at the nodes that are data."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.method import Step
from tests._helpers import F64

P = kt.pde
T1 = 0.5
METHODS = {
    "Tsit5": (kt.Tsit5(), {}),
    "ETDRK4": (kt.ETDRK4(), {"controller": kt.Fixed(0.05)}),
    "ARS443": (kt.ARS443(), {"controller": kt.Fixed(0.05)}),
}
each_method = pytest.mark.parametrize("name", METHODS)
each_kind = pytest.mark.parametrize("kind", ["number", "function"])


def value(kind, t):
    """What the left boundary says."""
    return 1.0 + math.sin(float(t)) if kind == "function" else 1.0


def problem(kind, equation=None):
    """Between the boundary's values and an initial state that does not have them."""
    left = P.Dirichlet((lambda x, t: 1.0 + torch.sin(t)) if kind == "function" else 1.0)
    grid = P.Grid(9, boundary=(left, P.Dirichlet()), centring="node")
    return P.PDEProblem(
        equation or P.Heat(0.1), grid, torch.full((9,), 7.0, dtype=F64), (0.0, T1), P.FiniteDifference()
    )


@each_method
@each_kind
def test_events(kind, name):
    method, options = METHODS[name]
    seen = []

    def halfway(t, u):
        seen.append((float(t), float(u[0]), float(u[-1])))
        return t - 0.21

    def change(t, u):
        assert float(u[0]) == pytest.approx(value(kind, t))
        return 0.0 * u

    events = [kt.Event(halfway, change), kt.Event(lambda t, u: t - 0.4, terminal=False)]
    sol = kt.solve(problem(kind), method, events=events, **options)
    assert all(left == pytest.approx(value(kind, t)) and right == 0.0 for t, left, right in seen)
    assert [float(one.y[0]) for one in sol.events] == pytest.approx([value(kind, one.t) for one in sol.events])


def test_an_event_of_the_boundary_itself():
    """Where ``1 + sin(t) = 1.25``, and how the time moves with the height of the wall."""
    height = torch.tensor(1.0, dtype=F64, requires_grad=True)
    left = P.Dirichlet(lambda x, t: height + torch.sin(t))
    grid = P.Grid(9, boundary=(left, P.Dirichlet()), centring="node")
    heat = P.Heat(0.1).problem(grid, torch.full((9,), 7.0, dtype=F64), (0.0, T1), P.FiniteDifference())
    sol = kt.solve(heat, kt.Tsit5(), events=[kt.Event(lambda t, u: u[0] - 1.25)])
    assert float(sol.t1.detach()) == pytest.approx(math.asin(0.25), abs=1e-9)
    (found,) = torch.autograd.grad(sol.t1, height)
    assert float(found) == pytest.approx(-1.0 / math.sqrt(1.0 - 0.25**2), rel=1e-6)


class Seen(kt.regularizers.Regularizer):
    """The largest difference from the boundary's value, at both ends and in the middle of each step."""

    def __init__(self, kind):
        self.kind = kind

    def init(self, y):
        return (y[0] - value(self.kind, 0.0)).abs()

    def update(self, worst, step):
        assert isinstance(step, Step)
        for t, u in ((step.t0, step.y0), (step.t1, step.y1), (step.t0 + 0.3 * step.dt, step.at(0.3))):
            worst = torch.maximum(worst, (u[0] - value(self.kind, t)).abs())
        return worst

    def value(self, worst):
        return worst


class Left(kt.regularizers.Integral):
    """The integral of the value at the left."""

    def integrand(self, field, t, y):
        return y[0]


@each_method
@each_kind
def test_penalties(kind, name):
    method, options = METHODS[name]
    sol = kt.solve(problem(kind), method, penalties={"seen": Seen(kind), "left": Left()}, **options)
    assert float(sol.penalties["seen"]) < 1e-12
    wanted = T1 + (1.0 - math.cos(T1) if kind == "function" else 0.0)
    assert float(sol.penalties["left"]) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=["Direct", "Recompute"])
def test_gradients_of_penalties_to_the_boundary(adjoint):
    height = torch.tensor(1.0, dtype=F64, requires_grad=True)
    grid = P.Grid(9, boundary=(P.Dirichlet(height), P.Dirichlet()), centring="node")
    heat = P.Heat(0.1).problem(grid, torch.zeros(9, dtype=F64), (0.0, T1), P.FiniteDifference())
    total = kt.solve(heat, kt.Tsit5(), adjoint=adjoint, penalties={"left": Left()}).penalties["left"]
    assert float(torch.autograd.grad(total, height)[0]) == pytest.approx(T1)


def test_drawn_steps():
    local = kt.regularizers.LocalErrorEstimate(draws=4, generator=torch.Generator().manual_seed(0))
    draws = kt.solve(problem("function"), kt.Tsit5(), penalties={"local": local}).draws["local"]
    assert draws.y[:, 0].tolist() == pytest.approx([value("function", t) for t in draws.t])


@each_kind
def test_limits_of_the_step(kind):
    seen = []

    def limit(t, u):
        seen.append(float(u[0]) - value(kind, t))
        return 0.05

    for controller in (kt.PID(max_step=limit), kt.CFL(limit)):
        kt.solve(problem(kind), kt.Bosh3(), controller=controller)
    assert len(seen) >= 20 and max(map(abs, seen)) < 1e-12


@each_kind
def test_speeds(kind):
    """All the water is at rest but for what comes in."""
    left = P.Dirichlet((lambda x, t: 1.0 + torch.sin(t)) if kind == "function" else 1.0)
    grid = P.Grid(11, boundary=(left, P.Dirichlet()), centring="node")
    burgers = P.Burgers(0.0).problem(grid, torch.zeros(11, dtype=F64), (0.0, T1), P.FiniteDifference())
    limit = burgers.cfl(0.5).limit(torch.tensor(0.25, dtype=F64), burgers.u0)
    assert float(limit) == pytest.approx(0.05 / value(kind, 0.25))


@each_method
@each_kind
def test_equations(kind, name):
    """Of those in parts both sum over all nodes, with the boundary's."""
    method, options = METHODS[name]

    class Mean(P.Evolution):
        def linear(self, ops, u):
            return -u.mean(-1, keepdim=True).expand_as(u)

        def nonlinear(self, ops, t, u):
            return 0.1 * u.sum(-1, keepdim=True).expand_as(u)

    sol = kt.solve(problem(kind, Mean()), method, rtol=1e-9, atol=1e-9, **options)
    inside = torch.full((), 7.0, dtype=F64)
    left = lambda t: 1.0 + t.sin() if kind == "function" else 1.0  # noqa: E731
    plain = kt.ODEProblem(lambda t, v: (0.1 - 1.0 / 9.0) * (7.0 * v + left(t)), inside, (0.0, T1))
    assert torch.allclose(sol.y1[1:-1], kt.solve(plain, kt.Vern9(), rtol=1e-11, atol=1e-11).y1.expand(7), rtol=1e-6)
    assert sol.y1[[0, -1]].tolist() == pytest.approx([value(kind, T1), 0.0])


def test_what_is_no_event_is_refused_as_ever():
    with pytest.raises(TypeError, match="events must be a sequence"):
        kt.solve(problem("number"), kt.Tsit5(), events=lambda t, u: u[0])
    with pytest.raises(TypeError, match="penalties"):
        kt.solve(problem("number"), kt.Tsit5(), penalties={"left": Left})
