"""The loops, run by PyTorch operation by operation, against the eager engine: nothing is compiled here."""

import math

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.solvers.engines.compiled import store

F64 = torch.float64


@pytest.fixture(autouse=True)
def uncompiled(monkeypatch):
    monkeypatch.setattr(store, "native", lambda function, examples: function)
    monkeypatch.setattr(store, "_functions", {})


def oscillator(t, y):
    return torch.stack([y[..., 1], 2.0 * (1.0 - y[..., 0] ** 2) * y[..., 1] - y[..., 0] + torch.sin(t)], dim=-1)


def pendulum(t, y):
    pull = torch.sin(y[..., 0])
    return torch.stack([y[..., 1], -pull - 0.1 * y[..., 1] + 0.3 * torch.cos(2.0 * t)], dim=-1)


def start(dtype=F64):
    return torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=F64).to(dtype)


def both(problem, method, **options):
    eager = kt.solve(problem, method, engine=kt.Eager(), **options)
    compiled = kt.solve(problem, method, engine=kt.Compiled(), **options)
    assert (eager.stats.engine, compiled.stats.engine) == ("eager", "compiled")
    return eager, compiled


PAIRS = [kt.Midpoint(), kt.Heun(), kt.Bosh3(), kt.Dopri5(), kt.Tsit5(), kt.Dopri8(), kt.Vern6(), kt.Vern7(), kt.Vern9()]
FIXED = [kt.Euler(), kt.RK4(), kt.RK38(), kt.SSPRK33(), kt.Ralston(), kt.Fehlberg2(), kt.Vern8()]


@pytest.mark.parametrize("method", PAIRS, ids=lambda method: type(method).__name__)
def test_adaptive_solves_take_the_steps_of_the_eager_engine(method):
    problem = kt.ODEProblem(oscillator, start(), (0.0, 3.0))
    ts = torch.linspace(0, 3, 9, dtype=F64)
    eager, compiled = both(problem, method, save_at=ts, rtol=1e-4, atol=1e-5)
    assert compiled.stats.accepted == eager.stats.accepted
    assert compiled.stats.rejected == eager.stats.rejected
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(compiled.y1, eager.y1, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", PAIRS + FIXED, ids=lambda method: type(method).__name__)
def test_fixed_steps_equal_those_of_the_eager_engine_to_rounding(method):
    problem = kt.ODEProblem(pendulum, start(), (2.0, 0.5))
    ts = torch.tensor([2.0, 2.0, 1.77, 1.7, 1.61, 1.6, 0.5], dtype=F64)
    eager, compiled = both(problem, method, save_at=ts, controller=kt.Fixed(0.1))
    assert compiled.stats.steps == eager.stats.steps == 15
    # The coefficients of Verner's pairs are large and magnify roundings.
    within = 1e-9 if type(method).__name__.startswith("Vern") else 1e-12
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=within, atol=within)
    assert torch.equal(compiled.ts, eager.ts)
    assert torch.equal(compiled.ys[-1], compiled.y1)


