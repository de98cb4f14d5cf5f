"""The kernel engine gives what the eager engine gives, and says what it cannot do."""

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

KERNEL = kt.Kernel()
COUNTS = ("steps", "accepted", "rejected", "function_evaluations")


def oscillator(t, y, stiffness):
    return torch.stack([y[1], stiffness * (1.0 - y[0] ** 2) * y[1] - y[0] + torch.sin(t)])


def oscillators(t, y, stiffness):
    x, v = y.unbind(1)
    return torch.stack([v, stiffness * (1.0 - x**2) * v - x + torch.sin(t)], dim=1)


def starts(count=37, dtype=F64):
    return torch.randn(count, 2, dtype=F64, generator=torch.Generator().manual_seed(0)).to(dtype)


def ensemble(vectorized=False, count=37, span=(0.0, 5.0), dtype=F64, stiffest=3.0):
    stiffness = torch.linspace(0.0, stiffest, count, dtype=dtype)
    f = oscillators if vectorized else oscillator
    return kt.EnsembleProblem(f, starts(count, dtype), span, (stiffness,), vectorized=vectorized)


def both(problem, method=None, **options):
    options = {"rtol": 1e-6, "atol": 1e-8} | options
    return [kt.solve(problem, method, engine=engine, **options) for engine in (kt.Eager(), KERNEL)]


def same(eager, kernel, within=1e-7, counts=COUNTS, more=2):
    """Equal results; step sizes agree to six digits, so that a step may fall the other way now and then."""
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=within, atol=within)
    torch.testing.assert_close(kernel.ys, eager.ys, rtol=within, atol=within, equal_nan=True)
    assert torch.equal(kernel.ts, eager.ts) and torch.equal(kernel.t1, eager.t1) and kernel.result == eager.result
    for name in counts:
        one, other = getattr(kernel.stats, name), getattr(eager.stats, name)
        allowed = more * (7 if name == "function_evaluations" else 1)
        assert (torch.as_tensor(one) - torch.as_tensor(other)).abs().max() <= allowed, name
    assert kernel.stats.engine == "kernel" and eager.stats.engine == "eager"


ADAPTIVE = [
    kt.Tsit5(),
    kt.Dopri5(),
    kt.Bosh3(),
    kt.Fehlberg2(),
    kt.Dopri8(),
    kt.Vern6(),
    kt.Vern7(),
    kt.Vern8(),
    kt.Vern9(),
    kt.Rosenbrock23(),
    kt.Rodas5P(),
]
ANY_STEP = [kt.Euler(), kt.Midpoint(), kt.Heun(), kt.Ralston(), kt.RK4(), kt.RK38(), kt.SSPRK33(), *ADAPTIVE]


@pytest.mark.parametrize("vectorized", [False, True], ids=["one", "all"])
@pytest.mark.parametrize("method", ADAPTIVE, ids=repr)
def test_adaptive_steps_are_the_same(method, vectorized):
    # Verner's methods of high order magnify rounding, and with it the choice of the steps.
    loose = isinstance(method, kt.Vern6 | kt.Vern7 | kt.Vern8 | kt.Vern9)
    reuses = isinstance(method, kt.RungeKutta) and method.tableau.first_same_as_last
    counts = COUNTS if reuses else COUNTS[:3]
    same(*both(ensemble(vectorized), method), within=1e-6 if loose else 1e-7, counts=() if loose else counts)


@pytest.mark.parametrize("method", ANY_STEP, ids=repr)
def test_fixed_steps_are_the_same_to_rounding(method):
    eager, kernel = both(ensemble(), method, controller=kt.Fixed(0.05), save_at=torch.linspace(0.0, 5.0, 9))
    same(eager, kernel, within=1e-11, counts=("steps", "accepted", "rejected"), more=0)


SOME = [kt.Tsit5(), kt.Bosh3(), kt.Dopri8(), kt.RK4(), kt.Rosenbrock23(), kt.Rodas5P()]


@pytest.mark.parametrize("method", SOME, ids=repr)
def test_outputs_within_steps(method):
    options = {"dt0": 0.05} if isinstance(method, kt.RK4) else {}
    save = torch.tensor([0.0, 0.01, 0.7, 0.71, 3.3, 5.0], dtype=F64)
    same(*both(ensemble(), method, save_at=save, **options), counts=COUNTS[:3])


@pytest.mark.parametrize(
    "controller", [kt.I(), kt.PI(), kt.PID(0.2, 0.5, 0.1), kt.PID(dtmax=0.1), kt.PID(safety=0.7)], ids=repr
)
def test_controllers(controller):
    same(*both(ensemble(), controller=controller))


def robertson(t, y, k):
    a, b, c = y
    slow, fast, back = k[0] * a, k[1] * b * b, k[2] * b * c
    return torch.stack([back - slow, slow - back - fast, fast])


