"""Ensembles: each trajectory is solved as if it were alone."""

import math
from itertools import pairwise

import pytest
import torch

import kutta as kt
from tests._helpers import F64, TIGHT, relative_error, swing, tensor, turn, van_der_pol

START = torch.tensor([[1.0, 0.2], [0.3, -0.5], [2.0, 0.0], [-1.0, 1.5]], dtype=F64)
METHODS = [kt.Tsit5(), kt.Dopri8(), kt.Bosh3(), kt.Vern7(), kt.Rodas5P(), kt.AdamsBashforthMoulton(4)]
name = {"ids": lambda m: type(m).__name__}


def single(f, y0, span, args=(), method=None, **options):
    return kt.solve(kt.ODEProblem(f, y0, span, args), method, **options)


@pytest.mark.parametrize("method", METHODS, **name)
def test_rows_equal_single_solves(method):
    mu = tensor(0.5, 1.0, 2.0, 4.0)
    save = torch.linspace(0.0, 5.0, 7, dtype=F64)
    sol = kt.solve(kt.EnsembleProblem(van_der_pol, START, (0.0, 5.0), (mu,)), method, save_at=save)
    for row in range(4):
        alone = single(van_der_pol, START[row], (0.0, 5.0), (mu[row],), method, save_at=save)
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-7
        assert abs(int(sol.stats.accepted[row]) - alone.stats.accepted) <= 1
        assert abs(int(sol.stats.steps[row]) - alone.stats.steps) <= 2


def test_fixed_steps_equal_single_solves_to_rounding():
    sol = kt.solve(
        kt.EnsembleProblem(swing, START, (0.0, 2.0)), kt.RK4(), controller=kt.Fixed(0.07), save_at=[0.5, 2.0]
    )
    for row in range(4):
        alone = single(swing, START[row], (0.0, 2.0), (), kt.RK4(), controller=kt.Fixed(0.07), save_at=[0.5, 2.0])
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-13
        assert int(sol.stats.steps[row]) == alone.stats.steps


def test_vectorized_and_mapped_right_hand_sides_agree():
    def f(t, y, mu):
        return torch.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], dim=1)

    mu = tensor(0.5, 1.0, 2.0, 4.0)
    mapped = kt.solve(kt.EnsembleProblem(van_der_pol, START, (0.0, 5.0), (mu,)), save_at=[1.0, 5.0])
    together = kt.solve(kt.EnsembleProblem(f, START, (0.0, 5.0), (mu,), vectorized=True), save_at=[1.0, 5.0])
    assert relative_error(mapped.ys, together.ys) < 1e-9
    assert torch.equal(mapped.stats.steps, together.stats.steps)


def test_each_has_its_own_span():
    t0, t1 = tensor(0.0, 0.5, 1.0, 1.0), tensor(1.0, 1.0, 3.0, 2.0)
    sol = kt.solve(kt.EnsembleProblem(swing, START, (t0, t1)), **TIGHT)
    assert torch.equal(sol.t1, t1)
    for row in range(4):
        alone = single(swing, START[row], (float(t0[row]), float(t1[row])), **TIGHT)
        assert relative_error(sol.y1[row], alone.y1) < 1e-9


def test_both_directions_of_time_at_once():
    t1 = tensor(2.0, -1.0, 0.0, -3.0)
    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, t1)), save_at=(t1 * tensor(0.5, 1.0)[:, None]), **TIGHT)
    assert torch.equal(sol.y1[2], START[2]) and int(sol.stats.steps[2]) == 0
    for row in (0, 1, 3):
        end = float(t1[row])
        alone = single(swing, START[row], (0.0, end), save_at=[0.5 * end, end], **TIGHT)
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-8
        assert torch.equal(sol.ys[1, row], sol.y1[row])