@pytest.mark.parametrize("controller", [kt.PID(), kt.I(), kt.PI(), kt.PID(0.1, 0.3, 0.05), kt.PID(dtmax=0.05)])
def test_every_controller_chooses_the_sizes_of_the_eager_engine(controller):
    problem = kt.ODEProblem(oscillator, start(), (0.0, 4.0))
    eager, compiled = both(problem, kt.Tsit5(), controller=controller, rtol=1e-6, atol=1e-6)
    assert compiled.stats.accepted == eager.stats.accepted
    assert compiled.stats.rejected == eager.stats.rejected
    torch.testing.assert_close(compiled.y1, eager.y1, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_tolerances_may_be_tensors_and_times_may_run_backwards(dtype):
    problem = kt.ODEProblem(pendulum, start(dtype), (1.0, -1.0))
    tolerances = {"rtol": torch.tensor([1e-4, 1e-3]), "atol": torch.tensor(1e-5)}
    eager, compiled = both(problem, kt.Dopri5(), **tolerances)
    assert compiled.y1.dtype == dtype
    assert abs(compiled.stats.steps - eager.stats.steps) <= 1
    torch.testing.assert_close(compiled.y1, eager.y1, rtol=1e-3, atol=1e-3)


def test_evaluations_are_counted_as_they_are_made():
    calls = []

    class Counting(nn.Module):
        def forward(self, t, y):
            return -y

    problem = kt.ODEProblem(Counting(), torch.ones(2, dtype=F64), (0.0, 1.0))
    for method in (kt.Tsit5(), kt.RK4()):
        control = {"controller": kt.Fixed(0.25)} if method == kt.RK4() else {"dt0": 0.1}
        eager, compiled = both(problem, method, **control)
        # A method whose last stage is not at the end of the step evaluates the slope there once more.
        calls.append(compiled.stats.function_evaluations - eager.stats.function_evaluations)
    assert calls == [0, 1]


def test_no_time_may_pass():
    sol = kt.solve(kt.ODEProblem(oscillator, start(), (1.0, 1.0)), engine=kt.Compiled(), save_at=[1.0, 1.0])
    assert sol.stats.steps == 0
    assert torch.equal(sol.ys, torch.stack([start(), start()]))


@pytest.mark.parametrize(
    ("f", "options", "result"),
    [
        (lambda t, y: y * y, {}, kt.Result.STEP_UNDERFLOW),
        (lambda t, y: y, {"max_steps": 3}, kt.Result.MAX_STEPS),
        (lambda t, y: y * torch.where(t > 0.5, torch.nan, 1.0), {}, kt.Result.NON_FINITE),
        (lambda t, y: torch.exp(y * y), {"controller": kt.Fixed(0.1)}, kt.Result.NON_FINITE),
        (lambda t, y: y * y, {"controller": kt.PID(dtmin=1e-3)}, kt.Result.STEP_UNDERFLOW),
    ],
)
def test_failures_are_those_of_the_eager_engine(f, options, result):
    problem = kt.ODEProblem(f, torch.ones(1, dtype=F64), (0.0, 2.0))
    ts = torch.linspace(0, 2, 21, dtype=F64)
    eager, compiled = both(problem, kt.Tsit5(), throw=False, save_at=ts, **options)
    assert compiled.result is eager.result is result
    assert abs(compiled.stats.accepted - eager.stats.accepted) <= 1  # where a jump is closed in on
    assert len(compiled.ts) == len(compiled.ys) == len(eager.ts)
    assert math.isclose(float(compiled.t1), float(eager.t1), rel_tol=1e-9)
    with pytest.raises(kt.SolveError, match=result.name):
        kt.solve(problem, kt.Tsit5(), engine=kt.Compiled(), **options)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3)).double()

    def forward(self, t, y, weight):
        return self.layers(y) * torch.cos(weight["rate"] * t) - 0.1 * y**3


def loss_and_gradients(method, engine, **options):
    net, shift = Net(), torch.tensor([0.3, -0.2, 0.1], dtype=F64, requires_grad=True)
    y0 = torch.linspace(-1, 1, 6, dtype=F64).reshape(2, 3).requires_grad_()
    rate = torch.tensor(1.3, dtype=F64, requires_grad=True)
    f = lambda t, y, weight: net(t, y, weight) + shift  # noqa: E731
    sol = kt.solve(kt.ODEProblem(f, y0, (0.0, 2.0), args=({"rate": rate},)), method, engine=engine, **options)
    weights = torch.arange(1.0, len(sol.ys) + 1, dtype=F64).view(-1, 1, 1)
    loss = (sol.ys * weights).sin().sum() + sol.y1.square().sum()
    return loss.detach(), torch.autograd.grad(loss, (y0, rate, shift, *net.parameters()))


