"""The two ways to form the sums over stages, and memory that is used again."""

import math
import weakref
from types import SimpleNamespace

import pytest
import torch

import kutta as kt
from kutta.solvers.stages import ColumnSums, SlopeMatrix, TapedSlopeMatrix, coefficients

METHODS = [
    kt.Euler(), kt.Midpoint(), kt.Heun(), kt.Ralston(), kt.RK4(), kt.RK38(), kt.SSPRK33(), kt.Fehlberg2(), kt.Bosh3(),
    kt.Dopri5(), kt.Tsit5(), kt.Dopri8(), kt.Vern6(), kt.Vern7(), kt.Vern8(), kt.Vern9(),
]  # fmt: skip


def results(sums, slopes, explicit):
    """Everything that a step asks of its sums."""
    sums.add(slopes[0])
    inputs = []
    for slope in slopes[1:explicit]:
        inputs.append(sums.stage())
        sums.add(slope)
    end = sums.end()
    for slope in slopes[explicit:]:
        sums.add(slope)
    return [*inputs, end, *sums.errors()]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_every_way_is_the_sum_of_the_definition(method, shape, dtype):
    tableau, generator, dt = method.tableau, torch.Generator().manual_seed(1), 0.3
    numbers = coefficients(tableau, dtype, torch.device("cpu"))
    y, *slopes = torch.randn(1 + tableau.stages, *shape, dtype=dtype, generator=generator).unbind(0)
    rows = [row for row in (tableau.error, tableau.second_error) if row is not None]
    expected = [
        start + dt * sum((float(a) * k for a, k in zip(row, slopes, strict=False)), torch.zeros_like(y))
        for start, row in [
            *((y, row) for row in (*tableau.a[1 : numbers.explicit], tableau.b)),
            *((0.0, row) for row in rows),
        ]
    ]
    ways = (ColumnSums(numbers, y, dt), SlopeMatrix(numbers, y).begin(y, dt), TapedSlopeMatrix(numbers, y).begin(y, dt))
    for sums in ways:
        found = results(sums, slopes, numbers.explicit)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-11)
        torch.testing.assert_close(list(sums.stages()), slopes, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("method", [kt.Dopri5(), kt.Dopri8(), kt.Vern7(), kt.RK38()], ids=repr)
@pytest.mark.parametrize("dt", [0.3, torch.tensor([[0.3], [-0.2]], dtype=torch.float64)], ids=["shared", "rows"])
def test_sums_on_the_tape_have_the_right_derivatives(method, dt):
    numbers = coefficients(method.tableau, torch.float64, torch.device("cpu"))
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(1 + method.tableau.stages, 2, 3, dtype=torch.float64, generator=generator).unbind(0)
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]

    def sums(y, *slopes):
        return tuple(results(TapedSlopeMatrix(numbers, y).begin(y, dt), slopes, numbers.explicit))

    assert torch.autograd.gradcheck(sums, inputs)
    assert torch.autograd.gradgradcheck(sums, inputs)


def limit_cycle(t, y):
    return torch.stack([y[1], 5.0 * (1.0 - y[0] ** 2) * y[1] - y[0]])


