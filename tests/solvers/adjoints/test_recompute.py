"""Recompute differentiates what Direct differentiates, to rounding."""

import gc
import math
import weakref

import pytest
import torch

import kutta as kt
from tests._helpers import F64, Decay, swing, tensor
from tests.solvers.adjoints.test_gradients import FLOOR, LANDING, fall

SEGMENTS = [1, 3, 4, 1000]
each_segment = pytest.mark.parametrize("segment", SEGMENTS)


def both(loss, *inputs, segment=4):
    """The value and the gradients of ``loss(adjoint, *inputs)`` by both adjoints, and their difference."""
    found = []
    for adjoint in (kt.Direct(), kt.Recompute(segment=segment)):
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        value = loss(adjoint, *leaves)
        grads = torch.autograd.grad(value, leaves, allow_unused=True)
        found.append(
            [value.detach(), *(g if g is not None else torch.zeros_like(x) for g, x in zip(grads, leaves, strict=True))]
        )
    return max(float((a - b).abs().max() / a.abs().max().clamp_min(1.0)) for a, b in zip(*found, strict=True))


def check(loss, *inputs, segment=4):
    error = both(loss, *inputs, segment=segment)
    print(f"Recompute(segment={segment}) against Direct: {error:.1e}")
    assert error < 1e-12


def weigh(sol):
    return (
        torch.sin(sol.ys) * torch.arange(1.0, 1 + sol.ys.numel(), dtype=F64).view(sol.ys.shape)
    ).sum() + sol.y1.sum()


Y0, PULL = tensor(1.0, 0.2), torch.tensor(1.3, dtype=F64)
METHODS = [kt.Tsit5(), kt.Rodas5P(), kt.Bosh3(), kt.Vern7(), kt.Dopri8(), kt.Heun(), kt.AdamsBashforthMoulton(4)]
FIXED = [kt.RK4(), kt.Euler(), kt.AdamsBashforth(4)]


@each_segment
@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_adaptive_steps(method, segment):
    def loss(adjoint, y0, pull):
        problem = kt.ODEProblem(swing, y0, (0.0, 3.0), (pull,))
        return weigh(kt.solve(problem, method, adjoint=adjoint, save_at=[0.0, 0.1, 0.2, 1.0, 3.0, 3.0], rtol=1e-4))

    check(loss, Y0, PULL, segment=segment)


@pytest.mark.parametrize("method", FIXED, ids=lambda m: type(m).__name__)
def test_fixed_steps(method):
    def loss(adjoint, y0, pull):
        problem = kt.ODEProblem(swing, y0, (0.0, 3.0), (pull,))
        return weigh(kt.solve(problem, method, adjoint=adjoint, save_at="steps", controller=kt.Fixed(0.1)))

    check(loss, Y0, PULL)


def test_splittings():
    def loss(adjoint, q, p):
        f = lambda t, s: (s[1], -torch.sin(s[0]))  # noqa: E731
        sol = kt.solve(kt.ODEProblem(f, (q, p), (0.0, 3.0)), kt.Yoshida4(), adjoint=adjoint, controller=kt.Fixed(0.1))
        return (sol.y1[0] ** 2 + sol.y1[1]).sum()

    check(loss, tensor(1.0), tensor(0.3))


OPERATORS = {
    "diagonal": lambda rates: kt.algebra.Diagonal(rates.cumsum(0)),
    "blocks": lambda rates: kt.algebra.BlockDiagonal(torch.stack([rates.exp(), rates, -rates, rates]).view(2, 2, 3)),
    "dense": lambda rates: kt.algebra.Dense(torch.outer(rates, rates.sin())),
    "multiple": lambda rates: 0.5 * kt.algebra.Dense(torch.outer(rates, rates)),
    "sum": lambda rates: kt.algebra.Dense(torch.outer(rates, rates)) + kt.algebra.Dense(torch.diag(rates**2)),
    "function": lambda rates: kt.algebra.MatrixFree(lambda x: rates * x - x.roll(1, -1), axes=1),
}


@pytest.mark.parametrize("method", [kt.ETDRK4(), kt.ARS443()], ids=["ETDRK4", "ARS443"])
@pytest.mark.parametrize("kind", OPERATORS)
def test_linear_parts_computed_from_what_the_remainder_has_too(kind, method):
    """They are computed before the solve, and their past is gone through once."""

    def end(adjoint, rates, y0):
        remainder = lambda t, y: (rates * y).sin()  # noqa: E731
        problem = kt.SplitODEProblem(OPERATORS[kind](rates), remainder, y0, (0.0, 0.5))
        return kt.solve(problem, method, adjoint=adjoint, controller=kt.Fixed(0.1)).y1

    shape = (2, 3) if kind == "blocks" else (3,)
    rates, y0 = tensor(-0.4, 0.3, 0.7), torch.linspace(0.5, 1.0, math.prod(shape), dtype=F64).view(shape)
    check(lambda *given: weigh_end(end(*given)), rates, y0)
    inputs = [one.clone().requires_grad_() for one in (rates, y0)]
    assert torch.autograd.gradcheck(lambda *given: end(kt.Recompute(), *given), inputs, rtol=1e-6, atol=1e-8)


def weigh_end(y1):
    return torch.sin(y1 * torch.arange(1.0, 1 + y1.numel(), dtype=F64).view(y1.shape)).sum()