def test_each_has_its_own_save_times():
    save = torch.rand(6, 4, dtype=F64, generator=torch.Generator().manual_seed(0)).sort(dim=0).values * 2
    save[0], save[-1], save[2] = 0.0, 2.0, save[3]
    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, 2.0)), save_at=save, **TIGHT)
    assert torch.equal(sol.ts, save) and torch.equal(sol.ys[0], START) and torch.equal(sol.ys[-1], sol.y1)
    assert torch.equal(sol.ys[2], sol.ys[3])
    for row in range(4):
        assert (
            relative_error(sol.ys[:, row], single(swing, START[row], (0.0, 2.0), save_at=save[:, row], **TIGHT).ys)
            < 1e-8
        )


def test_each_has_its_own_tolerance():
    rtol = tensor(1e-3, 1e-5, 1e-7, 1e-9)
    same = START[:1].expand(4, 2)
    sol = kt.solve(kt.EnsembleProblem(van_der_pol, same, (0.0, 5.0)), rtol=rtol, atol=1e-12)
    assert (torch.diff(sol.stats.accepted) > 0).all()
    for row in range(4):
        alone = single(van_der_pol, START[0], (0.0, 5.0), rtol=float(rtol[row]), atol=1e-12)
        assert abs(int(sol.stats.accepted[row]) - alone.stats.accepted) <= 1
        assert relative_error(sol.y1[row], alone.y1) < 1e-6


def test_every_step_of_each():
    sol = kt.solve(kt.EnsembleProblem(van_der_pol, START, (0.0, tensor(1.0, 2.0, 3.0, 4.0))), save_at="steps")
    count = sol.stats.accepted + 1
    assert sol.ts.shape == (int(count.max()), 4)
    for row in range(4):
        times, states = sol.ts[:, row], sol.ys[:, row]
        n = int(count[row])
        assert times[:n].isfinite().all() and times[n:].isnan().all() and states[n:].isnan().all()
        assert float(times[n - 1]) == row + 1.0 and torch.equal(states[n - 1], sol.y1[row])
        assert (torch.diff(times[:n]) > 0).all()


def test_arguments_per_trajectory_and_shared():
    w, shared = torch.rand(4, 2, 2, dtype=F64), torch.rand(2, dtype=F64)
    sol = kt.solve(
        kt.EnsembleProblem(lambda t, y, a, b, c: a["w"] @ y + b * c, START, (0.0, 1.0), ({"w": w}, shared, 3.0)),
        **TIGHT,
    )
    for row in range(4):
        alone = single(lambda t, y, row=row: w[row] @ y + shared * 3.0, START[row], (0.0, 1.0), **TIGHT)
        assert relative_error(sol.y1[row], alone.y1) < 1e-9


def test_an_argument_of_the_ensemble_s_size_may_be_shared():
    table = tensor(1.0, 2.0, 3.0, 4.0)
    family = kt.EnsembleProblem(
        lambda t, y, table: -table.sum() * y, START, (0.0, 1.0), (table,), batched_args=(False,)
    )
    assert relative_error(kt.solve(family, **TIGHT).y1, START * math.exp(-10.0)) < 1e-6


def test_finished_trajectories_are_dropped():
    rows = []

    def f(t, y):
        rows.append(len(y))
        return -y

    ends = torch.logspace(-2, 2, 64, dtype=F64)
    kt.solve(
        kt.EnsembleProblem(f, torch.ones(64, 1, dtype=F64), (0.0, ends), vectorized=True), controller=kt.PID(dtmax=1.0)
    )
    sizes = sorted(set(rows), reverse=True)
    print("rows that f sees:", sizes)
    assert sizes[0] == 64 and sizes[-1] == 1 and len(sizes) >= 5
    assert all(2 * small <= large for large, small in pairwise(sizes))
    assert rows == sorted(rows, reverse=True)


def test_statistics_are_those_of_each_trajectory():
    ends = tensor(0.1, 1.0, 10.0, 100.0)
    sol = kt.solve(kt.EnsembleProblem(turn, START, (0.0, ends)))
    stats = sol.stats
    assert torch.equal(stats.steps, stats.accepted + stats.rejected) and (torch.diff(stats.steps) > 0).all()
    assert (torch.diff(stats.function_evaluations) > 0).all()
    assert torch.equal(stats.function_evaluations, 6 * stats.steps + 2)


# One that fails.