@pytest.mark.parametrize("saves", [False, True], ids=["the end", "outputs"])
@pytest.mark.parametrize(
    "method",
    [kt.Heun(), kt.Bosh3(), kt.RK4(), *(pytest.param(m, marks=pytest.mark.slow) for m in (kt.Tsit5(), kt.Dopri8()))],
    ids=lambda method: type(method).__name__,
)
def test_gradients_are_those_of_the_eager_engine(method, saves):
    # Several outputs in one step, at both ends of the solve, and at an end of a step.
    ts = torch.tensor([0.0, 0.1, 0.15, 0.5, 1.25, 2.0, 2.0], dtype=F64) if saves else None
    for options in ({"controller": kt.Fixed(0.25)}, {"rtol": 1e-5, "atol": 1e-5}):
        if method.error_order is None and "rtol" in options:
            continue
        loss, expected = loss_and_gradients(method, kt.Eager(), save_at=ts, **options)
        ours, found = loss_and_gradients(method, kt.Compiled(), save_at=ts, **options)
        tolerance = 1e-12 if "controller" in options else 1e-7
        torch.testing.assert_close(ours, loss, rtol=tolerance, atol=tolerance)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_gradients_go_on_through_more_steps_than_the_memory_holds(monkeypatch):
    from kutta.solvers.engines.compiled import gradient

    ts = torch.linspace(0, 2, 7, dtype=F64)
    options = {"controller": kt.Fixed(0.1), "save_at": ts}
    _, expected = loss_and_gradients(kt.Bosh3(), kt.Compiled(), **options)
    monkeypatch.setattr(gradient, "ROWS", 6)  # 20 steps
    _, found = loss_and_gradients(kt.Bosh3(), kt.Compiled(), **options)
    monkeypatch.setattr(gradient, "ROWS", 10)  # the last memory is full at the end
    _, again = loss_and_gradients(kt.Bosh3(), kt.Compiled(), **options)
    for one, two, other in zip(found, again, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(two, other, rtol=1e-12, atol=1e-12)


def test_gradients_agree_with_finite_differences():
    def f(t, y, rate):
        return torch.stack([y[1], -rate * torch.sin(y[0]) - 0.1 * y[1]])

    def end(y0, rate, t0, t1, ts):
        problem = kt.ODEProblem(f, y0, (t0, t1), args=(rate,))
        sol = kt.solve(problem, kt.Tsit5(), engine=kt.Compiled(), controller=kt.Fixed(0.125), save_at=ts)
        return sol.ys, sol.y1

    y0 = torch.tensor([1.0, 0.2], dtype=F64, requires_grad=True)
    rate = torch.tensor(2.0, dtype=F64, requires_grad=True)
    span = torch.tensor(0.0, dtype=F64), torch.tensor(1.0, dtype=F64)
    ts = torch.tensor([0.3, 0.7], dtype=F64)
    assert torch.autograd.gradcheck(lambda y0, rate: end(y0, rate, *span, ts), (y0, rate))


def network(y0, weight, bias, last, engine):
    """The end of a solve of a network, some of whose weights are normalised and some frozen."""

    def f(t, y):
        hidden = torch.tanh(nn.functional.linear(y, weight / weight.norm(), bias))
        return nn.functional.linear(hidden, last) - y.detach()

    return kt.solve(kt.ODEProblem(f, y0, (0.0, 1.0)), kt.Bosh3(), engine=engine, controller=kt.Fixed(0.25)).y1


def test_gradients_through_joined_layers():
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=generator, dtype=F64) for shape in ((2, 3), (5, 3), (5,), (3, 5))]
    for wanted in ((True, True, True, True), (False, True, False, True), (True, False, False, False)):
        given = [one.clone().requires_grad_(needed) for one, needed in zip(values, wanted, strict=True)]
        sources = [one for one in given if one.requires_grad]
        found, expected = (
            torch.autograd.grad(network(*given, engine).sin().sum(), sources) for engine in (kt.Compiled(), kt.Eager())
        )
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_through_joined_layers_agree_with_finite_differences():
    def end(y0, weight, bias):
        f = lambda t, y: torch.tanh(nn.functional.linear(y, weight, bias)) @ weight  # noqa: E731
        problem = kt.ODEProblem(f, y0, (0.0, 1.0))
        sol = kt.solve(problem, kt.Heun(), engine=kt.Compiled(), controller=kt.Fixed(0.25), save_at=[0.4, 1.0])
        return sol.ys, sol.y1

    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(s, generator=generator, dtype=F64, requires_grad=True) for s in ((2, 2), (3, 2), (3,))]
    assert torch.autograd.gradcheck(end, given)


def test_times_receive_their_gradients():
    def slopes(engine):
        times = [torch.tensor(t, dtype=F64, requires_grad=True) for t in (0.0, 1.0)]
        ts = torch.tensor([0.2, 0.8], dtype=F64, requires_grad=True)
        problem = kt.ODEProblem(oscillator, start(), tuple(times))
        sol = kt.solve(problem, kt.Dopri5(), engine=engine, save_at=ts, rtol=1e-9, atol=1e-9)
        return torch.autograd.grad(sol.ys.sin().sum() + sol.y1.square().sum(), (*times, ts))

    for found, expected in zip(slopes(kt.Compiled()), slopes(kt.Eager()), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_a_second_derivative_is_refused():
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    sol = kt.solve(kt.ODEProblem(lambda t, y: -(y**2), y0, (0.0, 1.0)), engine=kt.Compiled())
    with pytest.raises(NotImplementedError, match="second derivatives"):
        torch.autograd.grad(sol.y1.sum(), y0, create_graph=True)


def test_weights_changed_in_place_before_the_backward_pass_are_noticed():
    net = nn.Linear(2, 2).double()
    y0 = torch.ones(1, 2, dtype=F64)
    sol = kt.solve(kt.ODEProblem(lambda t, y: net(y), y0, (0.0, 1.0)), engine=kt.Compiled())
    with torch.no_grad():
        net.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        sol.y1.sum().backward()
