"""The one call: what it refuses, what it returns, and how it ends."""

import math
from functools import partial

import numpy as np
import pytest
import torch

import kutta as kt
from tests._helpers import F64, TIGHT, swing, tensor, turn, turned

Y0 = tensor(1.0, 0.0)


def problem(f=turn, y0=Y0, t_span=(0.0, 1.0), args=()):
    return kt.ODEProblem(f, y0, t_span, args)


def ensemble(f=lambda t, y: -y, y0=None, t_span=(0.0, 1.0), **options):
    return kt.EnsembleProblem(f, torch.ones(3, 2, dtype=F64) if y0 is None else y0, t_span, **options)


# Refusals before the first step: what is wrong, what came, what was expected.

REFUSED = {
    "no problem": (
        lambda: kt.solve(turn),
        TypeError,
        "problem must be an ODEProblem, SplitODEProblem or EnsembleProblem; got func",
    ),
    "method as a string": (lambda: kt.solve(problem(), "tsit5"), TypeError, "got the string 'tsit5'"),
    "method as a class": (lambda: kt.solve(problem(), kt.Tsit5), TypeError, r"write Tsit5\(\) with its paren"),
    "something else as method": (lambda: kt.solve(problem(), 5), TypeError, "method must be a Method; got int"),
    "an engine to come": (lambda: kt.solve(problem(), engine="compiled"), (NotImplementedError, ValueError), "engine"),
    "an unknown engine": (lambda: kt.solve(problem(), engine="warp"), (NotImplementedError, ValueError), "warp"),
    "controller as a class": (
        lambda: kt.solve(problem(), controller=kt.PID),
        TypeError,
        r"controller must be an instance: write PID\(\)",
    ),
    "controller of another kind": (
        lambda: kt.solve(problem(), controller=0.1),
        TypeError,
        "controller must be a Controller; got float",
    ),
    "adjoint as a class": (lambda: kt.solve(problem(), adjoint=kt.Direct), TypeError, r"write Direct\(\)"),
    "adjoint as a string": (lambda: kt.solve(problem(), adjoint="direct"), TypeError, "adjoint must be .*got str"),
    "event of another kind": (
        lambda: kt.solve(problem(), events=[lambda t, y: y[0]]),
        TypeError,
        r"events\[0\] must be a Event; got function",
    ),
    "penalty of another kind": (
        lambda: kt.solve(problem(), penalties={"a": 1}),
        TypeError,
        r"penalties\['a'\] must be a Regularizer",
    ),
    "f that cannot be called": (lambda: kt.solve(problem(f=3)), TypeError, "f must be callable; got int"),
    "args that are no tuple": (lambda: kt.solve(problem(args=2.0)), TypeError, r"write args=\(value,\)"),
    "no error estimate": (lambda: kt.solve(problem(), kt.RK4()), ValueError, "RK4 estimates no error"),
    "no error estimate, PID": (
        lambda: kt.solve(problem(), kt.RK4(), controller=kt.PID()),
        ValueError,
        "PID cannot control it",
    ),
    "dt0 with Fixed": (lambda: kt.solve(problem(), controller=kt.Fixed(0.1), dt0=0.1), ValueError, "has its own"),
    "dt0 of zero": (lambda: kt.solve(problem(), dt0=0.0), ValueError, "dt0 must be a positive, finite"),
    "dt0 of a bool": (lambda: kt.solve(problem(), dt0=True), TypeError, "dt0 must be one number"),
    "dt0 of digits": (lambda: kt.solve(problem(), dt0="0.1"), TypeError, "dt0 must be one number"),
    "a complex rtol": (lambda: kt.solve(problem(), rtol=torch.tensor(1j)), ValueError, "rtol must hold real numbers"),
    "an empty atol": (lambda: kt.solve(problem(), atol=torch.ones(0)), ValueError, "atol must hold real numbers"),
    "dt0 of text": (lambda: kt.solve(problem(), dt0="small"), TypeError, "dt0 must be one number"),
    "dt0 of two numbers": (lambda: kt.solve(problem(), dt0=torch.ones(2)), TypeError, "dt0 must be one number"),
    "dt0 of NaN": (lambda: kt.solve(problem(), dt0=math.nan), ValueError, "dt0 must be a positive, finite"),
    "max_steps of zero": (lambda: kt.solve(problem(), max_steps=0), ValueError, "max_steps must be a positive whole"),
    "max_steps of 10.5": (lambda: kt.solve(problem(), max_steps=10.5), ValueError, "max_steps must be"),
    "t_span of three": (lambda: kt.solve(problem(t_span=(0, 1, 2))), ValueError, "t_span must hold the initial and"),
    "t_span of one number": (lambda: kt.solve(problem(t_span=1.0)), ValueError, "t_span must hold"),
    "a complex time": (lambda: kt.solve(problem(t_span=(0, 1j))), TypeError, r"t_span\[1\] must be a real number"),
    "an infinite time": (lambda: kt.solve(problem(t_span=(0, math.inf))), ValueError, r"t_span\[1\] must be finite"),
    "a NaN time": (lambda: kt.solve(problem(t_span=(math.nan, 1))), ValueError, r"t_span\[0\] must be finite"),
    "times of the wrong shape": (
        lambda: kt.solve(problem(t_span=(0, tensor(1, 2)))),
        ValueError,
        r"must be a number; got shape \(2,\)",
    ),
    "ensemble times of the wrong shape": (
        lambda: kt.solve(ensemble(t_span=(0, tensor(1, 2)))),
        ValueError,
        r"number or a tensor of shape \(3,\); got shape \(2,\)",
    ),
    "save_at as another word": (
        lambda: kt.solve(problem(), save_at="all"),
        ValueError,
        'save_at must be None, "steps"',
    ),
    "save_at of no times": (lambda: kt.solve(problem(), save_at=[]), ValueError, "non-empty tensor of times"),
    "save_at as a number": (lambda: kt.solve(problem(), save_at=0.5), ValueError, r"shape \(T,\); got \(\)"),
    "save_at as a count": (
        lambda: kt.solve(problem(), save_at=10),
        TypeError,
        r"the number 10: .*torch.linspace\(t0, t1, 10, dtype=torch.float64\)",
    ),
    "save_at as a matrix": (lambda: kt.solve(problem(), save_at=torch.zeros(2, 3)), ValueError, r"got \(2, 3\)"),
    "save_at of the wrong batch": (
        lambda: kt.solve(ensemble(), save_at=torch.zeros(2, 4)),
        ValueError,
        r"or \(T, 3\)",
    ),
    "save_at unsorted": (lambda: kt.solve(problem(), save_at=[0.5, 0.2]), ValueError, "sorted in the direction"),
    "save_at against the direction": (
        lambda: kt.solve(problem(t_span=(1.0, 0.0)), save_at=[0.2, 0.5]),
        ValueError,
        "sorted in the direction",
    ),
    "save_at before the start": (
        lambda: kt.solve(problem(), save_at=[-0.1, 0.5]),
        ValueError,
        "must lie within t_span",
    ),
    "save_at after the end": (lambda: kt.solve(problem(), save_at=[0.5, 1.1]), ValueError, "from 0.5 to 1.1"),
    "save_at of NaN": (lambda: kt.solve(problem(), save_at=[math.nan]), ValueError, "save_at must"),
    "a negative rtol": (lambda: kt.solve(problem(), rtol=-1e-3), ValueError, "rtol must be a non-negative"),
    "an rtol of text": (lambda: kt.solve(problem(), rtol="small"), TypeError, "rtol must be a number, or"),
    "no tolerance of one entry": (
        lambda: kt.solve(problem(y0=torch.ones(2)), rtol=0.0, atol=torch.tensor([1e-6, 0.0])),
        ValueError,
        "rtol and atol must not both be zero, for any entry",
    ),
    "an rtol of NaN": (lambda: kt.solve(problem(), rtol=math.nan), ValueError, "rtol must be a non-negative"),
    "an atol of the wrong shape": (
        lambda: kt.solve(problem(), atol=tensor(1e-3, 1e-3, 1e-3)),
        ValueError,
        r"atol must be a number, or a tensor or pytree that broadcasts",
    ),
    "dtmin above dtmax": (lambda: kt.PID(dtmin=1.0, dtmax=0.1), ValueError, "need 0 <= dtmin <= dtmax"),
    "safety above one": (lambda: kt.PID(safety=2.0), ValueError, "need 0 < safety <= 1"),
    "Fixed without a size": (lambda: kt.Fixed(), ValueError, r"Fixed\(dt\) needs a positive"),
    "Fixed backwards": (lambda: kt.Fixed(-0.1), ValueError, r"Fixed\(dt\) needs a positive"),
    "StepTo one time": (lambda: kt.StepTo([0.0]), ValueError, "needs the initial and the final time"),
    "an event of direction 2": (lambda: kt.Event(turn, direction=2), ValueError, "direction must be -1, 0 or 1"),
    "a terminal event with a change": (
        lambda: kt.Event(turn, change=turn, terminal=True),
        ValueError,
        "either terminal or changes",
    ),
    "a segment of zero": (lambda: kt.Recompute(segment=0), ValueError, "segment must be at least 1"),
    "Adams of order 10": (lambda: kt.AdamsBashforth(10), ValueError, "whole number from 1 to 9"),
    "a splitting of one tensor": (
        lambda: kt.solve(problem(), kt.VelocityVerlet(), controller=kt.Fixed(0.1)),
        ValueError,
        "needs a pair",
    ),
    "an ensemble under vmap": (
        lambda: torch.func.vmap(lambda y: kt.solve(ensemble(y0=y)).y1)(torch.ones(2, 3, 1, dtype=F64)),
        NotImplementedError,
        "vmap over an EnsembleProblem",
    ),
    "batched_args of the wrong length": (
        lambda: kt.solve(ensemble(batched_args=(True,))),
        ValueError,
        "batched_args must have one bool",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_a_clear_error(case):
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=message):
        call()


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(TypeError, match="tolerance"):
        kt.solve(problem(), tolerance=1e-3)


# Right-hand sides that do not fit, at the first call.

BAD_SLOPES = {
    "nothing": (lambda t, y: None, TypeError, "f must return a tensor like the state; got NoneType"),
    "a float": (lambda t, y: 1.0, TypeError, "got float"),
    "NumPy": (lambda t, y: np.ones(2), TypeError, "got ndarray"),
    "another shape": (lambda t, y: y[:1], ValueError, r"shape \(2,\), torch.float64 on cpu; got shape \(1,\)"),
    "a shape that broadcasts": (lambda t, y: y.sum(), ValueError, r"got shape \(\)"),
    "another dtype": (lambda t, y: y.float(), ValueError, "got shape .*torch.float32"),
    "a complex dtype": (lambda t, y: y + 0j, ValueError, "torch.complex128"),
    "another device": (lambda t, y: y.to("meta"), ValueError, "on meta"),
    "another structure": (lambda t, y: (y,), TypeError, "got tuple"),
}


@pytest.mark.parametrize("case", BAD_SLOPES)
def test_a_right_hand_side_that_does_not_fit(case):
    f, kind, message = BAD_SLOPES[case]
    with pytest.raises(kind, match=message):
        kt.solve(problem(f))


@pytest.mark.parametrize("case", ["another shape", "another dtype", "a complex dtype", "another structure"])
@pytest.mark.parametrize("vectorized", [True, False])
def test_a_right_hand_side_of_an_ensemble_that_does_not_fit(case, vectorized):
    f, kind, _ = BAD_SLOPES[case]
    with pytest.raises(kind, match="f must return"):
        kt.solve(ensemble(f, vectorized=vectorized))


def test_a_pytree_of_another_structure():
    with pytest.raises(TypeError, match="f must return the structure of the state"):
        kt.solve(problem(lambda t, y: (y["a"],), {"a": Y0}))


@pytest.mark.parametrize("slope", [lambda y: y[:1], lambda y: y.float(), lambda y: None, lambda y: 1.0])
def test_a_pytree_with_a_leaf_that_does_not_fit(slope):
    with pytest.raises((TypeError, ValueError), match="f must return"):
        kt.solve(problem(lambda t, y: {"a": slope(y["a"]), "b": y["b"]}, {"a": Y0, "b": Y0}))


def test_per_trajectory_data_in_a_closure_is_explained():
    rates = tensor(1.0, 2.0, 50.0)[:, None]
    with pytest.raises((ValueError, RuntimeError), match=r"belongs into args|must match the size"):
        kt.solve(ensemble(lambda t, y: -rates * y, vectorized=True, t_span=(0.0, tensor(0.1, 0.2, 5.0))))


# Trouble on the way.


def test_an_exception_of_f_comes_through_and_the_next_solve_is_the_same():
    calls = []

    def f(t, y):
        calls.append(t)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return turn(t, y)

    before = kt.solve(problem(), **TIGHT).y1
    with pytest.raises(KeyboardInterrupt):
        kt.solve(problem(f), **TIGHT)
    assert torch.is_grad_enabled()
    assert torch.equal(kt.solve(problem(), **TIGHT).y1, before)


def test_an_exception_in_the_backward_pass_comes_through():
    fails = [False]

    def f(t, y):
        if fails[0]:
            raise RuntimeError("broken")
        return turn(t, y)

    y0 = Y0.clone().requires_grad_()
    loss = kt.solve(problem(f, y0), adjoint=kt.Recompute()).y1.sum()
    fails[0] = True
    with pytest.raises(RuntimeError, match="broken"):
        loss.backward()


def blow_up(t, y):
    return y**2


def nan_after_half(t, y):
    return torch.where(t > 0.5, torch.full_like(y, math.nan), -y)


def test_a_singularity_is_a_named_result():
    with pytest.raises(kt.SolveError, match=r"STEP_UNDERFLOW|NON_FINITE") as caught:
        kt.solve(problem(blow_up, tensor(1.0), (0.0, 2.0)))
    error = caught.value
    assert abs(error.t - 1.0) < 1e-3 and error.trajectory is None and error.solution is not None
    assert "throw=False" in str(error) and f"t = {error.t:.9g}" in str(error)


def test_a_nan_derivative_is_a_named_result():
    sol = kt.solve(problem(nan_after_half, tensor(1.0)), throw=False, save_at=[0.25, 0.5, 0.75])
    assert sol.result is kt.Result.NON_FINITE and sol.result.failed
    assert abs(float(sol.t1) - 0.5) < 1e-6
    assert sol.ts.tolist() == [0.25, 0.5][: len(sol.ts)] and sol.ys.isfinite().all()


def test_a_nan_initial_state_is_a_named_result():
    sol = kt.solve(problem(y0=tensor(math.nan, 0.0)), throw=False)
    assert sol.result is kt.Result.NON_FINITE


@pytest.mark.parametrize("controller", [kt.PID(), kt.Fixed(0.1)])
def test_an_infinite_derivative_is_a_named_result(controller):
    sol = kt.solve(problem(lambda t, y: y / 0.0), controller=controller, throw=False)
    assert sol.result is kt.Result.NON_FINITE


def test_too_many_steps_are_a_named_result():
    sol = kt.solve(problem(t_span=(0.0, 1e6)), max_steps=10, throw=False)
    assert sol.result is kt.Result.MAX_STEPS and sol.stats.steps == 10
    with pytest.raises(kt.SolveError, match="raise max_steps"):
        kt.solve(problem(t_span=(0.0, 1e6)), max_steps=10)


def test_max_steps_that_are_just_enough():
    steps = kt.solve(problem()).stats.steps
    assert kt.solve(problem(), max_steps=steps).result is kt.Result.SUCCESS


def test_dtmin_ends_a_solve_that_needs_smaller_steps():
    sol = kt.solve(problem(blow_up, tensor(1.0), (0.0, 2.0)), controller=kt.PID(dtmin=1e-3), throw=False)
    assert sol.result is kt.Result.STEP_UNDERFLOW


def test_every_result_gives_advice():
    assert all(len(result.advice) > 10 for result in kt.Result)


# What comes out.


def test_the_default_method_and_tolerances():
    sol = kt.solve(problem(t_span=(0.0, 2 * math.pi)))
    assert sol.result is kt.Result.SUCCESS and torch.allclose(sol.y1, Y0, atol=1e-3)
    assert sol.stats.engine == "eager"


def test_times_keep_all_their_digits():
    sol = kt.solve(problem(t_span=(0.1, 1.3)), save_at=[0.7, 1.1])
    assert float(sol.t1) == 1.3 and sol.ts.tolist() == [0.7, 1.1]
    assert sol.ts.dtype == F64


def test_the_final_state_alone():
    sol = kt.solve(problem())
    assert sol.ys.shape == (1, 2) and torch.equal(sol.ys[0], sol.y1) and sol.ts.tolist() == [1.0]


def test_times_with_both_ends_and_duplicates():
    ts = [0.0, 0.0, 0.3, 0.3, 1.0, 1.0]
    sol = kt.solve(problem(), save_at=ts, **TIGHT)
    assert torch.equal(sol.ys[0], Y0) and torch.equal(sol.ys[1], Y0)
    assert torch.equal(sol.ys[2], sol.ys[3]) and torch.equal(sol.ys[4], sol.y1) and torch.equal(sol.ys[5], sol.y1)
    assert torch.allclose(sol.ys, turned(tensor(*ts)), atol=1e-9)


def test_times_do_not_change_the_steps():
    plain, saved = kt.solve(problem()), kt.solve(problem(), save_at=torch.linspace(0, 1, 200))
    assert torch.equal(plain.y1, saved.y1) and plain.stats.steps == saved.stats.steps


def test_every_step():
    sol = kt.solve(problem(), save_at="steps")
    assert sol.ts.shape == (sol.stats.accepted + 1,) and sol.ys.shape == (sol.stats.accepted + 1, 2)
    assert float(sol.ts[0]) == 0.0 and float(sol.ts[-1]) == 1.0 and torch.equal(sol.ys[-1], sol.y1)
    assert (torch.diff(sol.ts) > 0).all()


def test_backwards():
    ts = tensor(2.0, 1.5, 0.0)
    start = turned(tensor(2.0))[0]
    sol = kt.solve(problem(y0=start, t_span=(2.0, 0.0)), save_at=ts, **TIGHT)
    assert torch.allclose(sol.ys, turned(ts), atol=1e-9)


@pytest.mark.parametrize("save_at", [None, [1.0, 1.0], "steps"])
@pytest.mark.parametrize("controller", [None, kt.Fixed(0.1)])
def test_a_solve_of_no_length(save_at, controller):
    sol = kt.solve(problem(t_span=(1.0, 1.0)), save_at=save_at, controller=controller)
    assert sol.result is kt.Result.SUCCESS and torch.equal(sol.y1, Y0) and sol.stats.steps == 0
    assert torch.equal(sol.ys, Y0.expand_as(sol.ys))


def test_a_solve_of_no_length_has_an_interpolant():
    sol = kt.solve(problem(t_span=(1.0, 1.0)), dense=True)
    assert torch.equal(sol(1.0), Y0)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Backsolve(), kt.Interpolating(), kt.Gauss()])
