"""Rosenbrock methods on stiff problems: accuracy, damping, cost, and everything that a solve offers."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.rosenbrock import _solver
from tests._helpers import F64, difference, gradient, relative_error, slopes_of, swing, tensor, van_der_pol

METHODS = [kt.Rosenbrock23(), kt.Rodas5P()]
each = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


# Stiff problems with end states to ten digits and more: F. Mazzia, C. Magherini, Test set for initial value
# problem solvers, release 2.4 (2008).


def robertson(t, y):
    slow, middle, fast = 0.04 * y[0], 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
    return torch.stack([middle - slow, slow - middle - fast, fast])


def hires(t, y):
    a, b, c, d, e, f, g, h = y.unbind(0)
    bound = 280.0 * f * h
    return torch.stack(
        [
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -bound + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            bound - 1.81 * g,
            -bound + 1.81 * g,
        ]
    )


def oregonator(t, y):
    return torch.stack(
        [
            77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])),
            (y[2] - (1 + y[0]) * y[1]) / 77.27,
            0.161 * (y[0] - y[2]),
        ]
    )


def stiff_van_der_pol(t, y):
    return van_der_pol(t, y, 1000.0)


# Right-hand side, start, end, absolute tolerance beside the relative one, solution at the end.
STIFF = {
    "Robertson": (
        robertson, (1.0, 0.0, 0.0), 1e11, 1e-8,
        (0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050),
    ),
    "HIRES": (
        hires, (1.0, 0, 0, 0, 0, 0, 0, 0.0057), 321.8122, 1e-4,
        (0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
         0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2),
    ),
    "Oregonator": (
        oregonator, (1.0, 2.0, 3.0), 360.0, 1e-6, (0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3),
    ),
    "van der Pol": (stiff_van_der_pol, (2.0, 0.0), 2000.0, 1.0, (0.1706167732170483e1, -0.8928097010247975e-3)),
}  # fmt: skip
# Errors some five times those seen, and steps a tenth more.
LIMITS = {
    ("Robertson", "Rosenbrock23"): (5e-3, 510), ("Robertson", "Rodas5P"): (4e-5, 155),
    ("HIRES", "Rosenbrock23"): (1.2e-3, 350), ("HIRES", "Rodas5P"): (4e-4, 85),
    ("Oregonator", "Rosenbrock23"): (7e-2, 1370), ("Oregonator", "Rodas5P"): (8e-5, 445),
    ("van der Pol", "Rosenbrock23"): (5e-2, 490), ("van der Pol", "Rodas5P"): (6e-4, 245),
}  # fmt: skip


def worst(found, wanted):
    return float(((found - wanted) / wanted).abs().max())


@each
@pytest.mark.parametrize("problem", STIFF)
def test_stiff_problems_of_the_test_set(problem, method):
    f, start, end, scale, wanted = STIFF[problem]
    sol = kt.solve(kt.ODEProblem(f, tensor(*start), (0.0, end)), method, rtol=1e-4, atol=1e-4 * scale)
    error, (allowed, steps) = worst(sol.y1, tensor(*wanted)), LIMITS[problem, type(method).__name__]
    print(f"{problem}, {type(method).__name__}: relative error {error:.1e} in {sol.stats.steps} steps")
    assert error < allowed and sol.stats.steps < steps


@pytest.mark.slow
@pytest.mark.parametrize("problem", STIFF)
def test_the_error_falls_with_the_tolerance(problem):
    f, start, end, scale, wanted = STIFF[problem]
    errors = []
    for rtol in (1e-4, 1e-6, 1e-8):
        sol = kt.solve(kt.ODEProblem(f, tensor(*start), (0.0, end)), kt.Rodas5P(), rtol=rtol, atol=rtol * scale)
        errors.append(worst(sol.y1, tensor(*wanted)))
    print(problem, errors)
    assert errors[2] < 1e-7 and errors[1] < errors[0] / 10 and errors[2] < errors[1] / 10


def smooth(t):
    return torch.sin(t + 0.5)


@pytest.mark.parametrize(("method", "order"), [(kt.Rosenbrock23(), 2), (kt.Rodas5P(), 3)], ids=["2", "5"])
@pytest.mark.parametrize("rate", [1e4, 1e6])
def test_prothero_and_robinson(method, order, rate):
    """``y' = -rate (y - g(t)) + g'(t)``: where ``h rate`` is large, the error of Rodas5P is of order ``h^3 / rate``."""

    def f(t, y):
        return -rate * (y - smooth(t)) + torch.cos(t + 0.5)

    def error(n):
        problem = kt.ODEProblem(f, smooth(tensor(0.0)), (0.0, 2.0))
        sol = kt.solve(problem, method, controller=kt.Fixed(2.0 / n), save_at="steps")
        return float((sol.ys[:, 0] - smooth(sol.ts)).abs().max())

    errors = [error(n) for n in (10, 20)]
    print(type(method).__name__, rate, errors)
    assert abs(slopes_of(errors, (10, 20))[0] - order) < 0.2
    assert errors[0] < (5e-3 if order == 2 else 1e-4 / rate)


@each
def test_a_mode_that_is_far_too_fast_is_damped_at_once(method):
    problem = kt.ODEProblem(lambda t, y: -1e12 * y, tensor(1.0), (0.0, 1.0))
    assert float(kt.solve(problem, method, controller=kt.Fixed(1.0)).y1.abs()) < 1e-10


# Cost.


@each
def test_what_is_counted(method):
    stages = method.tableau.stages
    sol = kt.solve(kt.ODEProblem(stiff_van_der_pol, tensor(2.0, 0.0), (0.0, 1000.0)), method, rtol=1e-4)
    stats = sol.stats
    assert stats.rejected > 0
    # A rejected step leaves its Jacobian, and the slope that came with it, to the next trial.
    assert stats.jacobian_evaluations == stats.accepted
    assert stats.linear_solves == stages * stats.steps
    assert stats.function_evaluations == stages * stats.steps - stats.rejected + 2  # two for the first step size


def test_explicit_methods_count_neither_jacobians_nor_linear_systems():
    problem = kt.ODEProblem(swing, tensor(1.0, 0.2), (0.0, 1.0))
    family = kt.EnsembleProblem(swing, tensor(1.0, 0.2).expand(3, 2), (0.0, 1.0))
    assert kt.solve(problem).stats.jacobian_evaluations == kt.solve(problem).stats.linear_solves == 0
    assert not kt.solve(family).stats.jacobian_evaluations.any() and not kt.solve(family).stats.linear_solves.any()


def test_trajectories_count_what_happens_while_they_run():
    ends = tensor(1.0, 100.0, 1e4)
    y0 = tensor(1.0, 0.0, 0.0).expand(3, 3)
    stats = kt.solve(kt.EnsembleProblem(robertson, y0, (0.0, ends)), kt.Rodas5P(), rtol=1e-4, atol=1e-9).stats
    assert torch.equal(stats.jacobian_evaluations, stats.steps) and torch.equal(stats.linear_solves, 8 * stats.steps)
    assert torch.equal(stats.function_evaluations, 8 * stats.steps + 2)
    assert stats.steps[0] < stats.steps[1] < stats.steps[2]


def test_the_integrator_counts_and_resumes_to_the_last_bit():
    problem = kt.ODEProblem(stiff_van_der_pol, tensor(2.0, 0.0), (0.0, 900.0))
    first, second = (kt.Integrator(problem, kt.Rodas5P(), rtol=1e-4) for _ in range(2))
    for _ in range(20):
        first.step()
    second.load_state_dict(first.state_dict())
    for _ in range(20):
        first.step(), second.step()
    assert torch.equal(first.y, second.y) and first.stats == second.stats
    assert first.stats.jacobian_evaluations == first.stats.accepted > 0


def test_a_solve_without_gradients_leaves_no_tape():
    sol = kt.solve(kt.ODEProblem(robertson, tensor(1.0, 0.0, 0.0), (0.0, 10.0)), kt.Rodas5P(), dense=True)
    assert not sol.y1.requires_grad and not sol(5.0).requires_grad


# Ensembles.


@each
@pytest.mark.parametrize("vectorized", [False, True])
def test_stiff_ensembles_equal_single_solves(method, vectorized):
    mu, save = tensor(1.0, 30.0, 1000.0), torch.linspace(0.0, 5.0, 5, dtype=F64)

    def rows(t, y, mu):
        return torch.stack([y[:, 1], mu * (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], dim=1)

    y0 = tensor(2.0, 0.0).expand(3, 2)
    family = kt.EnsembleProblem(rows if vectorized else van_der_pol, y0, (0.0, 5.0), (mu,), vectorized=vectorized)
    sol = kt.solve(family, method, rtol=1e-4, save_at=save)
    for row in range(3):
        alone = kt.solve(kt.ODEProblem(van_der_pol, y0[row], (0.0, 5.0), (mu[row],)), method, rtol=1e-4, save_at=save)
        assert relative_error(sol.ys[:, row], alone.ys) < 1e-7
        assert abs(int(sol.stats.steps[row]) - alone.stats.steps) <= 2


@each
@pytest.mark.parametrize("many", [False, True])
def test_everything_at_once(method, many):
    """Events, outputs, dense output, penalties, diagnostics and prescribed jumps in one backward solve."""
    y0 = tensor(1.0, 0.2).expand(2, 2) if many else tensor(1.0, 0.2)
    kind = kt.EnsembleProblem if many else kt.ODEProblem
    sol = kt.solve(
        kind(swing, y0, (3.0, 0.0)),
        method,
        rtol=1e-6,
        save_at=[2.5, 1.0],
        dense=True,
        diagnostics=True,
        controller=kt.PID(jump_ts=[2.0], step_ts=[1.5]),
        events=[kt.Event(lambda t, y: y[0], terminal=False)],
        penalties={"error": kt.regularizers.ErrorEstimate(), "local": kt.regularizers.LocalErrorEstimate()},
    )
    exact = kt.solve(kind(swing, y0, (3.0, 0.0)), kt.Vern9(), rtol=1e-11, atol=1e-12, save_at=[2.5, 1.0])
    assert relative_error(sol.ys, exact.ys) < 1e-3 and relative_error(sol(2.5), exact.ys[0]) < 1e-3
    assert sol.events and all(bool((value > 0).all()) for value in sol.penalties.values())
    assert sol.stats.history is not None


def test_outputs_at_every_step_and_prescribed_steps():
    problem = kt.ODEProblem(robertson, tensor(1.0, 0.0, 0.0), (0.0, 40.0))
    free = kt.solve(problem, kt.Rodas5P(), rtol=1e-5, atol=1e-9, save_at="steps")
    told = kt.solve(problem, kt.Rodas5P(), controller=kt.StepTo(free.ts), save_at="steps")
    assert torch.equal(free.ts, told.ts) and relative_error(told.ys, free.ys) < 1e-12


# Hostile input.


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_states_are_refused(dtype):
    with pytest.raises(TypeError, match=r"Rodas5P solves real systems.*view_as_real"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=dtype), (0.0, 1.0)), kt.Rodas5P())


def test_complex_states_are_refused_for_the_backward_solve_too():
    z0 = torch.ones(1, dtype=torch.complex128, requires_grad=True)
    with pytest.raises(TypeError, match="Rodas5P solves real systems"):
        kt.solve(kt.ODEProblem(lambda t, y: 1j * y, z0, (0.0, 1.0)), adjoint=kt.Gauss(method=kt.Rodas5P()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_states_of_half_precision_are_refused(dtype):
    with pytest.raises(TypeError, match="Rosenbrock23 solves linear systems in float32 or float64"):
        kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=dtype), (0.0, 1.0)), kt.Rosenbrock23())


def test_single_precision():
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y, torch.ones(3), (0.0, 1.0)), kt.Rodas5P(), rtol=1e-5)
    assert sol.y1.dtype == torch.float32 and abs(float(sol.y1[0]) - math.exp(-1.0)) < 1e-5


@pytest.mark.parametrize("jacobian", [2.0 * torch.eye(2, dtype=F64), torch.full((2, 2), torch.nan, dtype=F64)])
def test_a_singular_matrix_gives_what_is_not_finite(jacobian):
    assert not torch.isfinite(_solver(jacobian, 0.5)(tensor(1.0, 1.0))).any()
    both = torch.stack([jacobian, -torch.eye(2, dtype=F64)])
    found = _solver(both, torch.full((2, 1), 0.5, dtype=F64))(torch.ones(2, 2, dtype=F64))
    assert not torch.isfinite(found[0]).any() and torch.allclose(found[1], tensor(2.0, 2.0) / 3)


@each
@pytest.mark.parametrize("many", [False, True])
def test_trials_out_of_bounds_are_rejected(method, many):
    """The root is NaN for negative states, where the first trial leads."""

    def f(t, y):
        return -20.0 * torch.sqrt(y) * (y + 0.1)

    def end(method, **options):
        kind, y0 = (kt.EnsembleProblem, torch.ones(2, 1, dtype=F64)) if many else (kt.ODEProblem, tensor(1.0))
        return kt.solve(kind(f, y0, (0.0, 0.2)), method, **options)

    sol = end(method, rtol=1e-6, dt0=5.0)
    assert bool((torch.as_tensor(sol.stats.rejected) > 0).all())
    assert relative_error(sol.y1, end(kt.Vern9(), rtol=1e-11, atol=1e-12).y1) < 1e-3


@each
@pytest.mark.parametrize("many", [False, True])
def test_a_blow_up_ends_with_a_result(method, many):
    kind, y0 = (kt.EnsembleProblem, torch.ones(2, 1, dtype=F64)) if many else (kt.ODEProblem, tensor(1.0))
    sol = kt.solve(kind(lambda t, y: y**2, y0, (0.0, 2.0)), method, rtol=1e-3, throw=False)
    results = list(sol.result) if many else [sol.result]
    assert all(result in (kt.Result.STEP_UNDERFLOW, kt.Result.NON_FINITE) for result in results)


def test_explicit_methods_name_the_remedy_on_a_stiff_problem():
    problem = kt.ODEProblem(robertson, tensor(1.0, 0.0, 0.0), (0.0, 1e5))
    with pytest.raises(kt.SolveError, match=r"kutta\.Rodas5P\(\)"):
        kt.solve(problem, max_steps=300)


def test_the_stiffness_estimate_is_refused():
    problem = kt.ODEProblem(swing, tensor(1.0, 0.2), (0.0, 1.0))
    with pytest.raises(ValueError, match="needs an explicit method with two stages at the same time; got Rodas5P"):
        kt.solve(problem, kt.Rodas5P(), penalties={"stiffness": kt.regularizers.StiffnessEstimate()})


# Gradients.

Y0, P = tensor(2.0, 0.0), tensor(30.0, 0.3)


def driven(t, y, p):
    return torch.stack([y[1], p[0] * ((1 - y[0] ** 2) * y[1] - y[0]) + p[1] * torch.cos(2 * t) * y[0]])


def loss_of(method, y0=Y0, p=P, **options):
    problem = kt.ODEProblem(driven, y0, (0.0, 2.0), (p,))
    return (kt.solve(problem, method, save_at=[0.33, 1.1, 2.0], **options).ys.sin() ** 2).sum()


@each
@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_gradients_of_the_discrete_solution(method, adjoint):
    ts = kt.solve(kt.ODEProblem(driven, Y0, (0.0, 2.0), (P,)), method, rtol=1e-2, atol=1e-4, save_at="steps").ts
    steps = {"adjoint": adjoint, "controller": kt.StepTo(ts)}
    for loss, x, eps in (
        (lambda y0: loss_of(method, y0=y0, **steps), Y0, 1e-5),
        (lambda p: loss_of(method, p=p, **steps), P, 1e-4),
    ):
        error = relative_error(gradient(loss, x), difference(loss, x, eps=eps))
        print(f"{type(method).__name__}, {type(adjoint).__name__}: {error:.1e}")
        assert error < 1e-7


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_gradients_of_ensembles_are_those_of_their_trajectories(adjoint):
    rates, y0 = tensor(3.0, 30.0), torch.stack([Y0, 0.5 * Y0])

    def end(kind, y0, p):
        return kt.solve(kind(driven, y0, (0.0, 1.0), (p,)), kt.Rodas5P(), rtol=1e-5, adjoint=adjoint).y1

    def of_all(rates):
        p = torch.stack([rates, 0.3 * torch.ones_like(rates)], dim=1)
        return (end(kt.EnsembleProblem, y0, p) ** 2).sum()

    def one_by_one(rates):
        return sum((end(kt.ODEProblem, y, torch.stack([rate, torch.tensor(0.3, dtype=F64)])) ** 2).sum()
                   for y, rate in zip(y0, rates, strict=True))  # fmt: skip

    assert relative_error(gradient(of_all, rates), gradient(one_by_one, rates)) < 1e-9


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_rejected_trials_of_an_ensemble_leave_no_trace_in_the_gradient(adjoint):
    rate = torch.tensor(20.0, dtype=F64, requires_grad=True)
    problem = kt.EnsembleProblem(
        lambda t, y, k: -k * torch.sqrt(y) * (y + 0.1), torch.ones(2, 1, dtype=F64), (0.0, 0.1), (rate,)
    )
    sol = kt.solve(problem, kt.Rodas5P(), dt0=5.0, adjoint=adjoint)
    assert bool((sol.stats.rejected > 0).all())
    sol.y1.sum().backward()
    assert torch.isfinite(rate.grad)


def test_gauss_solves_the_adjoint_equation_of_a_stiff_problem():
    def of(adjoint):
        y0, p = (one.clone().requires_grad_() for one in (Y0, P))
        loss = loss_of(kt.Rodas5P(), y0, p, adjoint=adjoint, rtol=1e-7, atol=1e-9)
        return torch.cat(torch.autograd.grad(loss, (y0, p)))

    wanted = of(kt.Direct())
    for adjoint in (kt.Gauss(), kt.Interpolating(method=kt.Tsit5())):
        error = relative_error(of(adjoint), wanted)
        print(f"{type(adjoint).__name__}: {error:.1e}")
        assert error < 1e-5


def test_gauss_with_an_implicit_method_takes_few_steps_back():
    """``y' = -k y + 1`` is over after the first few steps, and its adjoint equation is as stiff."""
    rate = torch.tensor(1e6, dtype=F64, requires_grad=True)
    calls = []

    def f(t, y, k):
        calls.append(t)
        return 1.0 - k * y

    y1 = kt.solve(kt.ODEProblem(f, tensor(1.0), (0.0, 1.0), (rate,)), kt.Rodas5P(), adjoint=kt.Gauss(), atol=1e-12).y1
    forward = len(calls)
    y1.sum().backward()
    assert float(rate.grad) == pytest.approx(-1e-12, rel=1e-4)
    assert len(calls) < 10 * forward