def pole_or_nan(t, y, kind):
    """Row kinds: 0 decays; 1 has a pole at t = 1; 2 turns NaN at t > 1/2; 3 spins fast."""
    spin = torch.stack([y[1], -y[0]]) * 1000.0
    nan = torch.where(t > 0.5, torch.full_like(y, math.nan), -y)
    return torch.where(
        kind == 1, y * y.abs().amax(), torch.where(kind == 2, nan, torch.where(kind == 3, spin, swing(t, y)))
    )


KINDS = torch.tensor([0, 1, 0, 2, 0, 3, 0])
MIXED = torch.ones(7, 2, dtype=F64) * torch.linspace(1.0, 1.3, 7, dtype=F64)[:, None]
MIXED[1] = 1.0


@pytest.mark.parametrize("save_at", [None, [0.25, 1.5, 2.0], "steps"], ids=["end", "times", "steps"])
def test_a_failing_trajectory_is_named_and_spoils_no_other(save_at):
    family = kt.EnsembleProblem(pole_or_nan, MIXED, (0.0, 2.0), (KINDS,))
    sol = kt.solve(family, max_steps=400, throw=False, save_at=save_at)
    R = kt.Result
    assert list(sol.result)[0::2] == [R.SUCCESS] * 4
    assert sol.result[1] in (R.STEP_UNDERFLOW, R.NON_FINITE)
    assert sol.result[3] is R.NON_FINITE and sol.result[5] is R.MAX_STEPS
    assert abs(float(sol.t1[1]) - 1.0) < 1e-2 and abs(float(sol.t1[3]) - 0.5) < 1e-6
    assert int(sol.stats.steps[5]) == 400
    healthy = KINDS == 0
    without = kt.solve(kt.EnsembleProblem(swing, MIXED[healthy], (0.0, 2.0)), save_at=save_at)
    error = (sol.y1[healthy] - without.y1).abs().max()
    print("difference to a solve without the failing trajectories:", float(error))
    assert float(error) <= 1e-15
    rows = without.ys.shape[0]
    assert torch.allclose(sol.ys[:rows][:, healthy], without.ys, rtol=0, atol=1e-15, equal_nan=True)
    assert torch.equal(sol.stats.steps[healthy], without.stats.steps)


def test_the_error_names_the_first_failing_trajectory_and_how_many_failed():
    family = kt.EnsembleProblem(pole_or_nan, MIXED, (0.0, 2.0), (KINDS,))
    with pytest.raises(kt.SolveError, match=r"in trajectory 1 .*3 trajectories failed") as caught:
        kt.solve(family, max_steps=400)
    assert caught.value.trajectory == 1 and abs(caught.value.t - 1.0) < 1e-2
    assert caught.value.solution.result.failed.tolist() == [False, True, False, True, False, True, False]


def test_a_nan_initial_state_fails_alone():
    y0 = START.clone()
    y0[1] = math.nan
    sol = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, 2.0)), throw=False)
    assert sol.result.failed.tolist() == [False, True, False, False] and sol.result[1] is kt.Result.NON_FINITE
    clean = kt.solve(kt.EnsembleProblem(swing, START[[0, 2, 3]], (0.0, 2.0)))
    assert torch.allclose(sol.y1[[0, 2, 3]], clean.y1, rtol=0, atol=1e-15)