START = torch.tensor([2.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("method", [kt.Bosh3(), kt.Midpoint(), kt.Dopri8(), kt.Vern6()], ids=repr)
@pytest.mark.parametrize("options", [{}, {"dense": True}, {"save_at": torch.linspace(0.0, 10.0, 7)}], ids=str)
def test_solutions_with_and_without_a_tape_are_the_same_numbers(method, options):
    problem = kt.ODEProblem(limit_cycle, START.clone().requires_grad_(), (0.0, 10.0))
    with torch.enable_grad():
        taped = kt.solve(problem, method, rtol=1e-5, atol=1e-5, **options)
    with torch.no_grad():
        untaped = kt.solve(problem, method, rtol=1e-5, atol=1e-5, **options)
    assert untaped.stats.rejected > 0  # or memory is never given back by a rejected step
    assert (untaped.stats.steps, untaped.stats.rejected) == (taped.stats.steps, taped.stats.rejected)
    assert torch.equal(untaped.ys, taped.ys)
    if "dense" in options:
        torch.testing.assert_close(untaped(3.3), taped(3.3), rtol=1e-14, atol=1e-14)


@torch.no_grad()
def test_a_rejected_infinite_slope_leaves_nothing_behind():
    calls = []

    def f(t, y):
        calls.append(float(t))
        return torch.full_like(y, torch.inf) if len(calls) == 6 else -y

    sol = kt.solve(kt.ODEProblem(f, torch.ones(3, dtype=torch.float64), (0.0, 1.0)), rtol=1e-8, atol=1e-8)
    assert sol.stats.rejected >= 1
    torch.testing.assert_close(sol.y1, torch.full((3,), -1.0, dtype=torch.float64).exp(), rtol=1e-7, atol=0.0)


@torch.no_grad()
def test_steps_in_the_hands_of_a_user_keep_their_stages():
    integrator = kt.Integrator(kt.ODEProblem(limit_cycle, START, (0.0, 10.0)), kt.Tsit5(), rtol=1e-5, atol=1e-5)
    steps, copies = [], []
    while not integrator.done:
        steps.append(integrator.step())
        copies.append(([k.clone() for k in steps[-1].stages], steps[-1].at(0.5)))
    assert integrator.stats.rejected > 0
    for step, (stages, middle) in zip(steps, copies, strict=True):
        torch.testing.assert_close(list(step.stages), stages, rtol=0.0, atol=0.0)
        torch.testing.assert_close(step.at(0.5), middle, rtol=0.0, atol=0.0)


@torch.no_grad()
def test_steps_in_the_hands_of_a_penalty_keep_their_stages():
    class Keep(kt.Regularizer):
        def init(self, y):
            return ()

        def update(self, state, step):
            return (*state, (step.stages, [k.clone() for k in step.stages]))

        def value(self, state):
            return state

    problem = kt.ODEProblem(limit_cycle, START, (0.0, 10.0))
    kept = kt.solve(problem, kt.Tsit5(), rtol=1e-5, atol=1e-5, penalties={"all": Keep()}).penalties["all"]
    assert len(kept) > 10
    for stages, copies in kept:
        torch.testing.assert_close(list(stages), copies, rtol=0.0, atol=0.0)


@torch.no_grad()
def test_states_that_the_right_hand_side_keeps_stay_as_they_were():
    seen = []

    def f(t, y):
        seen.append((y, y.clone()))
        return -y

    kt.solve(kt.ODEProblem(f, torch.ones(4), (0.0, 1.0)), rtol=1e-5)
    assert len(seen) > 20
    assert all(torch.equal(state, copy) for state, copy in seen)


@torch.no_grad()
@pytest.mark.parametrize("method", [kt.Dopri5(), kt.RK4(), kt.Vern7()], ids=repr)
def test_a_right_hand_side_may_return_the_same_tensor_each_time(method):
    out = torch.empty(2, dtype=torch.float64)
    controls = [{"controller": kt.Fixed(0.01)}]
    controls += [{"rtol": 1e-6, "atol": 1e-6}] if method.error_order else []
    for control in controls:
        new, same = (
            kt.solve(kt.ODEProblem(f, START, (0.0, 10.0)), method, **control)
            for f in (limit_cycle, lambda t, y: out.copy_(limit_cycle(t, y)))
        )
        assert same.stats.steps == new.stats.steps and torch.equal(same.y1, new.y1)


def test_solutions_may_be_changed_in_place():
    y0 = torch.ones(3, dtype=torch.float64, requires_grad=True)
    y1 = kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)), rtol=1e-9).y1
    y1 += 1.0
    y1[0] = 0.0
    (grad,) = torch.autograd.grad(y1.sum(), y0)
    torch.testing.assert_close(grad, torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64) / math.e, rtol=1e-6, atol=0.0)


@torch.no_grad()
def test_a_step_gives_its_memory_back_once():
    integrator = kt.Integrator(kt.ODEProblem(limit_cycle, START, (0.0, 10.0)), kt.Tsit5(), rtol=1e-5)
    step = integrator.step()
    step.release()
    step.release()
    kept = integrator.step()
    copies = [k.clone() for k in kept.stages]
    integrator.step()
    assert step.stages == () and all(map(torch.equal, kept.stages, copies))


def test_released_steps_hold_on_to_nothing():
    integrator = kt.Integrator(kt.ODEProblem(lambda t, y, k: -k * y, torch.ones(3), (0.0, 1.0), (torch.ones(()),)))
    step = integrator.step()
    kept = weakref.ref(step.stages[3])
    step.release()
    assert kept() is None


def test_step_sizes_are_not_differentiated():
    dt, field = torch.tensor([[0.1]], requires_grad=True), SimpleNamespace(derivative=lambda t, y: -y)
    with pytest.raises(ValueError, match="step size must not require gradients"):
        kt.Tsit5().step(field, torch.zeros(1, 1), torch.ones(1, 2), dt, None)


@pytest.mark.parametrize("first", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("second", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes_may_change_between_steps(first, second):
    integrator = kt.Integrator(kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0)), rtol=1e-5)
    with first():
        integrator.step().release()
    with second():
        while not integrator.done:
            integrator.step()
    torch.testing.assert_close(integrator.y, torch.full((2,), -1.0).exp(), rtol=1e-4, atol=0.0)