@pytest.mark.parametrize("method", [kt.Rosenbrock23(), kt.Rodas5P()], ids=repr)
def test_a_stiff_problem(method):
    k = torch.tensor([0.04, 3e7, 1e4], dtype=F64) * torch.linspace(0.5, 2.0, 21, dtype=F64)[:, None]
    problem = kt.EnsembleProblem(robertson, torch.eye(3, dtype=F64)[:1].repeat(21, 1), (0.0, 1e5), (k,))
    eager, kernel = both(problem, method, rtol=1e-5, atol=1e-9, save_at=torch.logspace(-3, 5, 9, dtype=F64))
    same(eager, kernel, counts=COUNTS[:3])
    torch.testing.assert_close(kernel.ys.sum(-1), torch.ones(9, 21, dtype=F64), rtol=0.0, atol=1e-10)
    assert torch.equal(kernel.stats.linear_solves, method.tableau.stages * kernel.stats.steps)
    assert torch.equal(kernel.stats.jacobian_evaluations, kernel.stats.steps)


def test_linear_systems_that_need_other_pivots():
    """Without exchanges of rows the systems of a large step have pivots close to zero."""
    generator = torch.Generator().manual_seed(3)
    matrix = torch.randn(40, 6, 6, dtype=F64, generator=generator)
    matrix = matrix - 8.0 * torch.eye(6, dtype=F64)
    matrix[:, [0, 1]] = 1e3 * matrix[:, [1, 0]]
    problem = kt.EnsembleProblem(
        lambda t, y, a: a @ torch.tanh(y), torch.rand(40, 6, dtype=F64, generator=generator), (0.0, 0.5), (matrix,)
    )
    same(*both(problem, kt.Rodas5P(), controller=kt.Fixed(0.05)), within=1e-8, counts=COUNTS[:3], more=0)


def test_first_step_size():
    same(*both(ensemble(), dt0=0.3))


def test_single_precision():
    eager, kernel = both(ensemble(dtype=torch.float32), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=1e-2, atol=1e-2)
    assert kernel.y1.dtype == torch.float32
    assert (kernel.stats.steps - eager.stats.steps).abs().max() <= 6
    same(*both(ensemble(dtype=torch.float32), controller=kt.Fixed(0.05)), within=2e-5, more=0)


def test_times_of_their_own():
    first = torch.linspace(0.0, 1.0, 37, dtype=F64)
    last = torch.where(torch.arange(37) % 3 == 0, -2.0, 4.0).double()
    last[5] = first[5]
    save = first + torch.linspace(0.0, 1.0, 5, dtype=F64)[:, None] * (last - first)
    save[-1] = last
    same(*both(ensemble(span=(first, last), stiffest=0.0), save_at=save), counts=COUNTS[:3])


def test_backwards():
    same(*both(ensemble(span=(2.0, -1.0), stiffest=0.0), save_at=[1.5, 0.0, -1.0]), counts=COUNTS[:3])


def test_tolerances_of_their_own():
    rtol = torch.logspace(-8, -3, 37, dtype=F64)
    eager, kernel = both(ensemble(), rtol=rtol, atol=torch.tensor([1e-9, 1e-7], dtype=F64))
    same(eager, kernel)
    assert kernel.stats.steps[0] > 1.5 * kernel.stats.steps[-1]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 5000])
def test_any_number_of_trajectories(count):
    same(*both(ensemble(True, count, span=(0.0, 1.0))))


def test_several_threads_give_the_same():
    problem = ensemble(True, 9000, span=(0.0, 1.0))
    one, four = (kt.solve(problem, engine=kt.Kernel(threads=threads)) for threads in (1, 4))
    assert torch.equal(one.y1, four.y1) and torch.equal(one.stats.steps, four.stats.steps)


def test_one_trajectory():
    def lorenz(t, y, sigma, rho, beta):
        x, v, z = y
        return torch.stack([sigma * (v - x), x * (rho - z) - v, x * v - beta * z])

    problem = kt.ODEProblem(lorenz, torch.tensor([1.0, 0.5, 20.0], dtype=F64), (0.0, 2.0), (10.0, 28.0, 8.0 / 3.0))
    same(*both(problem, rtol=1e-8, save_at=[0.5, 2.0]), counts=COUNTS[:3])
    same(*both(problem, rtol=1e-8))