def test_fixed_steps_into_a_nan_fail_alone():
    family = kt.EnsembleProblem(pole_or_nan, MIXED, (0.0, 2.0), (KINDS,))
    sol = kt.solve(family, kt.RK4(), controller=kt.Fixed(0.004), throw=False)
    assert sol.result[3] is kt.Result.NON_FINITE and abs(float(sol.t1[3]) - 0.5) < 5e-3
    assert list(sol.result)[0::2] == [kt.Result.SUCCESS] * 4


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_a_failing_trajectory_leaves_the_gradients_of_the_others_finite(adjoint):
    shared = torch.ones((), dtype=F64, requires_grad=True)

    def f(t, y, kind, shared):
        return shared * pole_or_nan(t, y, kind)

    y0 = MIXED.clone().requires_grad_()
    sol = kt.solve(kt.EnsembleProblem(f, y0, (0.0, 2.0), (KINDS, shared)), max_steps=400, throw=False, adjoint=adjoint)
    healthy = KINDS == 0
    sol.y1[healthy].sum().backward()
    assert shared.grad.isfinite() and y0.grad[healthy].isfinite().all()
    again = torch.ones((), dtype=F64, requires_grad=True)
    clean = MIXED[healthy].clone().requires_grad_()
    kt.solve(kt.EnsembleProblem(lambda t, y, s: s * swing(t, y), clean, (0.0, 2.0), (again,))).y1.sum().backward()
    assert relative_error(shared.grad, again.grad) < 1e-12 and relative_error(y0.grad[healthy], clean.grad) < 1e-12


def test_a_nan_initial_state_leaves_the_gradients_of_the_others_finite():
    y0 = START.clone()
    y0[1] = math.nan
    pull = torch.ones((), dtype=F64, requires_grad=True)
    sol = kt.solve(kt.EnsembleProblem(swing, y0, (0.0, 2.0), (pull,)), throw=False)
    sol.y1[[0, 2, 3]].sum().backward()
    assert pull.grad.isfinite()


# Events and dense output of each.


def test_events_of_each_equal_those_alone():
    event = kt.Event(lambda t, y: y[0])
    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, 8.0)), events=[event], **TIGHT)
    seen = {}
    for record in sol.events:
        for lane, t, y in zip(record.trajectories.tolist(), record.t, record.y, strict=True):
            seen[lane] = (t, y)
    for row in range(4):
        alone = single(swing, START[row], (0.0, 8.0), events=[event], **TIGHT)
        assert sol.result[row] is alone.result
        assert abs(float(sol.t1[row] - alone.t1)) < 1e-9
        if alone.result is kt.Result.EVENT:
            assert abs(float(seen[row][0] - alone.t1)) < 1e-9 and relative_error(seen[row][1], alone.y1) < 1e-9


def test_bounces_of_each_equal_those_alone():
    def fall(t, y):
        return torch.stack([y[1], -9.81 + 0 * y[1]])

    floor = kt.Event(lambda t, y: y[0], change=lambda t, y: torch.stack([0 * y[0], -0.8 * y[1]]), direction=-1)
    heights = tensor(0.5, 1.0, 2.0, 40.0)
    y0 = torch.stack([heights, torch.zeros(4, dtype=F64)], dim=1)
    save = torch.linspace(0.0, 2.0, 9, dtype=F64)
    sol = kt.solve(kt.EnsembleProblem(fall, y0, (0.0, 2.0)), events=[floor], save_at=save, **TIGHT)
    for row in range(4):
        alone = single(fall, y0[row], (0.0, 2.0), events=[floor], save_at=save, **TIGHT)
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-8
        count = sum(int((record.trajectories == row).sum()) for record in sol.events)
        assert count == len(alone.events)


def test_dense_output_of_each():
    ends = tensor(1.0, 2.0, 3.0, 4.0)
    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, ends)), dense=True, **TIGHT)
    ts = tensor(0.0, 0.9, 2.5, 4.0)
    values = sol(ts)
    assert values.shape == (4, 4, 2) and sol(0.5).shape == (4, 2)
    for row in range(4):
        alone = single(swing, START[row], (0.0, float(ends[row])), dense=True, **TIGHT)
        for i, t in enumerate(ts.tolist()):
            if t <= float(ends[row]):
                assert relative_error(values[i, row], alone(t)) < 1e-8
            else:
                assert values[i, row].isnan().all()


def test_an_ensemble_of_one():
    sol = kt.solve(kt.EnsembleProblem(swing, START[:1], (0.0, 2.0)), save_at=[1.0, 2.0])
    assert relative_error(sol.ys[:, 0], single(swing, START[0], (0.0, 2.0), save_at=[1.0, 2.0]).ys) < 1e-12


