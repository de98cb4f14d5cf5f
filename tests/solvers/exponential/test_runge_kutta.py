"""Exponential methods: what they solve exactly, their orders, a soliton, gradients, and all that solves offer."""

import gc
import math
import weakref

import pytest
import torch

import kutta as kt
from kutta.solvers.exponential import functions
from tests._helpers import F64
from tests.solvers._split import coupled, error_at_end, in_fourier, periodic, reacting, soliton

METHODS = [kt.ETD1(), kt.ETDRK2(), kt.ETDRK3(), kt.ETDRK4(), kt.Krogstad4(), kt.Lawson4()]
ADAPTIVE = METHODS[1:]


def name(method):
    return type(method).__name__


def nothing(t, u):
    return torch.zeros_like(u)


# Linear problems.


@pytest.mark.parametrize("method", METHODS, ids=name)
@pytest.mark.parametrize("dt", [0.003, 0.7, 50.0])
@pytest.mark.parametrize("kind", ["advection", "diffusion", "dispersion"])
def test_linear_problems_are_solved_exactly_whatever_the_step(kind, dt, method):
    x, k = periodic(16)
    symbols = {"advection": -1j * k, "diffusion": -(k**2), "dispersion": 1j * k**3}[kind]
    problem = kt.SplitODEProblem(in_fourier(symbols, 16), nothing, torch.sin(3 * x), (0.0, 2 * dt))
    move = {"advection": -3, "diffusion": 0, "dispersion": 27}[kind] * 2 * dt
    decay = math.exp(-9 * 2 * dt) if kind == "diffusion" else 1.0
    found = kt.solve(problem, method, controller=kt.Fixed(dt)).y1
    assert float((found - decay * torch.sin(3 * x + move)).abs().max()) < 1e-15 * (10 + 27 * dt)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_waves_in_several_dimensions(dimensions):
    n = 8
    axes = [2 * math.pi * torch.fft.fftfreq(n, 2 * math.pi / n, dtype=F64)] * (dimensions - 1)
    k = torch.meshgrid(*axes, periodic(n)[1], indexing="ij")
    x = torch.meshgrid(*[periodic(n)[0]] * dimensions, indexing="ij")
    last = tuple(range(-dimensions, 0))
    linear = kt.algebra.Diagonal(
        -sum(one**2 for one in k) - 1j * k[-1],
        lambda u: torch.fft.rfftn(u, dim=last),
        lambda v: torch.fft.irfftn(v, s=(n,) * dimensions, dim=last),
    )
    y0 = torch.stack([torch.sin(x[0] + x[-1]), torch.cos(2 * x[-1])])  # a batch of two
    sol = kt.solve(kt.SplitODEProblem(linear, nothing, y0, (0.0, 3.0)), kt.ETDRK4(), controller=kt.Fixed(0.5))
    exact = torch.stack([math.exp(-6) * torch.sin(x[0] + x[-1] - 3), math.exp(-12) * torch.cos(2 * (x[-1] - 3))])
    assert torch.allclose(sol.y1, exact, rtol=0, atol=1e-15)


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_matrices_and_products_with_them_give_the_same(method):
    problem = coupled()
    matrix = problem.linear
    dense = kt.solve(problem, method, controller=kt.Fixed(0.1)).y1
    products = kt.algebra.MatrixFree(lambda x: x @ matrix.T)
    by_products = kt.solve(
        kt.SplitODEProblem(products, problem.f, problem.y0, problem.t_span), method, controller=kt.Fixed(0.1)
    ).y1
    assert torch.allclose(dense, by_products, rtol=1e-11, atol=1e-12)
    values, vectors = torch.linalg.eig(matrix)
    inverse = torch.linalg.inv(vectors)
    diagonal = kt.algebra.Diagonal(
        values, lambda x: x.to(vectors.dtype) @ inverse.T, lambda v: (v @ vectors.T).real.contiguous()
    )
    transformed = kt.SplitODEProblem(diagonal, problem.f, problem.y0, problem.t_span)
    assert torch.allclose(dense, kt.solve(transformed, method, controller=kt.Fixed(0.1)).y1, rtol=1e-12, atol=1e-13)


# Orders.


