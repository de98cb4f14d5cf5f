"""Events under the kernel engine are those of the eager engine."""

import pytest
import torch

import kutta as kt
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

KERNEL = kt.Kernel()
METHODS = [kt.Tsit5(), kt.Bosh3(), kt.Dopri8(), kt.Rodas5P(), kt.RK4()]
FLOOR = kt.Event(lambda t, y, g: y[0], change=lambda t, y, g: torch.stack([y[0], -0.9 * y[1]]), direction=-1)


def fall(t, y, g):
    return torch.stack([y[1], -g + 0.0 * y[1]])


def falling(count=9, end=1.5):
    height = torch.linspace(0.2, 2.0, count, dtype=F64)
    y0 = torch.stack([height, torch.zeros(count, dtype=F64)], dim=1)
    return kt.EnsembleProblem(fall, y0, (0.0, end), (torch.tensor(9.81, dtype=F64),))


def both(problem, method=None, **options):
    options = {"rtol": 1e-9, "atol": 1e-9} | options
    return [kt.solve(problem, method, engine=engine, **options) for engine in (kt.Eager(), KERNEL)]


def by_trajectory(sol):
    """All events of each trajectory, in their order: number, time and state."""
    found = []
    for record in sol.events:
        lanes = torch.zeros(1) if record.trajectories is None else record.trajectories
        t, y = record.t.reshape(-1), record.y.reshape(len(lanes), -1)
        found += [(int(lane), float(t[i]), record.event, y[i].tolist()) for i, lane in enumerate(lanes)]
    return sorted(found)


def same(eager, kernel, within=1e-8):
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=within, atol=within)
    torch.testing.assert_close(kernel.ys, eager.ys, rtol=within, atol=within, equal_nan=True)
    torch.testing.assert_close(kernel.t1, eager.t1, rtol=within, atol=within)
    assert kernel.result == eager.result and kernel.stats.engine == "kernel"
    one, other = by_trajectory(eager), by_trajectory(kernel)
    assert [(lane, event) for lane, _, event, _ in one] == [(lane, event) for lane, _, event, _ in other] and one
    for (_, t, _, y), (_, u, _, z) in zip(one, other, strict=True):
        assert t == pytest.approx(u, abs=within) and y == pytest.approx(z, abs=within)


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_balls_that_bounce(method):
    options = {"dt0": 0.01} if isinstance(method, kt.RK4) else {}
    save = torch.linspace(0.0, 1.5, 31, dtype=F64)
    same(*both(falling(), method, events=[FLOOR], save_at=save, **options))


def test_against_the_exact_times():
    sol = both(falling(), events=[FLOOR])[1]
    first = {lane: t for lane, t, _, _ in reversed(by_trajectory(sol))}
    for lane, height in enumerate(torch.linspace(0.2, 2.0, 9, dtype=F64).tolist()):
        assert first[lane] == pytest.approx((2 * height / 9.81) ** 0.5, abs=1e-9)


def test_an_event_that_ends_the_solve():
    landing = kt.Event(lambda t, y, g: y[0])
    eager, kernel = both(falling(end=0.4), events=[landing], save_at=[0.1, 0.25, 0.4])
    same(eager, kernel)
    assert kt.Result.EVENT in list(kernel.result) and kt.Result.SUCCESS in list(kernel.result)


@pytest.mark.parametrize("direction", [-1, 0, 1])
@pytest.mark.parametrize("span", [(0.0, 7.0), (7.0, 0.0)], ids=["forwards", "backwards"])
def test_directions(direction, span):
    noted = kt.Event(lambda t, y: y[0] - 0.3, terminal=False, direction=direction)
    y0 = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.2]], dtype=F64)
    same(*both(kt.EnsembleProblem(lambda t, y: torch.stack([y[1], -y[0]]), y0, span), events=[noted]))


def test_several_events_and_times_of_their_own():
    events = [
        kt.Event(lambda t, y: y[0], terminal=False),
        kt.Event(lambda t, y: t - 2.0, change=lambda t, y: 1.5 * y),
        kt.Event(lambda t, y: y.square().sum() - 30.0),
    ]
    y0 = torch.tensor([[1.0, 0.0], [0.0, 3.0], [5.0, 1.0], [2.0, 2.0]], dtype=F64)
    ends = torch.tensor([1.0, 5.0, 9.0, 3.0], dtype=F64)
    save = torch.linspace(0.0, 1.0, 7, dtype=F64)[:, None] * ends
    problem = kt.EnsembleProblem(lambda t, y: torch.stack([y[1], -y[0]]), y0, (0.0, ends))
    same(*both(problem, events=events, save_at=save))


