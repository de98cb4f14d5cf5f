"""The loop in the user's own hands."""

import pytest
import torch

import kutta as kt
from tests._helpers import F64, swing, tensor, turn

START = tensor(1.0, 0.2)
PROBLEM = kt.ODEProblem(swing, START, (0.0, 3.0))


@pytest.mark.parametrize(
    "method", [kt.Tsit5(), kt.Dopri8(), kt.Bosh3(), kt.Rodas5P(), kt.AdamsBashforthMoulton(4)], ids=repr
)
def test_its_steps_are_those_of_a_solve(method):
    integrator = kt.Integrator(PROBLEM, method)
    times, states = [0.0], [START]
    while not integrator.done:
        step = integrator.step()
        assert step.accepted and step.t1 == integrator.t
        times.append(integrator.t)
        states.append(integrator.y)
    sol = kt.solve(PROBLEM, method, save_at="steps")
    assert times == sol.ts.tolist() and torch.equal(torch.stack(states), sol.ys)
    assert integrator.stats.steps == sol.stats.steps


def test_after_the_end_there_is_no_step():
    integrator = kt.Integrator(kt.ODEProblem(turn, START, (0.0, 0.0)))
    assert integrator.done
    with pytest.raises(StopIteration, match="reinit"):
        integrator.step()


@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Vern7(), kt.Rodas5P(), kt.AdamsBashforthMoulton(4)], ids=repr)
def test_it_resumes_to_the_last_bit(method, tmp_path):
    integrator = kt.Integrator(PROBLEM, method)
    for _ in range(5):
        integrator.step()
    torch.save(integrator.state_dict(), tmp_path / "state.pt")
    other = kt.Integrator(PROBLEM, method)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    while not integrator.done:
        integrator.step()
        other.step()
        assert integrator.t == other.t and torch.equal(integrator.y, other.y)
    assert other.done and other.stats == integrator.stats


def test_reinit_goes_on_from_another_state():
    integrator = kt.Integrator(PROBLEM)
    integrator.step()
    integrator.reinit(y=-START, dt=0.01)
    t = integrator.t
    step = integrator.step()
    assert step.t0 == t and abs(step.t1 - t - 0.01) < 1e-15 and torch.equal(step.y0, -START)


def test_reinit_refuses_another_shape():
    with pytest.raises(ValueError, match="y must be like y0"):
        kt.Integrator(PROBLEM).reinit(y=torch.ones(3, dtype=F64))


def test_a_step_that_fails_says_why():
    integrator = kt.Integrator(kt.ODEProblem(lambda t, y: y / 0.0, START, (0.0, 1.0)))
    with pytest.raises(kt.SolveError, match="NON_FINITE"):
        integrator.step()


def test_an_incomplete_state_is_refused():
    integrator = kt.Integrator(PROBLEM)
    state = integrator.state_dict()
    del state["carry"]
    with pytest.raises(ValueError, match="lacks"):
        integrator.load_state_dict(state)


def test_the_state_of_another_problem_is_refused():
    state = kt.Integrator(kt.ODEProblem(lambda t, y: -y, tensor(1.0), (0.0, 1.0))).state_dict()
    with pytest.raises(ValueError, match="another problem"):
        kt.Integrator(PROBLEM).load_state_dict(state)


def test_an_ensemble_is_refused():
    with pytest.raises(TypeError, match="Integrator drives an ODEProblem"):
        kt.Integrator(kt.EnsembleProblem(turn, torch.ones(2, 2), (0.0, 1.0)))


def test_its_state_is_on_the_tape():
    y0 = START.clone().requires_grad_()
    integrator = kt.Integrator(kt.ODEProblem(swing, y0, (0.0, 1.0)))
    while not integrator.done:
        integrator.step()
    wanted = torch.autograd.grad(kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0))).y1.sum(), y0)[0]
    assert torch.equal(torch.autograd.grad(integrator.y.sum(), y0)[0], wanted)
