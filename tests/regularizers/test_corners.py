"""Penalties where something happens: events, jumps, parts of the state, zeros, rows without a step."""

import math

import pytest
import torch

import kutta as kt
from kutta import regularizers
from kutta.regularizers import (
    ErrorEstimate,
    ErrorEstimateSquared,
    JacobianNorm,
    KineticEnergy,
    LocalErrorEstimate,
    StiffnessEstimate,
    Taylor,
)
from tests._helpers import F64, difference, gradient, relative_error, tensor

METHODS = [
    (kt.Heun(), {"controller": kt.Fixed(0.1)}), (kt.Bosh3(), {}), (kt.RK4(), {"controller": kt.Fixed(0.1)}),
    (kt.Dopri5(), {}), (kt.Dopri8(), {}), (kt.Vern7(), {}), (kt.Rodas5P(), {}),
]  # fmt: skip


def ones(t, y):
    return torch.ones_like(y)


@pytest.mark.parametrize(("method", "options"), METHODS, ids=lambda value: type(value).__name__)
def test_noting_the_steps_leaves_gradients_alone(method, options):
    found = []
    for diagnostics in (False, True):
        rate = torch.tensor(1.0, dtype=F64, requires_grad=True)
        problem = kt.ODEProblem(lambda t, y, k: -k * y, torch.ones(1, dtype=F64), (0.0, 1.0), (rate,))
        sol = kt.solve(problem, method, diagnostics=diagnostics, save_at=[0.55, 1.0], **options)
        found.append(torch.autograd.grad(sol.ys.sum(), rate)[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Dopri8(), kt.Vern7()], ids=repr)
@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_entries_and_rows_without_an_error_have_finite_gradients(method, adjoint):
    penalties = {"e": ErrorEstimate(), "s": StiffnessEstimate()}
    rate = torch.tensor(1.0, dtype=F64, requires_grad=True)
    single = kt.ODEProblem(lambda t, y, k: -k * y, tensor(1.0, 0.0), (0.0, 1.0), (rate,))
    rows = kt.EnsembleProblem(lambda t, y, k: -k * y**3, tensor(1.0, 3.0)[:, None], (0.0, 1.0), (rate,))
    for problem, atol in ((single, 1e-7), (rows, 1e-7), (rows, 0.0)):
        sol = kt.solve(problem, method, atol=atol, dt0=0.5, penalties=penalties, adjoint=adjoint)
        (grad,) = torch.autograd.grad(sum(value.sum() for value in sol.penalties.values()), rate)
        assert bool(torch.isfinite(grad)), (type(problem).__name__, atol)


@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
@pytest.mark.parametrize("ends", [True, False])
def test_integrals_stop_where_an_event_cuts_the_step(many, ends):
    event = kt.Event(lambda t, y: y[0] - 0.25, change=None if ends else lambda t, y: y + 1e-3)
    penalties = {"k": KineticEnergy(), "t": Taylor(order=1), "e": ErrorEstimate(), "l": LocalErrorEstimate()}
    y0 = torch.zeros(2, 1, dtype=F64) if many else torch.zeros(1, dtype=F64)
    kind = kt.EnsembleProblem if many else kt.ODEProblem
    control = {"controller": kt.Fixed(1.0), "events": [event], "penalties": penalties}
    sol = kt.solve(kind(ones, y0, (0.0, 1.0)), **control)
    for name in ("k", "t"):
        torch.testing.assert_close(sol.penalties[name], torch.full_like(sol.penalties[name], 0.25 if ends else 1.0))
    length = torch.as_tensor(sol.draws["l"].length, dtype=F64)
    torch.testing.assert_close(length, torch.full_like(length, 0.25 if ends else 1.0))


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
def test_gradients_of_penalties_over_an_event_agree(adjoint, many):
    def swing(t, y, k):
        return torch.stack([y[1], -k * y[0]])

    rate = torch.tensor(2.0, dtype=F64, requires_grad=True)
    y0 = tensor(1.0, 0.0)
    event = kt.Event(lambda t, y, k: y[0], change=lambda t, y, k: 0.5 * y)
    problem = (kt.EnsembleProblem if many else kt.ODEProblem)(swing, y0[None] if many else y0, (0.0, 2.0), (rate,))
    penalties = {"k": KineticEnergy(), "e": ErrorEstimate(rtol=1e-3, atol=1e-3)}
    options = {"events": [event], "controller": kt.Fixed(0.3), "penalties": penalties}
    sol, direct = (kt.solve(problem, adjoint=one, **options) for one in (adjoint, kt.Direct()))
    assert len(sol.events) >= 1
    for name in penalties:
        sums = (one.penalties[name].sum() for one in (sol, direct))
        found, expected = (torch.autograd.grad(total, rate, retain_graph=True)[0] for total in sums)
        assert relative_error(found, expected) < 1e-10


def test_the_jacobian_of_a_part_is_not_that_of_the_rest():
    def both(t, state):
        return -3.0 * state[0], 100.0 * state[0].sum()[None]

    problem = kt.ODEProblem(both, (torch.ones(2, dtype=F64), torch.zeros(1, dtype=F64)), (0.0, 2.0))
    penalty = JacobianNorm("rademacher", part=lambda state: state[0])
    assert float(kt.solve(problem, penalties={"p": penalty}).penalties["p"]) == pytest.approx(18.0)