@pytest.fixture(scope="module")
def stiff():
    problem = reacting()
    return problem, kt.solve(problem, kt.Krogstad4(), controller=kt.Fixed(1 / 2048)).y1


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_order_on_a_stiff_problem(method, stiff):
    """``h |L|`` is 16 and 8 here."""
    problem, exact = stiff
    slope = math.log2(error_at_end(problem, method, 64, exact) / error_at_end(problem, method, 128, exact))
    print(f"order of {name(method)}: {slope:.3f}")
    assert abs(slope - method.order) < 0.15


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_order_on_a_problem_that_is_not_stiff(method):
    problem = coupled()
    exact = kt.solve(problem, kt.Vern9(), rtol=1e-13, atol=1e-14).y1
    slope = math.log2(error_at_end(problem, method, 32, exact) / error_at_end(problem, method, 64, exact))
    print(f"order of {name(method)}: {slope:.3f}")
    assert abs(slope - method.order) < 0.15


PUBLISHED = [
    (kt.ETD1(), 1600, 6.37e-3),
    (kt.ETDRK2(), 400, 3.10e-4),
    (kt.ETDRK4(), 200, 7.99e-7),
    (kt.ETDRK4(), 400, 4.06e-8),
]


@pytest.mark.parametrize(("method", "steps", "wanted"), PUBLISHED, ids=lambda value: str(value))
def test_soliton(method, steps, wanted):
    problem, exact = soliton()
    y1 = kt.solve(problem, method, controller=kt.Fixed(2.0 / steps)).y1
    assert float((y1 - exact).norm() / exact.norm()) == pytest.approx(wanted, rel=0.02)


# What a solve offers.


@pytest.mark.parametrize("method", ADAPTIVE, ids=name)
def test_step_sizes_follow_the_tolerance(method, stiff):
    problem, exact = stiff
    errors, steps = [], []
    for tolerance in (1e-2, 1e-4):
        sol = kt.solve(problem, method, rtol=tolerance, atol=tolerance)
        errors.append(float((sol.y1 - exact).abs().max()))
        steps.append(sol.stats.steps)
        assert errors[-1] < 10 * tolerance
    assert steps[0] < steps[1] and errors[1] < errors[0]


def test_the_functions_are_computed_once_for_each_step_size(monkeypatch):
    problem, count = reacting(), []
    weigh = functions.weights_of
    monkeypatch.setattr(functions, "weights_of", lambda *args: count.append(1) or weigh(*args))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 300))
    assert sol.stats.steps == 300 and len(count) <= 2
    assert sol.stats.function_evaluations == 1 + 4 * 300


def test_outputs_and_interpolation():
    problem = reacting(t1=0.5)
    ts = torch.linspace(0.0, 0.5, 7, dtype=F64)
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 512), save_at=ts, dense=True)
    fine = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 512, step_ts=ts.tolist()), save_at=ts)
    assert torch.allclose(sol.ys, fine.ys, rtol=0, atol=1e-7)
    assert torch.allclose(sol(ts[3]), sol.ys[3], rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_linear_problems_are_exact_between_the_ends_of_long_steps(method):
    x, k = periodic(16)
    problem = kt.SplitODEProblem(in_fourier(-0.1 * k**2, 16), nothing, torch.sin(3 * x), (0.0, 10.0))
    times = torch.tensor([0.3, 4.0, 7.77], dtype=F64)
    sol = kt.solve(problem, method, controller=kt.Fixed(5.0), save_at=times, dense=True)
    exact = torch.exp(-0.9 * times)[:, None] * torch.sin(3 * x)
    assert float((sol.ys - exact).abs().max()) < 1e-14 and float((sol(times) - exact).abs().max()) < 1e-14


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=name)
def test_gradients_go_through_states_within_steps(adjoint):
    start = torch.tensor([0.3, -0.8], dtype=F64)

    def at(start):
        linear = kt.algebra.Dense(torch.tensor([[-1.0, 0.3], [0.2, -9.0]], dtype=F64))
        problem = kt.SplitODEProblem(linear, lambda t, y: y.sin(), start, (0.0, 1.0))
        options = {"controller": kt.Fixed(0.4), "save_at": torch.tensor([0.25, 0.9], dtype=F64), "adjoint": adjoint}
        return kt.solve(problem, kt.ETDRK4(), **options).ys.square().sum()

    start.requires_grad_()
    (slope,) = torch.autograd.grad(at(start), start)
    for entry in range(2):
        h = torch.zeros(2, dtype=F64)
        h[entry] = 1e-6
        with torch.no_grad():
            assert float(slope[entry]) == pytest.approx(float((at(start + h) - at(start - h)) / 2e-6), rel=1e-7)