def test_a_solve_of_no_length_has_a_gradient(adjoint):
    y0 = Y0.clone().requires_grad_()
    sol = kt.solve(problem(y0=y0, t_span=(1.0, 1.0)), adjoint=adjoint, save_at=[1.0])
    (sol.y1.sum() + 2 * sol.ys.sum()).backward()
    assert y0.grad.tolist() == [3.0, 3.0]


def test_statistics_count_calls_of_f():
    calls = []

    def f(t, y):
        calls.append(1)
        return swing(t, y)

    sol = kt.solve(problem(f, t_span=(0.0, 20.0)), rtol=1e-8)
    assert sol.stats.function_evaluations == len(calls)
    assert sol.stats.steps == sol.stats.accepted + sol.stats.rejected
    # Tsit5 takes six new evaluations a step; the first slope and the first step size take one each.
    assert len(calls) == 6 * sol.stats.steps + 2


def test_time_is_a_scalar_of_the_state_s_real_dtype():
    seen = []

    def f(t, y):
        seen.append((t.shape, t.dtype))
        return 1j * y

    kt.solve(problem(f, torch.ones(1, dtype=torch.complex64)))
    assert set(seen) == {(torch.Size([]), torch.float32)}


def test_module_args_and_partial_are_right_hand_sides():
    class Decay(torch.nn.Module):
        def forward(self, t, y, rate):
            return -rate * y

    sol = kt.solve(problem(Decay(), tensor(1.0), args=(2.0,)), **TIGHT)
    assert abs(float(sol.y1) - math.exp(-2)) < 1e-9