def test_states_and_parameters_of_any_structure():
    def f(t, state, matrix, rates):
        return {"x": matrix @ state["x"] * rates["a"], "z": (state["x"].sum() - state["z"], -state["z"])[0]}

    generator = torch.Generator().manual_seed(0)
    y0 = {"x": torch.randn(5, 3, dtype=F64, generator=generator), "z": torch.randn(5, dtype=F64, generator=generator)}
    matrix = torch.randn(3, 3, dtype=F64, generator=generator)
    rates = {"a": torch.rand(5, dtype=F64, generator=generator), "unused": torch.ones(5, 2, dtype=F64)}
    problem = kt.EnsembleProblem(f, y0, (0.0, 1.0), (matrix, rates))
    eager, kernel = both(problem, save_at=[0.3, 1.0])
    for name in ("x", "z"):
        torch.testing.assert_close(kernel.ys[name], eager.ys[name], rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(kernel.y1[name], eager.y1[name], rtol=1e-8, atol=1e-8)


def test_modules_and_their_new_weights():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).double().requires_grad_(False)
    problem = kt.EnsembleProblem(lambda t, y: net(y), starts(), (0.0, 1.0), vectorized=True)
    same(*both(problem))
    net[0].weight.mul_(2.0)
    same(*both(problem))


def own(f, y0, args=(), **options):
    return kt.ODEProblem(f, y0, (0.0, 1.0), args, **options)


Y0 = torch.tensor([1.0, 0.4], dtype=F64)


@pytest.mark.parametrize("problem", [
    own(lambda t, y: -(y - 2.0 * Y0), Y0),
    own(lambda t, y, a: -(y - 2.0 * a), Y0, (Y0,)),
    own(lambda t, y: (-y[0], y[1]), (Y0, Y0)),
    own(lambda t, y: -y, torch.tensor(1.0, dtype=F64)),
    own(lambda t, y: y * torch.tensor([1.0, -2.0], dtype=F64), Y0),
], ids=["captured", "argument", "twice", "no axes", "new tensor"])  # fmt: skip
def test_tensors_are_told_apart(problem):
    eager, kernel = both(problem)
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=1e-8, atol=1e-8)


def test_periods_are_exact():
    def doses(t, y):
        return torch.where(torch.remainder(t, 49.0) < 0.5, 1.0, -1.0) * torch.ones_like(y)

    problem = kt.ODEProblem(doses, torch.zeros(1, dtype=F64), (0.0, 150.0))
    same(*both(problem, kt.Euler(), dt0=1.0), within=0.0, more=0)


def test_far_constants_do_not_meet():
    problem = kt.ODEProblem(lambda t, y: (y * 1e200) * 1e200 * 1e-300 * 0.0 - y, 1e-200 * Y0, (0.0, 1.0))
    eager, kernel = both(problem, atol=1e-210)
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("f", [
    lambda t, y: torch.cat([-y] * 3),
    lambda t, y: -y[:1],
    lambda t, y: -y.float(),
    lambda t, y: (-y, y),
], ids=["more", "fewer", "dtype", "structure"])  # fmt: skip
def test_slopes_are_checked_like_any(f):
    with pytest.raises((ValueError, TypeError)) as eager:
        kt.solve(own(f, Y0))
    with pytest.raises(eager.type) as kernel:
        kt.solve(own(f, Y0), engine=KERNEL)
    assert str(kernel.value) == str(eager.value)


def test_rows_that_were_reached():
    problem = kt.ODEProblem(blow_up, torch.ones(1, dtype=F64), (0.0, 3.0))
    eager, kernel = both(problem, throw=False, save_at=[0.2, 3.0])
    assert kernel.ys.shape == eager.ys.shape == (1, 1) and torch.equal(kernel.ts, eager.ts)


def test_small_means_small():
    with pytest.raises(NotImplementedError, match="small systems, of up to 500 entries; got 501"):
        kt.solve(own(lambda t, y: -y, torch.ones(501)), engine=KERNEL)
    same(*both(own(lambda t, y: -y * torch.arange(500) / 500, torch.ones(500, dtype=F64))))


def blow_up(t, y):
    return y**2


def test_failures_are_named():
    y0 = torch.tensor([[0.1], [1.0], [2.0], [-1.0]], dtype=F64)
    problem = kt.EnsembleProblem(blow_up, y0, (0.0, 3.0))
    eager, kernel = both(problem, throw=False, save_at=[0.2, 3.0], max_steps=1000)
    assert kernel.result.failed.tolist() == [False, True, True, False] == eager.result.failed.tolist()
    torch.testing.assert_close(kernel.ys, eager.ys, rtol=1e-6, atol=1e-6, equal_nan=True)
    torch.testing.assert_close(kernel.t1, eager.t1, rtol=1e-6, atol=0.0)
    with pytest.raises(kt.SolveError, match="trajectory 1"):
        kt.solve(problem, engine=KERNEL, max_steps=1000)
    few = kt.solve(ensemble(), engine=KERNEL, max_steps=5, throw=False)
    assert set(few.result) == {kt.Result.MAX_STEPS} and few.stats.steps.tolist() == [5] * 37