def test_events_and_time_backwards():
    x, k = periodic(16)
    linear = in_fourier(-1j * k, 16)
    problem = kt.SplitODEProblem(linear, nothing, torch.sin(x), (0.0, -5.0))
    event = kt.Event(lambda t, u: u[0] - 0.5)  # sin(-t) at x = 0
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.05), events=[event])
    assert float(sol.t1) == pytest.approx(-math.pi / 6, abs=1e-6)


def test_progress_and_steps_in_the_users_hands():
    problem = reacting(t1=0.25)
    integrator = kt.Integrator(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 16))
    while not integrator.done:
        integrator.step()
    assert torch.equal(integrator.y, kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 16)).y1)


def test_plain_methods_see_the_sum():
    problem = coupled()
    wanted = kt.solve(
        kt.ODEProblem(lambda t, y: problem.linear @ y + problem.f(t, y), problem.y0, problem.t_span), kt.Tsit5()
    ).y1
    assert torch.allclose(kt.solve(problem, kt.Tsit5()).y1, wanted, rtol=1e-14)
    assert torch.allclose(kt.solve(problem).y1, wanted, rtol=1e-14)
    rodas = kt.solve(problem, kt.Rodas5P(), rtol=1e-9, atol=1e-10).y1
    assert torch.allclose(rodas, kt.solve(problem, kt.ETDRK4(), rtol=1e-9, atol=1e-10).y1, rtol=0, atol=1e-8)


def test_single_precision():
    problem = reacting()
    wide = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1 / 64)).y1
    x, k = periodic(64)
    single = kt.SplitODEProblem(
        in_fourier((-(k**2)).float(), 64),
        lambda t, u: 2 * torch.sin(2 * u) + torch.cos(3 * t) * torch.sin(x.float()),
        problem.y0.float(),
        (0.0, 1.0),
    )
    found = kt.solve(single, kt.ETDRK4(), controller=kt.Fixed(1 / 64)).y1
    assert found.dtype == torch.float32
    assert float((found - wide).abs().max()) < 3e-6


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_states_in_the_space_of_their_transform(dtype):
    """``i psi_t = -psi_xx / 2 - |psi|^2 psi`` has the soliton ``exp(i t / 2) / cosh(x)``."""
    x = (torch.arange(128, dtype=F64) - 64) / 4
    k = 2 * math.pi * torch.fft.fftfreq(128, 1 / 4, dtype=F64)

    def f(t, v):
        wave = torch.fft.ifft(v)
        return 1j * torch.fft.fft(wave.abs() ** 2 * wave)

    start = torch.fft.fft((1 / torch.cosh(x)).to(dtype))
    problem = kt.SplitODEProblem(kt.algebra.Diagonal((-0.5j * k**2).to(dtype)), f, start, (0.0, 2.0))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.01))
    error = torch.fft.ifft(sol.y1) - torch.exp(torch.tensor(1j)) / torch.cosh(x)
    assert sol.y1.dtype == dtype
    assert float(error.abs().max()) < (2e-5 if dtype == torch.complex64 else 5e-7)


# Gradients.


def loss_of(viscosity, amplitude, scale, method, controller=None, **options):
    x, k = periodic(8)
    linear = in_fourier(-viscosity * k**2 - 0.3j * viscosity * k, 8)
    problem = kt.SplitODEProblem(linear, lambda t, u, s: s * u.sin(), amplitude * torch.sin(x), (0.0, 0.5), (scale,))
    return kt.solve(problem, method, controller=controller or kt.Fixed(0.1), **options).y1.square().sum()


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_gradients_to_the_linear_part_the_start_and_arguments(method):
    given = tuple(torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.4, 1.3, 0.8))
    assert torch.autograd.gradcheck(lambda *args: loss_of(*args, method), given, atol=1e-8, fast_mode=True)