def test_dt0_is_the_first_step():
    sol = kt.solve(problem(), dt0=0.05, save_at="steps")
    assert abs(float(sol.ts[1]) - 0.05) < 1e-15


def test_dt0_may_be_a_tensor():
    sol = kt.solve(problem(), dt0=torch.tensor(0.125), save_at="steps")
    assert float(sol.ts[1]) == 0.125


def test_dt0_of_a_method_without_error_estimate_is_its_step():
    assert kt.solve(problem(), kt.RK4(), dt0=0.1).stats.steps == 10


@pytest.mark.parametrize("t0", [1e9, -1e12, 1e15])
def test_far_from_time_zero(t0):
    sol = kt.solve(problem(lambda t, y: -y, tensor(1.0), (t0, t0 + 64.0)))
    assert sol.result is kt.Result.SUCCESS and float(sol.t1) == t0 + 64.0


@pytest.mark.parametrize("length", [1e12, 1e-12, 1e-100, 1e-200])
def test_a_very_long_and_a_very_short_solve(length):
    decay = problem(lambda t, y, s: -y / s, tensor(1.0), (0.0, length), (length,))
    assert abs(float(kt.solve(decay, max_steps=1000, **TIGHT).y1) - math.exp(-1)) < 1e-9


def test_a_long_solve_in_float32_does_not_stall():
    sol = kt.solve(problem(lambda t, y: torch.ones_like(y), torch.zeros(1), (0.0, 1e8)), controller=kt.PID(dtmax=5e4))
    assert sol.result is kt.Result.SUCCESS
    start = 1e7
    sol = kt.solve(problem(turn, Y0.float(), (start, start + 10.0)), kt.RK4(), controller=kt.Fixed(0.01))
    assert sol.stats.steps == 1000 and float((sol.y1 - turned(tensor(10.0))[0].float()).abs().max()) < 1e-4


