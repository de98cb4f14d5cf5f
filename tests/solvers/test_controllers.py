"""Step-size control: formulas by hand, limits, and times to land on."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.initial_step import initial_step
from kutta.solvers.tolerance import Tolerance
from kutta.state import layout_of
from tests._helpers import F64, TIGHT, swing, tensor, turn, van_der_pol

START = tensor(1.0, 0.0)
problem = kt.ODEProblem(swing, START, (0.0, 3.0))


# Soderlind's formulas by hand.


def test_the_integral_controller():
    ratio, factor = kt.I().factor(0.3, (), 5)
    assert ratio == 0.3 and abs(factor - 0.9 * 0.3 ** (-1 / 5)) < 1e-15


def test_the_pi_controller():
    # h_{n+1} = h_n (1/r_n)^((kI + kP)/k) (1/r_{n-1})^(-kP/k)
    _, factor = kt.PI().factor(0.3, (0.8,), 5)
    assert abs(factor - 0.9 * (1 / 0.3) ** (0.7 / 5) * (1 / 0.8) ** (-0.4 / 5)) < 1e-15


def test_the_pid_controller():
    # b1 = kP + kI + kD, b2 = -(kP + 2 kD), b3 = kD
    controller = kt.PID(proportional=0.2, integral=0.4, derivative=0.1, safety=0.8)
    _, factor = controller.factor(0.3, (0.8, 1.7), 4)
    assert abs(factor - 0.8 * (1 / 0.3) ** (0.7 / 4) * (1 / 0.8) ** (-0.4 / 4) * (1 / 1.7) ** (0.1 / 4)) < 1e-15


def test_tensors_follow_the_same_formula():
    controller = kt.PID(proportional=0.2, integral=0.4, derivative=0.1)
    ratios, past, older = tensor(0.3, 1.5, 1e-20), tensor(0.8, 1.0, 0.1), tensor(1.7, 1.0, 1.0)
    _, factors = controller.factor(ratios, (past, older), 4)
    for i in range(3):
        _, one = controller.factor(float(ratios[i]), (float(past[i]), float(older[i])), 4)
        assert abs(float(factors[i]) - one) < 1e-14


@pytest.mark.parametrize("ratio", [0.0, 1e-30, math.inf, math.nan, 1e30])
def test_factors_stay_within_their_limits(ratio):
    for given in (ratio, tensor(ratio)):
        _, factor = kt.PID().factor(given, (1.0,), 5)
        assert float(factor) == (10.0 if ratio < 1 else 0.2)


def test_the_step_after_a_rejection_does_not_grow():
    sol = kt.solve(kt.ODEProblem(van_der_pol, tensor(2.0, 0.0), (0.0, 20.0), (10.0,)), save_at="steps", dt0=1.0)
    assert sol.stats.rejected > 0 and float(sol.ts[1]) < 1.0


def test_tighter_tolerances_give_smaller_errors_and_more_steps():
    reference = kt.solve(problem, kt.Dopri8(), rtol=1e-13, atol=1e-14).y1
    errors, steps = [], []
    for rtol in (1e-3, 1e-5, 1e-7, 1e-9):
        sol = kt.solve(problem, rtol=rtol, atol=rtol)
        errors.append(float((sol.y1 - reference).norm()))
        steps.append(sol.stats.steps)
    assert errors == sorted(errors, reverse=True) and steps == sorted(steps)
    assert all(error < 50 * rtol for error, rtol in zip(errors, (1e-3, 1e-5, 1e-7, 1e-9), strict=True))


# Limits.


def test_dtmax_bounds_every_step():
    sol = kt.solve(problem, controller=kt.PID(dtmax=0.05), save_at="steps")
    assert float(torch.diff(sol.ts).max()) <= 0.05 * (1 + 1.1e-3)


def test_dtmin_with_force_accepts_whatever_the_error():
    controller = kt.PID(dtmin=0.1, force_dtmin=True)
    sol = kt.solve(problem, controller=controller, save_at="steps", rtol=1e-12, atol=1e-14)
    assert sol.result is kt.Result.SUCCESS and 30 <= sol.stats.accepted <= 31


def test_dtmin_without_force_fails():
    sol = kt.solve(problem, controller=kt.PID(dtmin=0.1), rtol=1e-12, atol=1e-14, throw=False)
    assert sol.result is kt.Result.STEP_UNDERFLOW


def test_force_dtmin_accepts_no_nan():
    f = kt.ODEProblem(lambda t, y: y / 0.0, START, (0.0, 1.0))
    assert kt.solve(f, controller=kt.PID(dtmin=0.1, force_dtmin=True), throw=False).result is kt.Result.NON_FINITE


# Times to land on.


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("controller", [kt.PID, lambda **k: kt.Fixed(0.13, **k)], ids=["PID", "Fixed"])
def test_step_ts_are_hit_exactly(direction, controller):
    stops = [0.1, 0.5, 1.0 / 3.0, 0.9]
    forced = controller(step_ts=[direction * stop for stop in stops])
    sol = kt.solve(kt.ODEProblem(swing, START, (0.0, direction)), controller=forced, save_at="steps")
    assert {direction * stop for stop in stops} <= set(sol.ts.tolist())


def test_stops_outside_the_solve_do_no_harm():
    plain = kt.solve(problem)
    assert torch.equal(kt.solve(problem, controller=kt.PID(step_ts=[-1.0, 0.0, 3.0, 7.0], jump_ts=[5.0])).y1, plain.y1)


def square_wave(t, y):
    return torch.where((t >= 0.5) & (t < 1.25), 2.0, -1.0) * y + 0 * t


def jumped(method, n, jumps):
    controller = kt.Fixed(2.0 / n, jump_ts=[0.5, 1.25] if jumps else ())
    sol = kt.solve(kt.ODEProblem(square_wave, tensor(1.0), (0.0, 2.0)), method, controller=controller)
    return abs(float(sol.y1) - math.exp(-0.5 + 1.5 - 0.75))


@pytest.mark.parametrize(
    "method", [kt.RK4(), kt.Dopri5(), kt.Bosh3(), kt.AdamsBashforth(3)], ids=lambda m: type(m).__name__
)
def test_a_discontinuous_right_hand_side_is_solved_to_full_order(method):
    slope = math.log2(jumped(method, 40, True) / jumped(method, 80, True))
    print(f"order of {type(method).__name__} over jumps: {slope:.2f}")
    assert slope > method.order - 0.35
    assert jumped(method, 44, False) > 20 * jumped(method, 44, True)


@pytest.mark.parametrize("span", [(0.0, 2.0), (2.0, 0.0)])
def test_jumps_save_rejected_steps_in_both_directions(span):
    exact = math.exp(0.25 if span[0] == 0.0 else -0.25)
    wave = kt.ODEProblem(square_wave, tensor(1.0), span)
    plain = kt.solve(wave, rtol=1e-8, atol=1e-10)
    told = kt.solve(wave, rtol=1e-8, atol=1e-10, controller=kt.PID(jump_ts=[0.5, 1.25]))
    assert told.stats.rejected < plain.stats.rejected and abs(float(told.y1) - exact) < 1e-7


def test_fixed_steps_land_on_the_end():
    sol = kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.7), save_at="steps")
    assert torch.allclose(sol.ts, tensor(0.0, 0.7, 1.4, 2.1, 2.8, 3.0), atol=1e-15) and float(sol.ts[-1]) == 3.0


def test_many_fixed_steps_do_not_leave_a_sliver():
    sol = kt.solve(kt.ODEProblem(turn, START, (0.0, 1.0)), kt.Euler(), controller=kt.Fixed(1e-3))
    assert sol.stats.steps == 1000


@pytest.mark.parametrize("grid", [[0.0, 0.1, 0.2, 1.0, 3.0], tensor(0.0, 1.7, 3.0)])
def test_a_prescribed_list_of_steps(grid):
    sol = kt.solve(problem, kt.RK4(), controller=kt.StepTo(grid), save_at="steps")
    assert sol.ts.tolist() == list(map(float, grid))


def test_a_prescribed_list_backwards():
    sol = kt.solve(
        kt.ODEProblem(turn, START, (1.0, 0.0)), kt.RK4(), controller=kt.StepTo([1.0, 0.3, 0.0]), save_at="steps"
    )
    assert sol.ts.tolist() == [1.0, 0.3, 0.0]


def test_a_prescribed_list_that_does_not_fit_the_span_is_refused():
    with pytest.raises(ValueError, match="StepTo"):
        kt.solve(problem, kt.RK4(), controller=kt.StepTo([0.0, 1.0, 2.0]))


def test_the_frozen_steps_of_an_adaptive_solve_give_the_same_states():
    adaptive = kt.solve(problem, save_at="steps")
    replayed = kt.solve(problem, controller=kt.StepTo(adaptive.ts), save_at="steps")
    assert torch.allclose(replayed.ys, adaptive.ys, rtol=0, atol=1e-14)


# Norms and tolerances.


def test_a_norm_of_one_s_own():
    loose = kt.solve(problem, controller=kt.PID(norm=lambda e: 0.01 * kt.rms_norm(e)))
    default = kt.solve(problem)
    same = kt.solve(problem, controller=kt.PID(norm=kt.rms_norm))
    strict = kt.solve(problem, controller=kt.PID(norm=kt.max_norm))
    assert loose.stats.steps < default.stats.steps <= strict.stats.steps and torch.allclose(same.y1, default.y1)


def test_a_norm_sees_the_structure_of_the_state():
    seen = []

    def norm(tree):
        seen.append(sorted(tree))
        return kt.rms_norm(tree)

    f = kt.ODEProblem(lambda t, s: {"q": s["p"], "p": -s["q"]}, {"q": START[:1], "p": START[1:]}, (0.0, 1.0))
    kt.solve(f, controller=kt.PID(norm=norm))
    assert seen and all(keys == ["p", "q"] for keys in seen)


def test_a_norm_that_gives_no_number_is_refused():
    with pytest.raises(ValueError, match="norm must return one number"):
        kt.solve(problem, controller=kt.PID(norm=lambda e: e))


def test_norms_by_hand():
    assert float(kt.rms_norm(tensor(3.0, 4.0))) == pytest.approx(math.sqrt(12.5))
    assert float(kt.rms_norm((tensor(3.0), tensor(4.0)))) == pytest.approx(math.sqrt(12.5))
    assert float(kt.max_norm((tensor(3.0), tensor(-4.0)))) == 4.0


def test_the_error_ratio_by_hand():
    layout = layout_of(START, False)
    ratio = Tolerance(1e-2, tensor(1e-3, 1e-1), None, layout).ratio(
        tensor(1e-2, 2e-2), tensor(1.0, 2.0), tensor(3.0, 1.0)
    )
    wanted = math.sqrt(((1e-2 / (1e-3 + 3e-2)) ** 2 + (2e-2 / (1e-1 + 2e-2)) ** 2) / 2)
    assert float(ratio) == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("rtol", [torch.tensor(1e-6), tensor(1e-6, 1e-6), 1e-6])
def test_tolerances_as_tensors(rtol):
    assert (
        kt.solve(problem, rtol=rtol, atol=torch.tensor(1e-8)).stats.steps
        == kt.solve(problem, rtol=1e-6, atol=1e-8).stats.steps
    )


def test_a_loose_entry_does_not_ask_for_steps():
    f = kt.ODEProblem(
        lambda t, y: torch.stack([-y[0], 50 * torch.cos(50 * t) + 0 * y[1]]), tensor(1.0, 0.0), (0.0, 1.0)
    )
    strict, loose = kt.solve(f, atol=1e-7), kt.solve(f, atol=tensor(1e-7, 1e3))
    assert loose.stats.steps < 0.3 * strict.stats.steps


def test_tolerances_as_a_pytree():
    f = kt.ODEProblem(lambda t, s: {"q": s["p"], "p": -s["q"]}, {"q": START[:1], "p": START[1:]}, (0.0, 3.0))
    same = kt.solve(f, atol={"q": 1e-7, "p": tensor(1e-7)})
    assert same.stats.steps == kt.solve(f, atol=1e-7).stats.steps


def test_zero_absolute_tolerance():
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y, tensor(1.0), (0.0, 10.0)), rtol=1e-8, atol=0.0)
    assert abs(float(sol.y1) / math.exp(-10) - 1) < 1e-6


# Hairer's initial step.


def hairer(f, t, y, direction, rtol, atol, order):
    """HNW I, II.4, in plain numbers."""
    scale = [atol + rtol * abs(v) for v in y]
    norm = lambda v: math.sqrt(sum((a / s) ** 2 for a, s in zip(v, scale, strict=True)) / len(v))  # noqa: E731
    slope = f(t, y)
    d0, d1 = norm(y), norm(slope)
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    ahead = f(t + direction * h0, [a + direction * h0 * b for a, b in zip(y, slope, strict=True)])
    d2 = norm([a - b for a, b in zip(ahead, slope, strict=True)]) / h0
    h1 = max(1e-6, h0 * 1e-3) if max(d1, d2) <= 1e-15 else (0.01 / max(d1, d2)) ** (1 / (order + 1))
    return min(100 * h0, h1)


@pytest.mark.parametrize("direction", [1.0, -1.0])
@pytest.mark.parametrize("y", [(1.0, 0.5), (0.0, 0.0), (1e-9, 3.0)])
def test_the_first_step_is_hairer_s(direction, y):
    def plain(t, y):
        return [y[1] + t, -10 * y[0] * y[1]]

    class Field:
        def derivative(self, t, y):
            return torch.stack([y[1] + t, -10 * y[0] * y[1]])

    start = tensor(*y)
    tolerance = Tolerance(1e-4, 1e-6, None, layout_of(start, False))
    slope = Field().derivative(0.3, start)
    got = initial_step(Field(), 0.3, start, slope, direction, tolerance, 5)
    assert float(got) == pytest.approx(hairer(plain, 0.3, list(y), direction, 1e-4, 1e-6, 5), rel=1e-8)


def test_the_first_step_of_a_constant_solution_is_small_and_grows():
    sol = kt.solve(kt.ODEProblem(lambda t, y: torch.zeros_like(y), START, (0.0, 1e6)))
    assert sol.result is kt.Result.SUCCESS and sol.stats.steps < 30


def test_a_steep_right_hand_side_in_float32_gets_a_first_step():
    steep = kt.ODEProblem(lambda t, y: -1e25 * y, torch.ones(1), (0.0, 1e-25))
    sol = kt.solve(steep, max_steps=200)
    assert abs(float(sol.y1) - math.exp(-1)) < 1e-4


def test_first_steps_of_an_ensemble_are_those_of_each():
    mu = tensor(0.5, 5.0, 50.0)
    y0 = tensor(2.0, 0.1).expand(3, 2)
    sol = kt.solve(kt.EnsembleProblem(van_der_pol, y0, (0.0, 1.0), (mu,)), save_at="steps", **TIGHT)
    for row in range(3):
        alone = kt.solve(kt.ODEProblem(van_der_pol, y0[0], (0.0, 1.0), (mu[row],)), save_at="steps", **TIGHT)
        assert float(sol.ts[1, row]) == pytest.approx(float(alone.ts[1]), rel=1e-8)
    assert sol.ts.dtype == F64


# Steps limited by the state.


def steepening(t, u, dx=0.01):
    return -(0.5 * u**2 - 0.5 * u.roll(1) ** 2) / dx


def hill():
    return 2 + torch.sin(2 * torch.pi * torch.arange(100, dtype=torch.float64) / 100)


def crossing(t, u):
    return 0.01 / u.abs().max()


def sizes(sol):
    return torch.diff(sol.ts)


def test_steps_are_as_large_as_the_condition_allows():
    problem = kt.ODEProblem(steepening, hill(), (0.0, 0.2))
    sol = kt.solve(problem, kt.SSPRK33(), controller=kt.CFL(crossing, 0.9), save_at="steps")
    limits = torch.stack([0.9 * crossing(0.0, u) for u in sol.ys[:-1]])
    assert torch.allclose(sizes(sol)[:-1], limits[:-1], rtol=1e-9)
    assert bool((sizes(sol) <= limits * (1 + 2e-3)).all())
    variation = sol.ys.diff(dim=1, append=sol.ys[:, :1]).abs().sum(1)
    assert bool((variation.diff() <= 1e-12).all())  # what Euler's method with upwind differences keeps


def test_a_limit_on_other_controllers():
    problem = kt.ODEProblem(steepening, hill(), (0.0, 0.2))
    limit = lambda t, u: 0.5 * crossing(t, u)  # noqa: E731
    for controller in (
        kt.Fixed(0.01, max_step=limit),
        kt.PID(max_step=limit),
        kt.StepTo((0.0, 0.1, 0.2), max_step=limit),
    ):
        method = kt.Bosh3() if isinstance(controller, kt.PID) else kt.SSPRK33()
        sol = kt.solve(problem, method, controller=controller, save_at="steps", rtol=1e-2)
        allowed = torch.stack([limit(0.0, u) for u in sol.ys[:-1]])
        assert bool((sizes(sol) <= allowed * (1 + 2e-3)).all())
    small = kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(1e-3, max_step=limit)).stats.steps
    assert small == 200  # the limit does not enlarge a step


def test_both_limits_count_and_stops_are_kept():
    controller = kt.CFL(crossing, 0.9, max_step=lambda t, u: 1e-3, step_ts=(0.0105,))
    problem = kt.ODEProblem(steepening, hill(), (0.0, 0.02))
    sol = kt.solve(problem, kt.SSPRK33(), controller=controller, save_at="steps")
    assert float(sizes(sol).max()) <= 1.002e-3 and 0.0105 in sol.ts.tolist()


def test_no_gradient_flows_through_a_limit():
    y0 = hill().requires_grad_()
    problem = kt.ODEProblem(steepening, y0, (0.0, 0.02))
    sol = kt.solve(problem, kt.SSPRK33(), controller=kt.CFL(crossing), save_at="steps")
    steps = kt.StepTo(sol.ts.detach().tolist())
    wanted = torch.autograd.grad(kt.solve(problem, kt.SSPRK33(), controller=steps).y1.square().sum(), y0)[0]
    found = torch.autograd.grad(sol.y1.square().sum(), y0)[0]
    assert torch.allclose(found, wanted, rtol=1e-10)


def test_a_state_without_a_limit_ends_the_solve():
    """Such as water of negative depth, whose waves have no speed."""
    problem = kt.ODEProblem(lambda t, y: -torch.ones_like(y), torch.ones(1, dtype=F64), (0.0, 2.0))
    controller = kt.CFL(lambda t, y: torch.where(y.amin() > 0.0, 0.3, math.nan))
    sol = kt.solve(problem, kt.Euler(), controller=controller, save_at="steps", throw=False)
    assert sol.result == kt.Result.NON_FINITE and float(sol.y1) == pytest.approx(-0.2) and len(sol.ts) == 5
    with pytest.raises(kt.SolveError, match=r"NON_FINITE at t = 1\.2"):
        kt.solve(problem, kt.Euler(), controller=controller)


def test_limits_that_cannot_be_are_refused():
    problem = kt.ODEProblem(steepening, hill(), (0.0, 0.02))
    for bad in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="the largest step size must be positive; at t = 0"):
            kt.solve(problem, kt.SSPRK33(), controller=kt.CFL(lambda t, u, bad=bad: bad))
    with pytest.raises(TypeError, match=r"crossing\(t, y\) must return a time; got None"):
        kt.solve(problem, kt.SSPRK33(), controller=kt.CFL(lambda t, u: None))
    with pytest.raises(TypeError, match="crossing"):
        kt.CFL()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"CFL\(crossing\) needs a function"):
        kt.CFL(0.5)
    with pytest.raises(ValueError, match="positive, finite number"):
        kt.CFL(crossing, 0.0)
    with pytest.raises(TypeError, match="max_step must be a function"):
        kt.Fixed(0.1, max_step=0.1)
    family = kt.EnsembleProblem(lambda t, y: -y, torch.ones(2, 3), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="max_step and CFL are for problems with one step size"):
        kt.solve(family, kt.SSPRK33(), controller=kt.CFL(crossing))
    with pytest.raises(NotImplementedError, match="without max_step"):
        kt.solve(problem, kt.SSPRK33(), controller=kt.Fixed(0.001, max_step=crossing), engine=kt.Compiled())
    y0 = hill().requires_grad_()
    with pytest.raises(ValueError, match="max_step and CFL know none for the adjoint state"):
        kt.solve(
            kt.ODEProblem(steepening, y0, (0.0, 0.02)),
            kt.SSPRK33(),
            controller=kt.CFL(crossing),
            adjoint=kt.Interpolating(),
        )
