"""Events: where they are found, which one wins, and what happens then."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import TIGHT, tensor, turn

UP = tensor(1.0, 0.0)  # y = (cos t, -sin t)
METHODS = [kt.Tsit5(), kt.Dopri5(), kt.Dopri8(), kt.Bosh3(), kt.Vern7(), kt.Rodas5P()]


def solve(*events, y0=UP, span=(0.0, 10.0), f=turn, args=(), **options):
    return kt.solve(kt.ODEProblem(f, y0, span, args), events=list(events), **{**TIGHT, **options})


def first(t, y):
    return y[0]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_terminal_event_ends_the_solve_at_the_root(method):
    sol = solve(kt.Event(first), method=method, rtol=1e-9, atol=1e-11)
    assert sol.result is kt.Result.EVENT and not sol.result.failed
    assert abs(float(sol.t1) - math.pi / 2) < 1e-7
    assert abs(float(sol.y1[0])) < 1e-12 and len(sol.events) == 1 and torch.equal(sol.events[0].y, sol.y1)


@pytest.mark.parametrize("direction, wanted", [(0, 0.5), (-1, 0.5), (1, 1.5)])
def test_the_direction_of_a_crossing(direction, wanted):
    assert abs(float(solve(kt.Event(first, direction=direction)).t1) - wanted * math.pi) < 1e-9


@pytest.mark.parametrize("direction, wanted", [(0, -0.5), (-1, -0.5), (1, -1.5)])
def test_the_direction_is_that_of_the_solve_when_time_runs_backwards(direction, wanted):
    sol = solve(kt.Event(first, direction=direction), span=(0.0, -10.0))
    assert abs(float(sol.t1) - wanted * math.pi) < 1e-9


def test_an_event_that_does_not_happen():
    sol = solve(kt.Event(lambda t, y: y[0] - 2.0))
    assert sol.result is kt.Result.SUCCESS and sol.events == () and float(sol.t1) == 10.0


def test_events_that_do_not_end_the_solve_are_all_recorded():
    sol = solve(kt.Event(first, terminal=False))
    wanted = [(k + 0.5) * math.pi for k in range(3)]
    assert [round(float(record.t) - w, 8) for record, w in zip(sol.events, wanted, strict=True)] == [0.0] * 3
    assert sol.result is kt.Result.SUCCESS
    assert abs(float(sol.y1[0]) - math.cos(10)) < 1e-8


def test_of_several_the_first_in_time_wins():
    late, early = kt.Event(first), kt.Event(lambda t, y: t - 1.2)
    sol = solve(late, early)
    assert sol.events[0].event == 1 and abs(float(sol.t1) - 1.2) < 1e-12


def test_of_two_in_one_step_the_first_wins():
    events = [kt.Event(lambda t, y, at=at: t - at) for at in (0.55, 0.52, 0.58)]
    sol = solve(*events, method=kt.RK4(), controller=kt.Fixed(0.5))
    assert sol.events[0].event == 1 and abs(float(sol.t1) - 0.52) < 1e-12


def test_several_in_one_step_are_each_recorded_in_order():
    events = [kt.Event(lambda t, y, at=at: t - at, terminal=False) for at in (0.55, 0.52, 0.58)]
    sol = solve(*events, method=kt.RK4(), controller=kt.Fixed(0.5))
    assert [record.event for record in sol.events] == [1, 0, 2]


def test_two_balls_that_land_at_the_same_time_both_bounce():
    def two(t, y):
        return torch.stack([y[2], y[3], -9.81 + 0 * y[0], -9.81 + 0 * y[0]])

    def bounce(i):
        flip = torch.ones(4, dtype=torch.float64)
        flip[2 + i] = -1.0
        return kt.Event(lambda t, y: y[i], change=lambda t, y: flip * y, direction=-1)

    sol = solve(bounce(0), bounce(1), f=two, y0=tensor(1.0, 1.0, 0.0, 0.0), span=(0.0, 0.8))
    assert sorted(record.event for record in sol.events) == [0, 1]
    assert abs(float(sol.y1[0] - sol.y1[1])) < 1e-9


def test_a_condition_that_is_zero_at_the_start_is_no_crossing():
    sol = solve(kt.Event(lambda t, y: y[1]))
    assert abs(float(sol.t1) - math.pi) < 1e-9


def test_a_condition_that_is_zero_at_the_start_and_leaves_against_time():
    sol = solve(kt.Event(lambda t, y: y[1]), span=(0.0, -10.0))
    assert abs(float(sol.t1) + math.pi) < 1e-9


def test_touching_zero_is_no_crossing():
    assert solve(kt.Event(lambda t, y: (t - 1.0) ** 2)).result is kt.Result.SUCCESS


def test_a_root_at_the_final_time_is_found():
    sol = solve(kt.Event(lambda t, y: t - 2.0), span=(0.0, 2.0))
    assert float(sol.t1) == 2.0 and len(sol.events) == 1


def test_outputs_after_a_terminal_event_are_left_out():
    sol = solve(kt.Event(first), save_at=[0.0, 1.0, 1.5, 2.0, 3.0])
    assert sol.ts.tolist() == [0.0, 1.0, 1.5] and sol.ys.shape == (3, 2)


def test_every_step_ends_at_the_event():
    sol = solve(kt.Event(first), save_at="steps")
    assert float(sol.ts[-1]) == float(sol.t1) and torch.allclose(sol.ys[-1], sol.y1, rtol=0, atol=1e-15)


def test_dense_output_ends_at_the_event():
    sol = solve(kt.Event(first), dense=True)
    assert abs(float(sol(1.0)[0]) - math.cos(1.0)) < 1e-8
    with pytest.raises(ValueError, match="outside the solve"):
        sol(2.0)


def fall(t, y, e):
    return torch.stack([y[1], -9.81 + 0 * y[1]])


def bouncing(rate=0.9):
    return kt.Event(lambda t, y, e: y[0], change=lambda t, y, e: torch.stack([0 * y[0], -e * y[1]]), direction=-1)


def bounce_times(e, end):
    t, speed, times = math.sqrt(2 / 9.81), math.sqrt(2 * 9.81), []
    while t < end:
        times.append(t)
        speed *= e
        t += 2 * speed / 9.81
    return times


@pytest.mark.parametrize("e", [0.9, 0.5])
def test_a_ball_bounces_when_it_should(e):
    rate = torch.tensor(e, dtype=torch.float64)
    sol = solve(bouncing(), f=fall, y0=tensor(1.0, 0.0), span=(0.0, 1.3), args=(rate,))
    wanted = bounce_times(e, 1.3)
    got = [float(record.t) for record in sol.events]
    assert len(got) == len(wanted) and max(abs(a - b) for a, b in zip(got, wanted, strict=True)) < 1e-9


def test_a_ball_that_comes_to_rest_falls_through_no_floor_before_its_bounces_end():
    rate = torch.tensor(0.5, dtype=torch.float64)
    limit = math.sqrt(2 / 9.81) * 3  # where infinitely many bounces end
    sol = solve(bouncing(), f=fall, y0=tensor(1.0, 0.0), span=(0.0, limit - 1e-3), args=(rate,), save_at="steps")
    assert float(sol.ys[:, 0].min()) > -1e-9


def test_dense_output_over_changes_of_state():
    rate = torch.tensor(0.9, dtype=torch.float64)
    sol = solve(bouncing(), f=fall, y0=tensor(1.0, 0.0), span=(0.0, 1.3), args=(rate,), dense=True)
    t1, speed = bounce_times(0.9, 1.3)[0], 0.9 * math.sqrt(2 * 9.81)
    t = 0.9
    assert abs(float(sol(t)[0]) - (speed * (t - t1) - 9.81 / 2 * (t - t1) ** 2)) < 1e-8


def test_a_pytree_and_arguments_reach_condition_and_change():
    def f(t, s, level):
        return {"q": s["p"], "p": -s["q"]}

    event = kt.Event(
        lambda t, s, level: s["q"] - level, change=lambda t, s, level: {"q": s["q"], "p": -s["p"]}, direction=-1
    )
    state = {"q": tensor(1.0), "p": tensor(0.0)}
    sol = kt.solve(kt.ODEProblem(f, state, (0.0, 2.0), (0.5,)), events=[event], **TIGHT)
    assert abs(float(sol.events[0].t) - math.pi / 3) < 1e-9
    assert abs(float(sol.y1["q"]) - math.cos(math.pi / 3 - (2.0 - math.pi / 3))) < 1e-8


def test_a_condition_of_two_entries_is_refused():
    with pytest.raises(ValueError, match=r"events\[0\].condition must return a real tensor with one entry"):
        solve(kt.Event(lambda t, y: y))


def test_a_condition_that_is_no_tensor_is_refused():
    with pytest.raises(ValueError, match="one entry; got float"):
        solve(kt.Event(lambda t, y: 1.0))


@pytest.mark.parametrize("changed", [lambda y: y[:1], lambda y: y.float(), lambda y: None, lambda y: (y,)])
def test_a_change_that_is_no_state_is_refused(changed):
    with pytest.raises(ValueError, match=r"events\[0\].change must return a state like y0"):
        solve(kt.Event(first, change=lambda t, y: changed(y)))


def test_the_gradient_of_a_touching_event_is_refused():
    y0 = UP.clone().requires_grad_()
    with pytest.raises(ValueError, match="only touches"):
        solve(kt.Event(lambda t, y: torch.clamp(t - 1.0, max=0.0) + torch.relu(t - 1.0) * 0.0), y0=y0)


def test_events_under_vmap_are_refused():
    def landing(y0):
        return kt.solve(kt.ODEProblem(turn, y0, (0.0, 5.0)), events=[kt.Event(first)], **TIGHT).t1

    starts = torch.stack([UP, tensor(1.0, -0.5)])
    for mapped in (torch.func.vmap(landing), torch.func.vmap(torch.func.grad(landing))):
        with pytest.raises(NotImplementedError, match="EnsembleProblem instead"):
            mapped(starts)
    assert torch.func.jacfwd(landing)(UP).shape == torch.func.jacrev(landing)(UP).shape == (2,)
