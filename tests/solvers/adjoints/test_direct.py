"""Direct tapes accepted steps only, and nothing passes through the controller."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, relative_error, swing, tensor, van_der_pol

START = tensor(2.0, 0.0)
STIFF = {"rtol": 1e-3, "atol": 1e-5, "dt0": 1.0}  # a first step that is rejected


class PoisonedBackward(torch.autograd.Function):
    """The identity, whose derivative is NaN where the flag is set."""

    @staticmethod
    def forward(ctx, y, poisoned):
        ctx.save_for_backward(poisoned)
        return y.clone()

    @staticmethod
    def backward(ctx, grad):
        (poisoned,) = ctx.saved_tensors
        return torch.where(poisoned, math.nan, grad), None


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
def test_a_rejected_step_is_never_differentiated(adjoint, many):
    # f has NaN gradients where only rejected trials go: the accepted steps end the solve at t = 1,
    # and the first trial of size 50 has stages far beyond.
    def f(t, y):
        return PoisonedBackward.apply(
            -30.0 * y, (t > 1.0).expand(y.shape) if not many else (t > 1.0)[:, None].expand(y.shape)
        )

    y0 = tensor(1.0, 2.0).requires_grad_()
    controller = kt.PID(step_ts=())
    if many:
        problem = kt.EnsembleProblem(f, y0[:, None], (0.0, 1.0), vectorized=True)
    else:
        problem = kt.ODEProblem(f, y0, (0.0, 1.0))
    sol = kt.solve(problem, controller=controller, dt0=0.99, adjoint=adjoint)
    assert int(torch.as_tensor(sol.stats.rejected).min()) > 0
    (grad,) = torch.autograd.grad(sol.y1.sum(), y0)
    assert grad.isfinite().all()


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
def test_trials_with_states_out_of_bounds_leave_no_trace_in_the_gradient(adjoint, many):
    # Stages of the rejected first trial leave the domain of the square root, where values and gradients are NaN.
    def f(t, y):
        return -20.0 * torch.sqrt(y) * (y + 0.1)

    y0 = tensor(1.0).requires_grad_()
    problem = kt.EnsembleProblem(f, y0[:, None], (0.0, 0.1)) if many else kt.ODEProblem(f, y0, (0.0, 0.1))
    sol = kt.solve(problem, dt0=0.1, adjoint=adjoint)
    assert int(torch.as_tensor(sol.stats.rejected).sum()) > 0
    (grad,) = torch.autograd.grad(sol.y1.sum(), y0)
    assert grad.isfinite().all() and 0.0 < float(grad) < 1.0


def nodes_of(value):
    """All nodes on the tape of a tensor."""
    seen, todo = set(), [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return len(seen)


def test_the_tape_has_the_size_of_the_accepted_steps():
    y0 = START.clone().requires_grad_()
    adaptive = kt.solve(kt.ODEProblem(van_der_pol, y0, (0.0, 10.0), (5.0,)), save_at="steps", **STIFF)
    assert adaptive.stats.rejected >= 5
    prescribed = kt.StepTo(adaptive.ts.tolist())
    replayed = kt.solve(kt.ODEProblem(van_der_pol, y0, (0.0, 10.0), (5.0,)), controller=prescribed)
    ratio = nodes_of(adaptive.y1) / nodes_of(replayed.y1)
    print(f"nodes on the tape, adaptive over replayed: {ratio:.3f} with {adaptive.stats.rejected} rejected")
    assert ratio < 1.02


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Dopri8(), kt.Bosh3(), kt.Rodas5P()], ids=lambda m: type(m).__name__)
def test_the_gradient_is_that_of_the_frozen_steps(adjoint, method):
    def loss(controller, y0, mu, **options):
        sol = kt.solve(
            kt.ODEProblem(van_der_pol, y0, (0.0, 3.0), (mu,)), method, controller=controller, save_at="steps", **options
        )
        return (torch.sin(sol.ys) ** 2).sum(), sol

    def leaves():
        return START.clone().requires_grad_(), torch.tensor(3.0, dtype=F64, requires_grad=True)

    a, b = leaves(), leaves()
    value, sol = loss(kt.PID(), *a, adjoint=adjoint, rtol=1e-4)
    frozen, _ = loss(kt.StepTo(sol.ts.detach()), *b)
    for got, wanted in zip(torch.autograd.grad(value, a), torch.autograd.grad(frozen, b), strict=True):
        error = relative_error(got, wanted)
        print(f"{type(method).__name__}, {adjoint}: against the frozen steps {error:.1e}")
        assert error < 1e-12


def test_the_gradient_of_an_ensemble_is_that_of_the_frozen_steps():
    mu = tensor(0.5, 2.0, 4.0)
    y0 = START.expand(3, 2).clone().requires_grad_()
    sol = kt.solve(kt.EnsembleProblem(van_der_pol, y0, (0.0, 3.0), (mu,)), save_at="steps", rtol=1e-4)
    (grad,) = torch.autograd.grad(torch.sin(sol.y1).sum(), y0)
    for row in range(3):
        start = START.clone().requires_grad_()
        steps = kt.StepTo(sol.ts[: int(sol.stats.accepted[row]) + 1, row].detach())
        alone = kt.solve(kt.ODEProblem(van_der_pol, start, (0.0, 3.0), (mu[row],)), controller=steps).y1
        (wanted,) = torch.autograd.grad(torch.sin(alone).sum(), start)
        assert relative_error(grad[row], wanted) < 1e-12


def test_tolerances_that_require_gradients_get_none():
    rtol = torch.tensor(1e-4, dtype=F64, requires_grad=True)
    y0 = START.clone().requires_grad_()
    sol = kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), rtol=rtol)
    assert torch.autograd.grad(sol.y1.sum(), rtol, allow_unused=True)[0] is None