def test_step_ts_and_jump_ts_in_ensembles():
    def f(t, y):
        return torch.where(t < 0.5, y, -2 * y) + 0 * t

    controller = kt.PID(jump_ts=[0.5], step_ts=[0.3])
    t1 = tensor(1.0, 1.0, 0.4, 0.2)
    sol = kt.solve(
        kt.EnsembleProblem(f, START, (0.0, t1)), controller=controller, save_at="steps", rtol=1e-8, atol=1e-10
    )
    wanted = START * torch.where(t1 > 0.5, torch.exp(0.5 - 2 * (t1 - 0.5)), torch.exp(t1))[:, None]
    assert relative_error(sol.y1, wanted) < 1e-7
    assert (sol.ts[:, :3] == 0.3).any(dim=0).all() and (sol.ts[:, :2] == 0.5).any(dim=0).all()


def test_step_to_in_ensembles():
    grid = [0.0, 0.1, 0.5, 0.6, 1.0]
    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, 1.0)), kt.RK4(), controller=kt.StepTo(grid), save_at="steps")
    assert sol.ts[:, 0].tolist() == grid


def test_a_norm_of_each():
    sizes = []

    def norm(y):
        sizes.append(tuple(y.shape))
        return y.abs().max()

    sol = kt.solve(kt.EnsembleProblem(swing, START, (0.0, 1.0)), controller=kt.PID(norm=norm))
    assert set(sizes) == {(2,)} and not sol.result.failed.any()


def test_results_are_a_sequence():
    results = kt.solve(kt.EnsembleProblem(swing, START, (0.0, 1.0))).result
    assert len(results) == 4 and list(results) == [kt.Result.SUCCESS] * 4 and repr(results) == "Results({'SUCCESS': 4})"
    assert results == kt.Results(torch.zeros(4, dtype=torch.int64)) and results != 3


def test_rows_hit_in_another_order_keep_their_own_arguments_and_tolerances():
    def f(t, y, rate):
        return torch.stack([-torch.ones_like(y[0]), rate])

    y0, rates = torch.tensor([[1.0, 0.0], [0.5, 0.0]], dtype=torch.float64), tensor(1.0, 10.0)
    back = kt.Event(lambda t, y, rate: y[0], change=lambda t, y, rate: y + tensor(9.0, 0.0))
    problem = kt.EnsembleProblem(f, y0, (0.0, 2.0), args=(rates,))
    sol = kt.solve(problem, events=[back], controller=kt.PID(dtmax=0.1), rtol=tensor(1e-6, 1e-3))
    assert relative_error(sol.y1[:, 1], tensor(2.0, 20.0)) < 1e-12


@pytest.mark.parametrize(
    "method", [kt.Bosh3(), kt.Heun(), kt.RK4(), kt.AdamsBashforth(4), kt.AdamsBashforthMoulton(4), kt.Vern7()], ids=repr
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("save_at", [torch.linspace(0.0, 1.0, 9), "steps"], ids=["times", "steps"])
def test_outputs_of_methods_without_an_interpolant_of_their_own(method, dtype, save_at):
    y0 = torch.tensor([[1.0], [2.0], [-3.0]], dtype=dtype)
    control = {"rtol": 1e-5} if method.error_order and method.steps_alike else {"controller": kt.Fixed(0.02)}
    sol = kt.solve(kt.EnsembleProblem(lambda t, y: -y, y0, (0.0, 1.0)), method, save_at=save_at, **control)
    ts = sol.ts if sol.ts.dim() == 2 else sol.ts[:, None]
    exact = y0[:, 0] * torch.exp(-ts)
    missing = sol.ys[..., 0].isnan()
    assert sol.ys.dtype == dtype and not bool(missing[:2].any())
    torch.testing.assert_close(sol.ys[..., 0].double()[~missing], exact[~missing], rtol=1e-4, atol=1e-5)


def test_gradients_where_no_time_passes():
    y0 = torch.tensor([[1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    sol = kt.solve(kt.EnsembleProblem(lambda t, y: -y, y0, (1.0, 1.0)))
    (gradient,) = torch.autograd.grad(sol.y1.sum(), y0)
    assert torch.equal(gradient, torch.ones_like(y0))