@pytest.mark.parametrize(
    "dtype, tolerance",
    [
        (torch.float32, 1e-4),
        (torch.float16, 3e-2),
        (torch.bfloat16, 1e-1),
        (torch.complex64, 1e-4),
        (torch.complex128, 1e-4),
    ],
    ids=str,
)
def test_every_floating_dtype(dtype, tolerance):
    rtol = max(1e-5, tolerance / 10)
    sol = kt.solve(problem(lambda t, y: -y, torch.ones(2, dtype=dtype)), rtol=rtol, atol=rtol, save_at=[0.5, 1.0])
    assert sol.ys.dtype == dtype and sol.result is kt.Result.SUCCESS
    assert float((sol.y1 - math.exp(-1)).abs().max()) < tolerance


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64], ids=str)
def test_every_floating_dtype_in_ensembles(dtype):
    sol = kt.solve(ensemble(y0=torch.ones(3, 2, dtype=dtype)), rtol=1e-2, atol=1e-2, save_at=[0.5, 1.0])
    assert sol.ys.dtype == dtype and float((sol.y1 - math.exp(-1)).abs().max()) < 3e-2


def test_complex_rotation():
    sol = kt.solve(problem(lambda t, z: 1j * z, torch.ones(1, dtype=torch.complex128), (0.0, 3.0)), **TIGHT)
    assert abs(complex(sol.y1) - complex(math.cos(3), math.sin(3))) < 1e-9