@pytest.mark.parametrize("kind", [kt.ODEProblem, kt.EnsembleProblem])
def test_a_part_is_that_of_one_state_however_many_are_drawn(kind):
    rates = tensor(1.0, 1.0, 50.0, 60.0)
    y0 = torch.ones(4, dtype=F64) if kind is kt.ODEProblem else torch.ones(3, 4, dtype=F64)
    part = ErrorEstimate(part=lambda y: y[:2])
    values = []
    for draws in (1, 400):
        local = LocalErrorEstimate(draws=draws, error=part, generator=torch.Generator().manual_seed(0))
        penalties = {"local": local, "all": part}
        sol = kt.solve(kind(lambda t, y: -rates * y, y0, (0.0, 1.0)), penalties=penalties)
        values.append(float(sol.penalties["local"].mean() / sol.penalties["all"].mean()))
    assert 0.0 < values[0] < 100.0 and values[1] == pytest.approx(1.0, rel=0.5)


@pytest.mark.parametrize("method", [kt.Tsit5(), kt.Bosh3(), kt.Heun()], ids=repr)
def test_stiffness_does_not_see_a_jump_of_the_right_hand_side(method):
    def f(t, y):
        return -2.0 * y + torch.where(t < 0.5, 0.0, 5.0)

    problem = kt.ODEProblem(f, torch.ones(1, dtype=F64), (0.0, 1.0))
    penalty = {"s": StiffnessEstimate(reduce="max")}
    sol = kt.solve(problem, method, controller=kt.PID(jump_ts=[0.5]), penalties=penalty, diagnostics=True)
    assert float(sol.penalties["s"]) == pytest.approx(2.0, rel=1e-3)
    assert float(sol.stats.history.stiffness.max()) == pytest.approx(2.0, rel=1e-3)


def test_trajectories_without_a_step_spoil_nothing():
    rate = torch.tensor(1.0, dtype=F64, requires_grad=True)
    spans = (tensor(1.0, 1.0), tensor(1.0, 2.0))
    problem = kt.EnsembleProblem(lambda t, y, w: w * y * torch.log(t), torch.ones(2, 1, dtype=F64), spans, (rate,))
    sol = kt.solve(problem, penalties={"p": LocalErrorEstimate(draws=2)})
    assert float(sol.penalties["p"][0].detach()) == 0.0 and float(sol.penalties["p"][1].detach()) > 0.0
    (grad,) = torch.autograd.grad(sol.penalties["p"].sum(), rate)
    assert bool(torch.isfinite(grad)) and float(grad) != 0.0
    still = kt.EnsembleProblem(problem.f, problem.y0, (1.0, 1.0), (rate,))
    assert kt.solve(still, penalties={"p": LocalErrorEstimate(draws=2)}).penalties["p"].tolist() == [0.0, 0.0]


def test_local_penalties_leave_the_adjoint_nothing_to_do():
    calls = []

    def f(t, y, w):
        calls.append(1)
        return torch.tanh(w * y)

    counts = []
    for penalties in ({}, {"p": LocalErrorEstimate(draws=8)}):
        w = torch.tensor(1.5, dtype=F64, requires_grad=True)
        problem = kt.ODEProblem(f, torch.ones(3, dtype=F64), (0.0, 2.0), (w,))
        sol = kt.solve(problem, adjoint=kt.Gauss(), penalties=penalties)
        calls.clear()
        sol.y1.sum().backward()
        counts.append(len(calls))
    assert counts[0] == counts[1] > 0


def test_through_the_state_over_an_event():
    """Finite differences at frozen steps, with a step cut by an event at a fixed time."""
    event = kt.Event(lambda t, y, w: t - 0.77, change=lambda t, y, w: 0.5 * y)

    def loss(w):
        local = LocalErrorEstimate(through_state=True, draws=4, generator=torch.Generator().manual_seed(1))
        problem = kt.ODEProblem(lambda t, y, w: torch.tanh(y @ w), tensor(0.3, -0.4, 0.5), (0.0, 2.0), (w,))
        options = {"events": [event], "controller": kt.Fixed(0.25), "penalties": {"p": local}}
        return kt.solve(problem, **options).penalties["p"]

    w = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    assert relative_error(gradient(loss, w), difference(loss, w, eps=1e-3)) < 1e-4


def test_half_precision_counts_do_not_stall():
    problem = kt.ODEProblem(ones, torch.zeros(1, dtype=torch.bfloat16), (0.0, 1.0))
    mean = kt.solve(
        problem, controller=kt.Fixed(1 / 600), penalties={"m": StiffnessEstimate(reduce="mean"), "k": KineticEnergy()}
    )
    assert mean.penalties["m"].dtype == torch.float32 and math.isfinite(float(mean.penalties["m"]))


@torch.inference_mode()
def test_inference_mode():
    y0 = torch.ones(3, dtype=F64)
    every = {name: getattr(regularizers, name)() for name in ("KineticEnergy", "ErrorEstimate", "LocalErrorEstimate")}
    sol = kt.solve(kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0)), penalties=every, rtol=1e-8)
    torch.testing.assert_close(sol.y1, y0 * math.exp(-1.0), rtol=1e-6, atol=0.0)


def test_what_a_local_estimate_cannot_be():
    with pytest.raises(ValueError, match="weighted by the step size"):
        LocalErrorEstimate(error=ErrorEstimateSquared())
    model = kt.models.NeuralODE(torch.nn.Linear(2, 2), autonomous=True, steer=regularizers.Steer(0.5))
    with pytest.raises(ValueError, match="save_at must not be given in training"):
        model(torch.ones(2), save_at=[0.5, 1.0])
    tableau = kt.tableaus.tableau.Tableau(**{**vars(kt.tableaus.TSIT5), "name": "unknown size", "stability_size": None})
    problem = kt.ODEProblem(ones, torch.zeros(1), (0.0, 1.0))
    with pytest.raises(ValueError, match="size of the stability region"):
        kt.solve(problem, kt.RungeKutta(tableau), penalties={"s": StiffnessEstimate(normalise=True)})