def test_a_condition_that_is_zero_at_the_start():
    y0 = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=F64)
    events = [kt.Event(lambda t, y: y[0], terminal=False)]
    same(*both(kt.EnsembleProblem(lambda t, y: torch.stack([y[1], -y[0]]), y0, (0.0, 10.0)), events=events))


def test_one_trajectory():
    ball = falling()
    problem = kt.ODEProblem(fall, ball.y0[4], (0.0, 1.5), ball.args)
    eager, kernel = both(problem, events=[FLOOR], save_at=torch.linspace(0.0, 1.5, 16, dtype=F64))
    same(eager, kernel)
    assert isinstance(kernel.stats.steps, int) and kernel.y1.shape == (2,) and kernel.events[0].trajectories is None


def test_vectorized():
    def f(t, y):
        return torch.stack([y[:, 1], -y[:, 0]], dim=1)

    y0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=F64)
    problem = kt.EnsembleProblem(f, y0, (0.0, 5.0), vectorized=True)
    same(*both(problem, events=[kt.Event(lambda t, y: y[:, 0] - 0.1, terminal=False)]))


def test_gradients():
    """Through the times and states of events, and through what they change."""

    def solved(engine):
        y0, g = falling().y0.clone().requires_grad_(), torch.tensor(9.81, dtype=F64, requires_grad=True)
        problem = kt.EnsembleProblem(fall, y0, (0.0, 1.5), (g,))
        save = torch.linspace(0.0, 1.5, 7, dtype=F64)
        sol = kt.solve(problem, kt.Dopri8(), rtol=1e-11, atol=1e-11, events=[FLOOR], save_at=save, engine=engine)
        total = sol.y1.sum() + sol.ys[..., 0].square().sum() + sum(record.t.sum() for record in sol.events)
        return torch.autograd.grad(total, (y0, g))

    for one, other in zip(solved(kt.Eager()), solved(KERNEL), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_many_events_in_lanes_that_are_filled_again():
    """More trajectories than lanes; each is stopped often, at places of its own."""
    speed = torch.linspace(1.0, 3.0, 100, dtype=F64)
    tick = kt.Event(lambda t, y, w: torch.sin(y[0]), terminal=False)
    y0 = torch.full((100, 1), 0.5, dtype=F64)
    problem = kt.EnsembleProblem(lambda t, y, w: w.expand(1) + 0.0 * y, y0, (0.0, 12.0), (speed,))
    eager, kernel = both(problem, events=[tick], controller=kt.PID(dtmax=0.5))
    same(eager, kernel)
    times = torch.tensor([t for lane, t, _, _ in by_trajectory(kernel) if lane == 99], dtype=F64)
    expected = (torch.pi * torch.arange(1, len(times) + 1, dtype=F64) - 0.5) / 3.0
    torch.testing.assert_close(times, expected, rtol=0.0, atol=1e-9)


def test_a_failure_after_an_event():
    turn = kt.Event(lambda t, y: t - 0.3, change=lambda t, y: 10.0 * y)
    problem = kt.EnsembleProblem(lambda t, y: y * y, torch.tensor([[0.05], [1.0]], dtype=F64), (0.0, 1.0))
    eager, kernel = both(problem, events=[turn], throw=False, save_at=[0.2, 0.35, 1.0])
    assert kernel.result.failed.tolist() == eager.result.failed.tolist() == [False, True]
    torch.testing.assert_close(kernel.ys, eager.ys, rtol=1e-6, atol=1e-6, equal_nan=True)
    with pytest.raises(kt.SolveError, match="trajectory 1"):
        kt.solve(problem, events=[turn], engine=KERNEL)
    with pytest.raises(kt.SolveError, match="at t = "):
        kt.solve(kt.ODEProblem(lambda t, y: y * y, torch.ones(1, dtype=F64), (0.0, 2.0)), events=[turn], engine=KERNEL)


def test_a_condition_of_the_wrong_shape():
    with pytest.raises(ValueError, match="one real number a trajectory"):
        kt.solve(falling(), events=[kt.Event(lambda t, y, g: y)], engine=KERNEL)