@pytest.mark.parametrize("adjoint", [kt.Interpolating(), kt.Backsolve()], ids=lambda one: type(one).__name__)
def test_adjoints_that_solve_for_the_parameters_too_are_refused(adjoint):
    with pytest.raises(ValueError, match=rf"{type(adjoint).__name__}\(\) solves for state and parameters together"):
        loss_of(kt.Rodas5P(), p=P.clone().requires_grad_(), adjoint=adjoint)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Gauss()], ids=lambda one: type(one).__name__)
def test_gradients_of_an_event(adjoint):
    event = kt.Event(lambda t, y, p: y[0] - 1.9)

    def loss(p):
        problem = kt.ODEProblem(driven, Y0, (0.0, 5.0), (p,))
        sol = kt.solve(problem, kt.Rodas5P(), events=[event], adjoint=adjoint, rtol=1e-9, atol=1e-11)
        return sol.t1 + sol.y1[1]

    assert relative_error(gradient(loss, P), difference(loss, P, eps=1e-3)) < 1e-5


def frozen(y0):
    problem = kt.ODEProblem(driven, y0, (0.0, 1.0), (P,))
    return (kt.solve(problem, kt.Rodas5P(), controller=kt.Fixed(0.1)).y1 ** 2).sum()


def test_under_torch_func():
    wanted = gradient(frozen, Y0)
    assert torch.allclose(torch.func.grad(frozen)(Y0), wanted, rtol=1e-10)
    assert torch.allclose(torch.func.jacfwd(frozen)(Y0), wanted, rtol=1e-10)
    batch = torch.stack([Y0, 0.5 * Y0])
    assert torch.allclose(torch.func.vmap(frozen)(batch), torch.stack([frozen(y) for y in batch]), rtol=1e-12)
    mapped = torch.func.vmap(torch.func.grad(frozen))(batch)
    assert torch.allclose(mapped, torch.stack([gradient(frozen, y) for y in batch]), rtol=1e-10)


def test_second_derivatives():
    y0 = Y0.clone().requires_grad_()
    (first,) = torch.autograd.grad(frozen(y0), y0, create_graph=True)
    (second,) = torch.autograd.grad(first[0], y0)
    assert relative_error(second, difference(lambda y: gradient(frozen, y)[0], Y0, eps=1e-5)) < 1e-7
    assert torch.allclose(torch.func.hessian(frozen)(Y0)[0], second, rtol=1e-9)
