"""RKC2 and ROCK4: orders on stiff and other problems, stability at any step, cost, gradients, options."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.stabilised.rkc import DAMPING, recurrence
from tests._helpers import F64, difference, gradient, relative_error

METHODS = [kt.RKC2(), kt.ROCK4()]


def name(method):
    return type(method).__name__


def heat(n=64, diffusion=0.5, t1=1.0, reaction=5.0):
    """Reaction and diffusion between two walls: the fastest mode decays as ``4 diffusion n^2``."""
    x = torch.arange(1, n, dtype=F64) / n

    def f(t, u):
        padded = torch.nn.functional.pad(u, (1, 1))
        spread = diffusion * n**2 * (padded[..., 2:] - 2 * u + padded[..., :-2])
        return spread + reaction * u * (1 - u) + torch.sin(4 * t) * torch.sin(math.pi * x)

    return kt.ODEProblem(f, torch.sin(math.pi * x) + 0.2 * torch.sin(2 * math.pi * x), (0.0, t1))


@pytest.fixture(scope="module")
def stiff():
    problem = heat()
    return problem, kt.solve(problem, kt.Rodas5P(), rtol=1e-11, atol=1e-13).y1


def observed(method, problem, stiffness, n):
    """The order between `n` steps and twice as many, each with ``h * spectral_radius = stiffness``.

    So all steps have the same number of stages, whatever their size.
    """
    ts = torch.linspace(0.0, 1.0, 5, dtype=F64)

    def states(method, steps):
        fixed = type(method)(spectral_radius=stiffness * steps)
        return kt.solve(problem, fixed, controller=kt.Fixed(1 / steps), save_at=ts).ys

    exact = states(kt.ROCK4(), 8 * n)
    errors = [float((states(method, steps) - exact).abs().sum()) for steps in (n, 2 * n)]
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_order_on_a_stiff_problem(method):
    """``h |df/dy|`` is 51 and 26, and steps are taken that are stable for 207; Euler's method allows 2."""
    x = torch.arange(1, 64, dtype=F64) / 64

    def f(t, u):
        padded = torch.nn.functional.pad(u, (1, 1))
        return 0.2 * 64**2 * (padded[2:] - 2 * u + padded[:-2]) + 8 * torch.cos(8 * t) * u

    problem = kt.ODEProblem(f, torch.sin(math.pi * x) + 0.2 * torch.sin(2 * math.pi * x), (0.0, 1.0))
    slope = observed(method, problem, 207.0, 64)
    print(f"order of {name(method)}: {slope:.3f}")
    assert abs(slope - method.order) < 0.15


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("stiffness", [5.0, 300.0])
def test_order_with_many_stages_on_a_problem_that_is_not_stiff(method, stiffness):
    def f(t, y):
        return y.sin() * t.cos() - 0.3 * y.flip(0)

    problem = kt.ODEProblem(f, torch.tensor([1.0, -0.4], dtype=F64), (0.0, 1.0))
    assert abs(observed(method, problem, stiffness, 16) - method.order) < 0.15


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("dt", [0.005, 0.05, 1.0])
def test_stable_at_every_step_size(method, dt):
    problem = heat(t1=4 * dt, reaction=0.0)
    y1 = kt.solve(problem, method, controller=kt.Fixed(dt)).y1
    assert float(y1.abs().max()) < 2.0


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_evaluations_grow_as_the_root_of_the_stiffness(method):
    counts = [kt.solve(heat(n), method, rtol=1e-4, atol=1e-6).stats.function_evaluations for n in (16, 64)]
    assert counts[1] < 6 * counts[0]  # the stiffness is 16 times as large


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_step_sizes_follow_the_tolerance(method, tolerance, stiff):
    problem, exact = stiff
    sol = kt.solve(problem, method, rtol=tolerance, atol=tolerance)
    assert float((sol.y1 - exact).abs().max()) < 20 * tolerance
    assert sol.stats.jacobian_evaluations == 0


