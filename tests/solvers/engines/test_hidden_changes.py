"""What a compiled engine must notice, or refuse, rather than go on with what it knew."""

import random

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.solvers.engines.kernel.build import CompilerMissing, compiler
from tests._helpers import F64

try:
    compiler()
except CompilerMissing:  # pragma: no cover
    pytest.skip("needs a C++ compiler", allow_module_level=True)

KERNEL = kt.Kernel()


class Model:
    rate = 1.0


def ones(count=2, size=1, dtype=F64):
    return torch.ones(count, size, dtype=dtype)


def test_a_number_of_a_class(monkeypatch):
    problem = kt.EnsembleProblem(lambda t, y: -Model.rate * y, ones(1000), (0.0, 1.0))
    assert float(kt.solve(problem).y1[0]) == pytest.approx(0.36788, abs=1e-4)
    monkeypatch.setattr(Model, "rate", 2.0)
    sol = kt.solve(problem)
    assert float(sol.y1[0]) == pytest.approx(0.13534, abs=1e-4) and sol.stats.engine == "kernel"


def test_a_number_that_a_condition_reads():
    bound = torch.tensor(0.5, dtype=F64)
    event = kt.Event(lambda t, y: y[0] - float(bound))
    problem = kt.EnsembleProblem(lambda t, y: -y, ones(), (0.0, 3.0))
    for value in (0.5, 0.25):
        bound.fill_(value)
        assert float(kt.solve(problem, events=[event], rtol=1e-8, engine=KERNEL).t1[0]) == pytest.approx(
            -np.log(value), abs=1e-5
        )


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_random_numbers_from_elsewhere(draw):
    problem = kt.EnsembleProblem(lambda t, y: -draw() * y, ones(), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match="random numbers"):
        kt.solve(problem, engine=KERNEL)


class Projected(kt.RungeKutta):
    def step(self, problem, t, y, dt, carry):
        step, carry = super().step(problem, t, y, dt, carry)
        step.y1 = torch.full_like(step.y1, 7.0)
        return step, carry


class Half(kt.PID):
    def factor(self, ratio, earlier, error_order):
        ratio, factor = super().factor(ratio, earlier, error_order)
        return ratio, factor * 0.5


def test_methods_and_controllers_with_rules_of_their_own():
    problem = kt.EnsembleProblem(lambda t, y: -y, ones(1000), (0.0, 1.0))
    projected, control = Projected(kt.tableaus.EULER), kt.Fixed(0.5)
    assert float(kt.solve(problem, projected, controller=control).y1[0]) == 7.0
    for engine in (KERNEL, kt.Compiled()):
        one = problem if engine is KERNEL else kt.ODEProblem(problem.f, ones(), (0.0, 1.0))
        with pytest.raises(NotImplementedError, match="Projected"):
            kt.solve(one, projected, controller=control, engine=engine)
        with pytest.raises(NotImplementedError, match="Half"):
            kt.solve(one, controller=Half(), engine=engine)
    assert kt.solve(problem, controller=Half()).stats.engine == "eager"


def test_tensors_wider_than_the_state():
    wide = torch.tensor(1e8 + 1.0, dtype=F64)
    problem = kt.EnsembleProblem(lambda t, y: -y * (wide - 1e8).to(y.dtype), ones(dtype=torch.float32), (0.0, 1.0))
    with pytest.raises(NotImplementedError, match=r"tensors of torch\.float64, and the state has torch\.float32"):
        kt.solve(problem, engine=KERNEL)


def test_a_vectorized_function_for_so_many_trajectories_only():
    data = torch.linspace(1.0, 2.0, 1000, dtype=F64)[:, None]
    problem = kt.EnsembleProblem(lambda t, y: -data * y, ones(1000), (0.0, 1.0), vectorized=True)
    sol = kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.1))
    assert sol.stats.engine == "eager" and "any number of trajectories" in sol.stats.reason


def test_a_function_that_writes_to_its_state():
    def f(t, y):
        return y.add_(1.0)

    y0 = ones()
    with pytest.raises(NotImplementedError, match="Kernel"):
        kt.solve(kt.EnsembleProblem(f, y0, (0.0, 1.0)), engine=KERNEL)
    assert torch.equal(y0, ones())


def test_gradients_that_a_state_of_zeros_would_hide():
    p = torch.tensor(1.0, dtype=F64, requires_grad=True)
    y0 = torch.tensor([[0.0], [1.0]], dtype=F64)
    with pytest.raises(NotImplementedError, match="autograd finds another gradient"):
        kt.solve(kt.EnsembleProblem(lambda t, y: -p.detach() * y + 0.0 * p, y0, (0.0, 1.0)), engine=KERNEL)


def test_an_event_that_is_zero_at_the_start_in_single_precision():
    def fall(t, y):
        return torch.stack([y[1], -10.0 + 0.0 * y[1]])

    y0 = torch.tensor([0.0, 10.0])
    ends = [kt.Event(lambda t, y: y[0], direction=-1)]
    for engine in (kt.Eager(), KERNEL):
        sol = kt.solve(kt.ODEProblem(fall, y0, (0.0, 20.0)), dt0=10.0, events=ends, engine=engine)
        assert float(sol.t1) == pytest.approx(2.0, abs=1e-4)
        many = kt.solve(kt.EnsembleProblem(fall, y0[None], (0.0, 20.0)), dt0=10.0, events=ends, engine=engine)
        assert float(many.t1[0]) == pytest.approx(2.0, abs=1e-4)


def test_outputs_up_to_an_event():
    problem = kt.ODEProblem(lambda t, y: -y, torch.ones(1, dtype=F64), (0.0, 3.0))
    save = torch.linspace(0.0, 3.0, 7, dtype=F64)
    half = [kt.Event(lambda t, y: y[0] - 0.5)]
    engines = (kt.Eager(), KERNEL)
    eager, kernel = (kt.solve(problem, events=half, save_at=save, engine=one, rtol=1e-8) for one in engines)
    assert torch.equal(eager.ts, kernel.ts) and len(kernel.ts) == 2
    torch.testing.assert_close(kernel.ys, eager.ys, rtol=1e-7, atol=1e-7)


def test_the_smallest_step_in_single_precision():
    problem = kt.EnsembleProblem(lambda t, y: -1e4 * y, ones(dtype=torch.float32), (0.0, 1.0))
    for engine in (kt.Eager(), KERNEL):
        sol = kt.solve(problem, controller=kt.PID(dtmin=0.1), throw=False, engine=engine)
        assert sol.result[0] == kt.Result.STEP_UNDERFLOW and int(sol.stats.steps[0]) <= 2


def test_many_fixed_steps_in_single_precision():
    problem = kt.EnsembleProblem(lambda t, y: 0.0 * y, ones(dtype=torch.float32), (0.0, 600.0))
    assert int(kt.solve(problem, kt.Euler(), controller=kt.Fixed(0.01), engine=KERNEL).stats.steps[0]) == 60_000


def test_a_large_stiff_system_has_room():
    problem = kt.EnsembleProblem(
        lambda t, y: 100 * (torch.roll(y, 1) - 2 * y + torch.roll(y, -1)), torch.rand(3, 60, dtype=F64), (0.0, 0.01)
    )
    eager, kernel = (kt.solve(problem, kt.Rosenbrock23(), rtol=1e-4, engine=one) for one in (kt.Eager(), KERNEL))
    torch.testing.assert_close(kernel.y1, eager.y1, rtol=1e-7, atol=1e-7)
