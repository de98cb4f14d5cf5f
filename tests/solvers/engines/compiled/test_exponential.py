"""Exponential methods and complex states in the compiled engine, against the eager one."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.engines.compiled import store
from tests._helpers import F64
from tests.solvers._split import error_at_end, in_fourier, reacting, soliton

METHODS = [kt.ETD1(), kt.ETDRK2(), kt.ETDRK3(), kt.ETDRK4(), kt.Krogstad4(), kt.Lawson4()]


@pytest.fixture
def uncompiled(monkeypatch):
    """The loops, run by PyTorch operation by operation."""
    monkeypatch.setattr(store, "native", lambda function, examples: function)
    monkeypatch.setattr(store, "_functions", {})


def waves(n=32, dtype=F64, batch=(), symbols=lambda k: k**2 - k**4, t1=1.0):
    """A Kuramoto-Sivashinsky equation in its Fourier coefficients."""
    k = torch.arange(n // 2 + 1, dtype=dtype) / 3
    mask = (torch.arange(n // 2 + 1) < n // 3).to(dtype)
    x = 6 * math.pi * torch.arange(n, dtype=dtype) / n
    size = 1.0 + torch.arange(math.prod(batch), dtype=dtype).reshape(*batch, 1)

    def f(t, v, strength=1.0):
        u = torch.fft.irfft(mask * v, n=n)
        return -0.5j * strength * (k * mask) * torch.fft.rfft(u * u) + torch.cos(t) * mask

    start = torch.fft.rfft(size * torch.cos(x / 3) * (1 + torch.sin(x)))
    return kt.SplitODEProblem(kt.algebra.Diagonal(symbols(k)), f, start, (0.0, t1))


def vortices(n=12, dtype=F64):
    """Two-dimensional flow in the coefficients of its vorticity."""
    kx, ky = torch.fft.fftfreq(n, 1 / n, dtype=dtype)[:, None], torch.arange(n // 2 + 1, dtype=dtype)
    square = kx**2 + ky**2
    inverse = torch.where(square == 0, 0.0, -1.0 / torch.where(square == 0, 1.0, square))

    def f(t, w):
        u, v = torch.fft.irfft2(1j * ky * inverse * w, s=(n, n)), torch.fft.irfft2(-1j * kx * inverse * w, s=(n, n))
        wx, wy = torch.fft.irfft2(1j * kx * w, s=(n, n)), torch.fft.irfft2(1j * ky * w, s=(n, n))
        return -torch.fft.rfft2(u * wx + v * wy)

    start = torch.randn(n, n, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return kt.SplitODEProblem(kt.algebra.Diagonal(-0.1 * square), f, torch.fft.rfft2(start), (0.0, 0.2))


def both(problem, method=None, dt=0.1, **options):
    method = method or kt.ETDRK4()
    found = [
        kt.solve(problem, method, controller=kt.Fixed(dt), engine=e, **options) for e in (kt.Eager(), kt.Compiled())
    ]
    assert [one.stats.engine for one in found] == ["eager", "compiled"]
    return found


def assert_alike(eager, compiled, tolerance=1e-12):
    for a, b in ((compiled.y1, eager.y1), (compiled.ys, eager.ys)):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert float((a - b).abs().max()) <= tolerance * float(b.abs().max())
    assert compiled.stats.function_evaluations == eager.stats.function_evaluations
    assert compiled.stats.steps == eager.stats.steps


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_every_method_on_coefficients_equals_the_eager_engine(method, uncompiled):
    assert_alike(*both(waves(), method))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_every_method_on_functions_equals_the_eager_engine(method, uncompiled):
    assert_alike(*both(reacting(n=32, t1=0.5), method, dt=0.05))


def test_complex_symbols(uncompiled):
    assert_alike(*both(waves(symbols=lambda k: k**2 - k**4 + 1j * k**3)))
    assert_alike(*both(soliton(n=64, t1=0.2)[0], dt=0.01))


def test_two_dimensions(uncompiled):
    assert_alike(*both(vortices(), dt=0.05))


def test_leading_axes_are_a_batch(uncompiled):
    eager, compiled = both(waves(batch=(2, 3)))
    assert_alike(eager, compiled)
    alone = both(waves())[1]
    torch.testing.assert_close(compiled.y1[0, 0], alone.y1, rtol=1e-12, atol=1e-12)


def test_a_diagonal_without_a_transform_on_real_states(uncompiled):
    problem = kt.SplitODEProblem(
        kt.algebra.Diagonal(torch.tensor([-1.0, -1e6], dtype=F64)),
        lambda t, y: y.sin(),
        torch.ones(2, dtype=F64),
        (0, 1),
    )
    assert_alike(*both(problem))


def test_outputs_equal_those_of_the_eager_engine(uncompiled):
    times = torch.tensor([0.0, 0.1, 0.3, 0.4, 0.9, 1.0], dtype=F64)
    assert_alike(*both(waves(), save_at=times), tolerance=1e-11)
    assert_alike(*both(reacting(n=16), save_at=times, dt=0.05), tolerance=1e-11)
    with pytest.raises(NotImplementedError, match=r"multiples of dt = 0\.1 after 0; save_at has 0\.15"):
        both(waves(), save_at=torch.tensor([0.15], dtype=F64))


def test_a_last_step_of_another_size(uncompiled):
    eager, compiled = both(waves(), dt=0.3)
    assert_alike(eager, compiled)
    assert compiled.stats.steps == 4
    assert_alike(*both(waves(t1=0.2), dt=0.3))
    assert_alike(
        *both(
            kt.SplitODEProblem(
                in_fourier(1j * torch.arange(9, dtype=F64), 16),
                lambda t, u: u.sin(),
                torch.linspace(0, 1, 16, dtype=F64),
                (1.0, 0.0),
            ),
            dt=0.3,
        )
    )


def test_it_stops_at_the_most_steps_and_where_a_state_is_not_finite(uncompiled):
    for options, result in (({"max_steps": 3}, kt.Result.MAX_STEPS), ({}, kt.Result.NON_FINITE)):
        problem = (
            waves(t1=1.05)
            if options
            else kt.SplitODEProblem(
                kt.algebra.Diagonal(torch.zeros(2, dtype=F64)),
                lambda t, y: y**3,
                torch.full((2,), 3 + 3j, dtype=torch.complex128),
                (0, 9.05),
            )
        )
        eager, compiled = both(problem, throw=False, **options)
        assert compiled.result is eager.result is result
        assert compiled.stats.steps == eager.stats.steps


def test_gradients_are_those_of_the_eager_engine(uncompiled):
    times, found = torch.tensor([0.2, 0.7], dtype=F64), []
    for engine in (kt.Eager(), kt.Compiled()):
        problem = waves()
        start, strength = problem.y0.clone().requires_grad_(), torch.tensor(0.9, dtype=F64, requires_grad=True)
        problem = kt.SplitODEProblem(problem.linear, problem.f, start, (0.0, 0.75), (strength,))
        sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), engine=engine, save_at=times)
        assert sol.stats.engine == type(engine).__name__.lower()
        value = sol.ys.abs().square().sum() + sol.y1.real.sum()
        found.append(torch.autograd.grad(value, (start, strength)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_complex_states_with_explicit_methods(uncompiled):
    turn = kt.ODEProblem(
        lambda t, y: 1j * y * y.abs() ** 2 + torch.exp(1j * t), torch.ones(3, dtype=torch.complex128), (0.0, 1.0)
    )
    eager, compiled = both(turn, kt.RK4(), save_at=torch.tensor([0.55, 1.0], dtype=F64))
    torch.testing.assert_close(compiled.ys, eager.ys, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(F64, marks=pytest.mark.slow)], ids=["float32", "float64"]
)
def test_natively_compiled_it_gives_the_same(dtype):
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert_alike(*both(waves(dtype=dtype)), tolerance=tolerance)


@pytest.mark.slow
def test_natively_compiled_flow_and_its_gradient():
    assert_alike(*both(vortices(n=15), dt=0.05))
    found = []
    for engine in (kt.Eager(), kt.Compiled()):
        problem = vortices()
        start = problem.y0.clone().requires_grad_()
        problem = kt.SplitODEProblem(problem.linear, problem.f, start, problem.t_span)
        y1 = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.1), engine=engine).y1
        found.append(torch.autograd.grad(y1.abs().square().sum(), start)[0])
    torch.testing.assert_close(found[0], found[1], rtol=1e-9, atol=1e-9)


def test_the_order_is_that_of_the_method(uncompiled, monkeypatch):
    problem, _ = soliton(n=64, t1=0.5)
    fine = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1e-3)).y1
    solve = kt.solve
    monkeypatch.setattr(kt, "solve", lambda *args, **options: solve(*args, engine=kt.Compiled(), **options))
    coarse, finer = (error_at_end(problem, kt.ETDRK4(), steps, fine) for steps in (20, 40))
    assert 3.6 < math.log2(coarse / finer) < 4.4


DIAGONAL = kt.algebra.Diagonal(torch.ones(2, dtype=F64, requires_grad=True))
MATRIX = torch.eye(2, dtype=F64)


@pytest.mark.parametrize(
    "linear, options, why",
    [
        (MATRIX, {"controller": kt.Fixed(0.1)}, "diagonal in a transform.*got Dense"),
        (DIAGONAL, {"controller": kt.Fixed(0.1)}, "gradients with respect to the linear part"),
        (kt.algebra.Diagonal(torch.ones(2, dtype=F64)), {}, "weights belong to a step size"),
    ],
    ids=["matrix", "gradients", "adaptive"],
)
def test_what_is_not_there_is_refused_by_name(linear, options, why):
    problem = kt.SplitODEProblem(linear, lambda t, y: y.sin(), torch.ones(2, dtype=F64), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match=why):
        kt.solve(problem, kt.ETDRK4(), engine=kt.Compiled(), **options)


def test_adaptive_steps_of_complex_states_are_refused():
    problem = kt.ODEProblem(lambda t, y: 1j * y, torch.ones(2, dtype=torch.complex128), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="fixed steps for complex states"):
        kt.solve(problem, kt.Tsit5(), engine=kt.Compiled())