@pytest.mark.parametrize("stages", [2, 3, 7, 40, 250])
def test_the_stability_region_of_rkc2(stages):
    start, lines = recurrence(stages)
    size = 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * DAMPING)
    z = -torch.linspace(0, size, 5001, dtype=F64)
    before, move = torch.zeros_like(z), start * z
    for line in lines:
        following = line.last * move + line.before * before + line.new * z * (1 + move) + line.first * z
        before, move = move, following
    growth = (1 + move).abs()
    assert float(growth.max()) <= 1 + 1e-12
    inner = growth[z < -2.0]
    assert not len(inner) or float(inner.max()) < 0.97  # damped by a twentieth or so
    assert kt.RKC2().stages(0.97 * size) <= stages + 1  # and hardly more are taken than are needed


def test_outputs_and_events_within_steps(stiff):
    problem, _ = stiff
    ts = torch.linspace(0.0, 1.0, 7, dtype=F64)
    exact = kt.solve(problem, kt.Rodas5P(), rtol=1e-9, atol=1e-11, save_at=ts).ys
    for method in METHODS:
        sol = kt.solve(problem, method, rtol=1e-6, atol=1e-6, save_at=ts, dense=True)
        assert torch.allclose(sol.ys, exact, rtol=0, atol=2e-4)
        assert torch.allclose(sol(0.5), sol.ys[3], atol=1e-12)


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(segment=3)], ids=name)
def test_gradients(method, adjoint):
    problem = heat(8, t1=0.1)

    def loss(y0):
        again = kt.ODEProblem(problem.f, y0, problem.t_span)
        return kt.solve(again, method, controller=kt.Fixed(0.02), adjoint=adjoint).y1.square().sum()

    assert relative_error(gradient(loss, problem.y0), difference(loss, problem.y0)) < 1e-7


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_a_given_spectral_radius_saves_evaluations(method):
    problem = heat(32)
    bound = 4 * 0.5 * 32**2 + 20.0
    wanted = kt.solve(problem, method, rtol=1e-6, atol=1e-6)
    for given in (bound, lambda t, y: bound, lambda t, y: torch.tensor(bound)):
        found = kt.solve(problem, type(method)(spectral_radius=given), rtol=1e-6, atol=1e-6)
        assert float((found.y1 - wanted.y1).abs().max()) < 1e-5
        assert found.stats.function_evaluations < wanted.stats.function_evaluations


def test_single_precision_complex_states_and_trees():
    single = heat(32)
    narrow = kt.ODEProblem(lambda t, u: single.f(t, u.double()).float(), single.y0.float(), single.t_span)
    wanted = kt.solve(single, kt.RKC2(), controller=kt.Fixed(0.02)).y1
    assert float((kt.solve(narrow, kt.RKC2(), controller=kt.Fixed(0.02)).y1 - wanted).abs().max()) < 1e-5
    both = kt.ODEProblem(
        lambda t, y: {"a": -50 * y["a"], "b": -y["b"]}, {"a": torch.ones(2).to(F64), "b": torch.ones(1).to(F64)}, (0, 1)
    )
    end = kt.solve(both, kt.ROCK4(), rtol=1e-8, atol=1e-9).y1
    assert float(end["b"]) == pytest.approx(math.exp(-1), rel=1e-6) and float(end["a"].abs().max()) < 1e-7
    turning = kt.ODEProblem(lambda t, y: (-40 + 1j) * y, torch.ones(1, dtype=torch.complex128), (0.0, 0.1))
    end = kt.solve(turning, kt.ROCK4(), rtol=1e-9, atol=1e-9).y1
    assert complex(end[0]) == pytest.approx(complex(torch.exp(torch.tensor(-4 + 0.1j))), abs=1e-7)


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("rate", [1e2, 1e3, 1e5])
def test_a_stiff_mode_that_follows_a_force(method, rate):
    """Prothero and Robinson's problem, whose solution is ``cos t`` for every rate."""
    problem = kt.ODEProblem(
        lambda t, y: -rate * (y - torch.cos(t)) - torch.sin(t), torch.ones(1, dtype=F64), (0.0, 1.0)
    )
    sol = kt.solve(problem, method, rtol=1e-5, atol=1e-5, save_at=torch.linspace(0.0, 1.0, 5, dtype=F64))
    assert float((sol.ys[:, 0] - torch.cos(sol.ts)).abs().max()) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_rounding_errors_of_the_fastest_modes_stay_small(dtype):
    """``h |df/dy|`` is 5,000 here: in one step of ROCK4 they would be of size 1e-3 in double precision."""
    n = 256
    x = torch.arange(1, n, dtype=F64) / n

    def spread(t, u):
        padded = torch.nn.functional.pad(u, (1, 1))
        return n**2 * (padded[2:] - 2 * u + padded[:-2])

    problem = kt.ODEProblem(spread, torch.sin(math.pi * x).to(dtype), (0.0, 0.02))
    for method, steps in ((kt.RKC2(), 4), (kt.ROCK4(), 1)):
        sol = kt.solve(problem, method, controller=kt.Fixed(0.02 / steps))
        assert sol.stats.steps == steps
        rough = sol.y1[2:] - 2 * sol.y1[1:-1] + sol.y1[:-2] + math.pi**2 / n**2 * sol.y1[1:-1]
        assert float(rough.abs().max()) < 4 * math.sqrt(torch.finfo(dtype).eps)