def test_not_a_number_is_found():
    y0 = torch.tensor([[1.0], [-1.0]], dtype=F64)
    problem = kt.EnsembleProblem(lambda t, y: -(y.sqrt()), y0, (0.0, 0.5))
    eager, kernel = both(problem, throw=False)
    assert list(kernel.result) == list(eager.result) and kernel.result[1] == kt.Result.NON_FINITE
    fixed = kt.solve(problem, kt.RK4(), dt0=0.1, engine=KERNEL, throw=False)
    assert fixed.result[1] == kt.Result.NON_FINITE and fixed.result[0] == kt.Result.SUCCESS


@pytest.mark.parametrize("options, said", [
    ({"method": kt.AdamsBashforth(3), "dt0": 0.1}, "Rosenbrock methods only; got AdamsBashforth"),
    ({"controller": kt.PID(step_ts=[0.5])}, "PID and Fixed without times to land on"),
    ({"controller": kt.PID(norm=kt.max_norm)}, "no norm of one's own"),
    ({"penalties": {"p": kt.regularizers.ErrorEstimate()}}, "no penalties yet"),
    ({"dense": True}, "no dense yet"),
    ({"save_at": "steps"}, "steps"),
])  # fmt: skip
def test_what_is_not_there_is_refused(options, said):
    options = dict(options)
    with pytest.raises(NotImplementedError, match=f"Kernel.*{said}"):
        kt.solve(ensemble(), options.pop("method", None), engine=KERNEL, **options)


def solved_by(f, *args):
    return float(kt.solve(kt.EnsembleProblem(f, torch.ones(1, 1, dtype=F64), (0.0, 1.0), args), engine=KERNEL).y1)


def test_what_was_traced_is_not_used_once_it_is_stale():
    """Numbers, tensors and modules that a right-hand side reaches may change between two solves."""
    held = {"rate": 1.0}
    weight, count = torch.tensor([1.0], dtype=F64), torch.tensor(1)

    def by_number(t, y):
        return -held["rate"] * y

    def by_tensor(t, y):
        return -weight * y

    def by_reading(t, y):
        return -float(weight) * y

    def by_shape_of(t, y):
        return -count * y

    for f in (by_number, by_tensor, by_reading, by_shape_of):
        assert solved_by(f) == pytest.approx(0.36788, abs=1e-4)
        held["rate"] = 2.0
        weight.fill_(2.0)
        count.fill_(2)
        assert solved_by(f) == pytest.approx(0.13534, abs=1e-4), f.__name__
        held["rate"] = 1.0
        weight.fill_(1.0)
        count.fill_(1)


def test_arguments_of_another_kind_are_traced_again():
    def f(t, y, k):
        return -(k if isinstance(k, float) else k.sum()) * y

    assert solved_by(f, 1.0) == pytest.approx(0.36788, abs=1e-4)
    assert solved_by(f, 2.0) == pytest.approx(0.13534, abs=1e-4)
    assert solved_by(f, torch.tensor([1.0, 1.0], dtype=F64)) == pytest.approx(0.13534, abs=1e-4)
    assert solved_by(f, torch.tensor([[1.0, 0.0]], dtype=F64)) == pytest.approx(0.36788, abs=1e-4)


def first_of_all(t, y):
    return y - y[:1]


def alternating(t, y):
    return torch.cat([y[:1], -y[1:]])


@pytest.mark.parametrize("f, vectorized, said", [
    (lambda t, y: y if y[0] > 0 else -y, False, "control flow depends on values"),
    (lambda t, y: y * torch.rand(()), False, "random numbers"),
    (lambda t, y: -y * y.shape[0], True, "it must not depend on how many trajectories"),
    (first_of_all, True, "a trajectory must not depend on the others"),
    (alternating, True, "it must do the same for every trajectory"),
])  # fmt: skip
def test_what_cannot_be_traced_is_said(f, vectorized, said):
    problem = kt.EnsembleProblem(f, starts(), (0.0, 1.0), vectorized=vectorized)
    with pytest.raises(NotImplementedError, match=rf"Kernel\(\) cannot trace f: .*{said}.*use engine=Eager\(\)"):
        kt.solve(problem, engine=KERNEL)


@pytest.mark.parametrize("k", [torch.arange(37), torch.arange(37) > 5], ids=["whole", "truth"])
def test_whole_numbers_of_each_trajectory_are_refused(k):
    problem = kt.EnsembleProblem(lambda t, y, k: -y * k, starts(), (0.0, 1.0), (k,))
    with pytest.raises(NotImplementedError, match=r"floating-point args .* got whole numbers or truth values"):
        kt.solve(problem, engine=KERNEL)


@pytest.mark.parametrize("threads", [0, -3, 1.5])
def test_threads_that_are_no_number_of_threads(threads):
    with pytest.raises(ValueError, match="threads must be a positive whole number"):
        kt.Kernel(threads=threads)