def test_recomputing_gives_the_same_gradients():
    given = tuple(torch.tensor(value, dtype=F64, requires_grad=True) for value in (0.4, 1.3, 0.8))
    wanted = torch.autograd.grad(loss_of(*given, kt.ETDRK4()), given)
    found = torch.autograd.grad(loss_of(*given, kt.ETDRK4(), adjoint=kt.Recompute(segment=2)), given)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-13)


@pytest.mark.parametrize("kind", ["matrix", "products"])
def test_gradients_to_a_matrix(kind):
    matrix = (0.5 * torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(2))).requires_grad_()

    def end(matrix, y0):
        linear = matrix if kind == "matrix" else kt.algebra.MatrixFree(lambda x: x @ matrix.T)
        problem = kt.SplitODEProblem(linear, lambda t, y: y.sin(), y0, (0.0, 0.4))
        return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.2)).y1

    y0 = torch.tensor([0.3, -1.0, 0.5], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (matrix, y0), atol=1e-7, fast_mode=True)


def test_second_derivatives_and_forward_mode():
    def value(viscosity):
        return loss_of(viscosity, torch.tensor(1.3, dtype=F64), torch.tensor(0.8, dtype=F64), kt.ETDRK4())

    at = torch.tensor(0.4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradgradcheck(value, (at,), atol=1e-6, fast_mode=True)
    slope = torch.func.jvp(value, (at.detach(),), (torch.ones((), dtype=F64),))[1]
    assert torch.allclose(slope, torch.autograd.grad(value(at), at)[0], rtol=1e-12)


# What is refused.


def test_refusals_name_what_came():
    problem = coupled()
    plain = kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0))
    with pytest.raises(TypeError, match=r"ETDRK4 treats the linear part.*SplitODEProblem.*got ODEProblem"):
        kt.solve(plain, kt.ETDRK4(), controller=kt.Fixed(0.1))
    with pytest.raises(NotImplementedError, match="ETDRK4 advances one problem"):
        kt.solve(kt.EnsembleProblem(lambda t, y: -y, torch.ones(2, 3), (0.0, 1.0)), kt.ETDRK4())
    with pytest.raises(ValueError, match="ETD1 estimates no error"):
        kt.solve(problem, kt.ETD1())
    with pytest.raises(NotImplementedError, match=r"linear part is diagonal in a transform.*got Dense"):
        kt.solve(problem, kt.ETDRK4(), engine=kt.Compiled())
    with pytest.raises(ValueError, match="LocalErrorEstimate takes its steps together"):
        kt.solve(problem, kt.ETDRK4(), penalties={"r": kt.regularizers.LocalErrorEstimate()})


def split(linear, y0=None, f=nothing):
    y0 = torch.ones(3) if y0 is None else y0
    return kt.solve(kt.SplitODEProblem(linear, f, y0, (0.0, 1.0)), kt.ETDRK4(), controller=kt.Fixed(0.5))


def test_linear_parts_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match=r"linear must be a matrix or a linear operator; got function.*MatrixFree"):
        split(nothing)
    with pytest.raises((ValueError, TypeError), match="3"):
        split(torch.eye(2))
    with pytest.raises(TypeError, match="float64"):
        split(torch.eye(3, dtype=F64))
    with pytest.raises(TypeError, match="y0 of a SplitODEProblem must be one tensor"):
        split(torch.eye(3), {"a": torch.ones(3)})
    with pytest.raises(ValueError, match="linear must map states to their like"):
        split(kt.algebra.Diagonal(torch.ones(3), lambda x: x.to(torch.complex64)))
    with pytest.raises(ValueError, match="linear cannot be applied to a state of shape"):
        split(kt.algebra.Diagonal(torch.ones(4), torch.fft.rfft, torch.fft.irfft))
    with pytest.raises(TypeError, match="ETDRK4 advances states in single or double precision"):
        split(torch.eye(3).half(), torch.ones(3).half())
    with pytest.raises(ValueError, match="f must return a derivative of the state's shape"):
        split(torch.eye(3), f=lambda t, y: y[:2])