@each_segment
@pytest.mark.parametrize("event", [FLOOR, LANDING], ids=["bounce", "landing"])
def test_events(event, segment):
    def loss(adjoint, y0):
        sol = kt.solve(kt.ODEProblem(fall, y0, (0.0, 1.7)), events=[event], adjoint=adjoint, save_at=[0.2, 0.4])
        return weigh(sol) + sum(record.t for record in sol.events) + sol.t1

    check(loss, tensor(1.0, 0.5), segment=segment)


@each_segment
@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Vern7()], ids=lambda m: type(m).__name__)
def test_jumps(method, segment):
    def loss(adjoint, y0, pull):
        f = lambda t, y, a: torch.where(t < 0.7, a, -2 * a) * y  # noqa: E731
        controller = kt.PID(jump_ts=[0.7], step_ts=[0.33])
        problem = kt.ODEProblem(f, y0, (0.0, 1.5), (pull,))
        return weigh(kt.solve(problem, method, adjoint=adjoint, controller=controller, save_at=[0.5, 0.7, 1.5]))

    check(loss, Y0, PULL, segment=segment)


def test_complex_states():
    def loss(adjoint, x):
        z0 = torch.complex(x[0], x[1]).reshape(1)
        sol = kt.solve(kt.ODEProblem(lambda t, z, w: 1j * w * z, z0, (0.0, 2.0), (x[2],)), adjoint=adjoint)
        return sol.y1.real.sum() + sol.y1.imag.square().sum()

    check(loss, tensor(1.0, 0.2, 1.7))


def test_pytrees_and_modules():
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 3, dtype=F64)

    def loss(adjoint, a, b):
        f = lambda t, s: {"a": torch.tanh(net(s["a"])), "b": s["a"].sum() - s["b"]}  # noqa: E731
        sol = kt.solve(kt.ODEProblem(f, {"a": a, "b": b}, (0.0, 2.0)), adjoint=adjoint, save_at=[0.3, 2.0])
        return (sol.ys["a"] ** 2).sum() + sol.ys["b"].sum() + sol.y1["b"] ** 2

    check(loss, tensor(1.0, 0.2, -0.4), torch.tensor(0.5, dtype=F64))


@each_segment
@pytest.mark.parametrize("method", METHODS[:4], ids=lambda m: type(m).__name__)
def test_ensembles(method, segment):
    def loss(adjoint, y0, pulls, t1):
        problem = kt.EnsembleProblem(swing, y0, (0.0, t1), (pulls,))
        sol = kt.solve(problem, method, adjoint=adjoint, save_at=[0.0, 0.1, 0.4], rtol=1e-4)
        return weigh(sol)

    y0 = torch.tensor([[1.0, 0.2], [0.3, -0.5], [2.0, 0.0]], dtype=F64)
    check(loss, y0, tensor(0.8, 1.0, 5.0), tensor(0.5, 1.0, 3.0), segment=segment)


@pytest.mark.parametrize("event", [FLOOR, LANDING], ids=["bounce", "landing"])
def test_ensembles_with_events(event):
    def loss(adjoint, y0):
        sol = kt.solve(kt.EnsembleProblem(fall, y0, (0.0, 1.3)), events=[event], adjoint=adjoint)
        return weigh(sol) + sum((record.t**2).sum() for record in sol.events) + sol.t1.sum()

    check(loss, torch.tensor([[1.0, 0.0], [0.7, 0.5], [30.0, 0.0]], dtype=F64))


def tape_of(sol):
    """Numbers kept by the tape, in tensors saved for the backward pass."""
    return sol.y1.grad_fn is not None


def saved_numbers(adjoint, steps):
    """How many numbers autograd saves for the backward pass of a solve."""
    kept = {}

    def pack(x):
        kept[x.data_ptr()] = x.numel()
        return x

    y0 = torch.ones(64, dtype=F64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        kt.solve(
            kt.ODEProblem(lambda t, y: torch.tanh(y) * torch.cos(y), y0, (0.0, 1.0)),
            kt.RK4(),
            controller=kt.Fixed(1.0 / steps),
            adjoint=adjoint,
        )
    return sum(kept.values())


def test_recompute_puts_no_step_on_the_tape():
    few, many = saved_numbers(kt.Recompute(), 10), saved_numbers(kt.Recompute(), 100)
    assert many == few and saved_numbers(kt.Direct(), 100) > 50 * many


def test_the_backward_pass_can_be_made_again_when_asked_to_be_kept():
    y0 = Y0.clone().requires_grad_()
    loss = kt.solve(kt.ODEProblem(swing, y0, (0.0, 1.0)), adjoint=kt.Recompute()).y1.sum()
    (first,) = torch.autograd.grad(loss, y0, retain_graph=True)
    (second,) = torch.autograd.grad(loss, y0)
    assert torch.equal(first, second)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Backsolve(), kt.Gauss()], ids=repr)
def test_nothing_is_kept_after_the_solution_is_gone(adjoint):
    field = Decay(1.0)
    sol = kt.solve(kt.ODEProblem(field, tensor(1.0), (0.0, 1.0)), adjoint=adjoint)
    sol.y1.sum().backward()
    gone = weakref.ref(field)
    del field, sol
    gc.collect()
    assert gone() is None


def test_inputs_that_are_not_used_get_no_gradient():
    unused = torch.ones(3, requires_grad=True)
    y0 = Y0.clone().requires_grad_()
    sol = kt.solve(kt.ODEProblem(lambda t, y, u: -y, y0, (0.0, 1.0), (unused,)), adjoint=kt.Recompute())
    assert torch.autograd.grad(sol.y1.sum(), unused, allow_unused=True)[0] is None