def test_inference_mode_and_no_grad():
    with torch.inference_mode():
        a = kt.solve(problem(), save_at=[0.5]).ys
    with torch.no_grad():
        b = kt.solve(problem(), save_at=[0.5]).ys
    assert torch.equal(a, b) and torch.equal(kt.solve(problem(y0=Y0.clone().requires_grad_()), save_at=[0.5]).ys, b)


def test_progress_is_shown(capsys):
    kt.solve(problem(), progress=True)
    kt.solve(ensemble(), progress=True)
    assert "solve" in capsys.readouterr().err


def test_the_initial_state_is_not_changed():
    y0 = Y0.clone()
    kt.solve(problem(y0=y0), save_at=[0.0, 1.0]).ys.add_(1.0)
    assert torch.equal(y0, Y0)


def test_changing_an_output_does_not_change_another():
    sol = kt.solve(problem(), save_at=[0.0, 1.0])
    y1 = sol.y1.clone()
    sol.ys.zero_()
    assert torch.equal(sol.y1, y1)


def test_the_same_solve_from_many_threads():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda _: kt.solve(problem(swing)).y1, range(8)))
    assert all(torch.equal(end, ends[0]) for end in ends)


def test_a_right_hand_side_that_changes_its_input_in_place_is_not_our_state():
    # f may not do it; but what it was given must not be the saved outputs of steps already made.
    sol = kt.solve(problem(lambda t, y: -y), save_at="steps")
    assert (sol.ys[1:] < sol.ys[:-1] + 1e-15).all()


@pytest.mark.parametrize("kind", [kt.ODEProblem, partial(kt.EnsembleProblem, vectorized=True)], ids=["one", "ensemble"])
def test_autocast_reaches_the_right_hand_side_alone(kind):
    generator = torch.Generator().manual_seed(0)
    layer, y0 = torch.nn.Linear(8, 8), torch.randn(4, 8, generator=generator)
    seen = []

    def f(t, y):
        slope = torch.tanh(layer(y))
        seen.append(slope.dtype)
        return slope

    def precise(t, y):
        return -y

    with torch.autocast("cpu", torch.bfloat16):
        sol = kt.solve(kind(f, y0, (0.0, 1.0)), save_at=[0.3, 1.0])
        exact = kt.solve(kind(precise, y0, (0.0, 1.0)), save_at=[0.3, 1.0])
    assert set(seen) == {torch.bfloat16} and sol.ys.dtype == torch.float32
    torch.testing.assert_close(exact.ys[0], y0 * math.exp(-0.3), rtol=1e-4, atol=1e-5)
    sol.ys.sum().backward()
    assert bool(torch.isfinite(layer.weight.grad).all())