@pytest.mark.parametrize("bad", [-1.0, math.inf, math.nan])
def test_a_spectral_radius_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="spectral_radius must be finite and not negative"):
        kt.RKC2(spectral_radius=bad)


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="spectral_radius must be a number or a function"):
        kt.ROCK4(spectral_radius="large")
    problem = heat(8)
    for bad in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=rf"spectral_radius\(t, y\) must be finite .*; got {bad} at t = 0.0"):
            kt.solve(problem, kt.RKC2(spectral_radius=lambda t, y, bad=bad: bad))
    for bad in ("large", torch.ones(2), None):
        with pytest.raises(TypeError, match=r"spectral_radius\(t, y\) must return one number; got"):
            kt.solve(problem, kt.RKC2(spectral_radius=lambda t, y, bad=bad: bad))
    with pytest.raises(NotImplementedError, match="RKC2 advances one problem with one step size"):
        kt.solve(kt.EnsembleProblem(lambda t, y: -y, torch.ones(3, 2), (0.0, 1.0)), kt.RKC2())
    with pytest.raises(ValueError, match="takes its steps together"):
        kt.solve(problem, kt.RKC2(), penalties={"r": kt.regularizers.LocalErrorEstimate()})


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("rate", [1e13, 1e300])
@pytest.mark.parametrize("controller", [kt.Fixed(0.1), kt.PID()], ids=name)
def test_a_step_of_too_many_stages_is_not_taken(method, rate, controller):
    """One of 1e-3 would need more than 100,000 of them."""
    calls = []

    def f(t, y):
        calls.append(t)
        return -y

    problem = kt.ODEProblem(f, torch.ones(2, dtype=F64), (0.0, 1.0))
    with pytest.raises(kt.SolveError, match=r"TOO_STIFF at t = 0 .* use a method for stiff problems") as caught:
        kt.solve(problem, type(method)(spectral_radius=rate), controller=controller)
    assert caught.value.result.failed and len(calls) < 10 and caught.value.solution.stats.accepted == 0


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_a_spectral_radius_that_grows_is_looked_at_again(method):
    """The rate of decay grows from 10 to ten thousand while the solution stays ``cos t``."""

    def f(t, y):
        return -(10.0 ** (t / 2.0 + 1.0)) * (y - torch.cos(t)) - torch.sin(t)

    sol = kt.solve(kt.ODEProblem(f, torch.ones(1, dtype=F64), (0.0, 6.0)), method, rtol=1e-4, atol=1e-4)
    assert float(sol.y1[0]) == pytest.approx(math.cos(6.0), abs=1e-3)


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_steps_that_have_grown_too_long_are_tried_again_shorter(method):
    """At rest the error is zero, and steps grow tenfold each time."""
    problem = kt.ODEProblem(lambda t, y: 1.0 - y, torch.ones(2, dtype=F64), (0.0, 1e6))
    sol = kt.solve(problem, type(method)(spectral_radius=1e7), throw=False, max_steps=60)
    assert sol.result is kt.Result.MAX_STEPS and sol.stats.accepted > 10