def test_continuous_adjoints_need_another_method():
    y0 = torch.ones(2, dtype=F64, requires_grad=True)
    problem = kt.SplitODEProblem(-torch.eye(2, dtype=F64), lambda t, y: y.sin(), y0, (0.0, 1.0))
    with pytest.raises(ValueError, match="ETDRK4 cannot solve the adjoint equation"):
        kt.solve(problem, kt.ETDRK4(), adjoint=kt.Interpolating())
    wanted = torch.autograd.grad(kt.solve(problem, kt.ETDRK4(), rtol=1e-8).y1.sum(), y0)[0]
    with_another = kt.solve(problem, kt.ETDRK4(), rtol=1e-8, adjoint=kt.Interpolating(method=kt.Tsit5()))
    assert torch.allclose(torch.autograd.grad(with_another.y1.sum(), y0)[0], wanted, rtol=1e-6)


def test_a_state_that_is_not_finite_ends_the_solve():
    with pytest.raises(kt.SolveError, match=r"(?i)finite"):
        split(torch.eye(3), f=lambda t, y: y / 0.0)


def test_kept_functions_serve_later_solves_and_follow_the_symbols():
    symbols, start = torch.tensor([-1.0, -2.0], dtype=F64), torch.ones(2, dtype=F64, requires_grad=True)
    problem = kt.SplitODEProblem(kt.algebra.Diagonal(symbols), lambda t, y: 0 * y, start, (0.0, 1.0))

    def end():
        return kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5)).y1

    with torch.inference_mode():
        torch.testing.assert_close(end(), symbols.exp())
    (gradient,) = torch.autograd.grad(end().sum(), start)
    torch.testing.assert_close(gradient, symbols.exp())
    symbols.mul_(3.0)
    torch.testing.assert_close(end().detach(), symbols.exp())


@pytest.mark.parametrize("method", ["ETDRK2", "ETDRK3", "ETDRK4", "Krogstad4", "Lawson4"])
@pytest.mark.parametrize("rtol", [1e-3, 1e-5])
def test_error_estimates_see_time_in_the_remainder(method, rtol):
    """dy/dt = -y / 10 + cos(20 t): stages at one time have one slope, whatever their states."""
    linear = kt.algebra.Diagonal(torch.tensor([-0.1], dtype=torch.float64))
    problem = kt.SplitODEProblem(
        linear, lambda t, y: torch.cos(20 * t) + 0 * y, torch.ones(1, dtype=torch.float64), (0.0, 0.3)
    )
    a, w, t1 = 0.1, 20.0, 0.3
    forced = (a * math.cos(w * t1) + w * math.sin(w * t1) - a * math.exp(-a * t1)) / (a**2 + w**2)
    y1 = kt.solve(problem, getattr(kt, method)(), rtol=rtol, atol=rtol).y1
    assert abs(float(y1) - math.exp(-a * t1) - forced) < 5 * rtol


def driven(t_span=(0.0, 2.0)):
    linear = kt.algebra.Diagonal(torch.tensor([-1.0, -7.0], dtype=F64))
    return kt.SplitODEProblem(linear, lambda t, y: torch.sin(3.0 * t) + 0.1 * y.cos(), torch.ones(2, dtype=F64), t_span)


def test_a_dense_solution_has_the_slope_of_its_time_whoever_asked_before():
    sol = kt.solve(driven(), kt.ETDRK4(), controller=kt.Fixed(0.5), dense=True)
    before = sol(0.8)
    t = torch.tensor(0.8, dtype=F64, requires_grad=True)
    y = sol(t)
    (slope,) = torch.autograd.grad(y.sum(), t)
    exact = (
        torch.tensor([-1.0, -7.0], dtype=F64) * before + torch.sin(torch.tensor(2.4, dtype=F64)) + 0.1 * before.cos()
    )
    assert float(slope) == pytest.approx(float(exact.sum()), rel=1e-12)
    (again,) = torch.autograd.grad(sol(t).sum(), t)
    assert float(again) == float(slope)


def test_steps_are_freed_without_the_collector():
    taken = []

    class Watched(kt.ETDRK4):
        def step(self, *args):
            step, carry = super().step(*args)
            taken.append(weakref.ref(step))
            return step, carry

    gc.disable()
    try:
        kt.solve(driven(), Watched(), controller=kt.Fixed(0.25))
        assert len(taken) == 8 and all(one() is None for one in taken)
    finally:
        gc.enable()
