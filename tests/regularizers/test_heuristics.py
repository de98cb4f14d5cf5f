"""Penalties on the solver's heuristics: definitions, gradients at frozen steps, and what they must not depend on."""

import itertools
import math
import warnings

import pytest
import torch
from torch import nn

import kutta as kt
from kutta.regularizers import ErrorEstimate, ErrorEstimateSquared, StiffnessEstimate
from tests._helpers import F64, relative_error, tensor

PENALTIES = {
    "error": ErrorEstimate(),
    "mean error": ErrorEstimate(reduce="mean"),
    "largest error": ErrorEstimate(reduce="max"),
    "raw error": ErrorEstimate(normalise=False),
    "error at other tolerances": ErrorEstimate(rtol=1e-2, atol=1e-3),
    "squared error": ErrorEstimateSquared(),
    "stiffness": StiffnessEstimate(),
    "largest stiffness": StiffnessEstimate(reduce="max", normalise=True),
    "stiffness by entries": StiffnessEstimate(ratio="inf"),
}


class Field(nn.Module):
    """A random network of two layers, the time as one more input."""

    def __init__(self, size=3, width=8, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(size + 1, width, dtype=F64, generator=generator))
        self.second = nn.Parameter(torch.randn(width, size, dtype=F64, generator=generator))

    def forward(self, t, y):
        time = t.reshape(-1, 1).expand(*y.shape[:-1], 1)
        return torch.tanh(torch.cat([y, time], dim=-1) @ self.first) @ self.second


def states(batch=4, size=3, seed=1):
    return torch.randn(batch, size, dtype=F64, generator=torch.Generator().manual_seed(seed))


def penalties(f, y0, span=(0.0, 1.0), many=False, method=None, **options):
    kind = {True: lambda *args: kt.EnsembleProblem(*args, vectorized=True), False: kt.ODEProblem}[many]
    options = {"rtol": 1e-6, "atol": 1e-6} | options
    return kt.solve(kind(f, y0, span), method or kt.Tsit5(), penalties=PENALTIES, **options)


def rms(values):
    return values.square().mean().sqrt()


def test_values_are_those_of_the_definitions():
    f, y0, rtol, atol = Field(), states(), 1e-5, 1e-7
    problem = kt.ODEProblem(f, y0, (0.0, 1.0))
    with torch.no_grad():
        sol = penalties(f, y0, rtol=rtol, atol=atol)
        integrator = kt.Integrator(problem, kt.Tsit5(), rtol=rtol, atol=atol)
        error = squared = raw = stiffness = 0.0
        while not integrator.done:
            step = integrator.step()
            scale = atol + rtol * torch.maximum(step.y0.abs(), step.y1.abs())
            q = rms(step.error / scale)
            row = [float(a) for a in kt.tableaus.TSIT5.a[5]]
            before = step.y0 + step.dt * sum(a * k for a, k in zip(row, step.stages, strict=False))
            s = rms(step.stages[6] - step.stages[5]) / rms(step.y1 - before)
            error, squared, raw = error + q * step.dt, squared + q**2, raw + rms(step.error) * step.dt
            stiffness = stiffness + s * step.dt
    assert sol.stats.steps > 5
    expected = {"error": error, "squared error": squared, "raw error": raw, "stiffness": stiffness}
    found = {name: float(sol.penalties[name]) for name in expected}
    print({name: relative_error(tensor(found[name]), tensor(float(value))) for name, value in expected.items()})
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-9), name
    assert float(sol.penalties["mean error"]) == pytest.approx(float(error) / sol.stats.accepted, rel=1e-9)
    assert 0.0 < float(sol.penalties["largest error"]) <= 1.0


def test_stiffness_of_a_linear_system_lies_between_its_singular_values():
    matrix = torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(2))
    singular = torch.linalg.svdvals(matrix)
    for method in (kt.Tsit5(), kt.Dopri5(), kt.RK4(), kt.Bosh3(), kt.Heun(), kt.Dopri8(), kt.Vern6(), kt.Vern9()):
        options = {"controller": kt.Fixed(0.1)} if method.error_order is None else {}
        problem = kt.ODEProblem(lambda t, y: y @ matrix.T, states(1, 5)[0], (0.0, 1.0))
        sol = kt.solve(problem, method, penalties={"S": StiffnessEstimate(reduce="mean")}, rtol=1e-6, **options)
        mean = float(sol.penalties["S"]) / (1.0 / sol.stats.accepted)
        print(f"{type(method).__name__}: S = {mean:.3f} in [{singular[-1]:.3f}, {singular[0]:.3f}]")
        assert singular[-1] * (1 - 1e-6) <= mean <= singular[0] * (1 + 1e-6)


class Recorder(kt.Regularizer):
    """Step size, stiffness and state of every step."""

    def init(self, y):
        return ()

    def update(self, state, step):
        return (*state, (step.dt, StiffnessEstimate().measure(step), step.y0.clone()))

    def value(self, state):
        return state


@torch.no_grad()
def test_stiffness_is_the_spectral_radius_where_stability_limits_the_steps():
    def van_der_pol(t, y):
        return torch.stack([y[1], 100.0 * (1.0 - y[0] ** 2) * y[1] - y[0]])

    problem = kt.ODEProblem(van_der_pol, tensor(2.0, 0.0), (0.0, 20.0))
    sol = kt.solve(problem, kt.Tsit5(), rtol=1e-6, atol=1e-6, penalties={"steps": Recorder()})
    records = sol.penalties["steps"][sol.stats.accepted // 2 :]
    jacobians = torch.stack([torch.func.jacrev(van_der_pol, argnums=1)(tensor(0.0), y) for _, _, y in records])
    radius = torch.linalg.eigvals(jacobians).abs().amax(dim=-1)
    size, stiffness = (torch.tensor([float(record[i]) for record in records]) for i in (0, 1))
    ratio, product = float((stiffness / radius).median()), float((size * stiffness).median())
    print(f"{sol.stats.accepted} steps; median S / rho = {ratio:.7f}, median h S = {product:.3f}")
    assert ratio == pytest.approx(1.0, abs=0.01) and 3.3 <= product <= 3.6


@torch.no_grad()
def test_stiffness_sees_the_modes_that_are_excited():
    rates = tensor(-1000.0, -1.0)
    problem = kt.ODEProblem(lambda t, y: rates * y, tensor(1.0, 1.0), (0.0, 0.1))
    sol = kt.solve(problem, kt.Tsit5(), controller=kt.Fixed(0.001), penalties={"steps": Recorder()})
    stiffness = [float(s) for _, s, _ in sol.penalties["steps"]]
    print(f"S at the first step {stiffness[0]:.1f}, after 60 steps {stiffness[60]:.4f}")
    assert stiffness[0] == pytest.approx(1000.0, rel=0.01) and stiffness[60] == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Recompute(segment=1)], ids=repr)
@pytest.mark.parametrize("name", PENALTIES)
def test_gradient_is_the_derivative_at_frozen_steps(adjoint, name):
    y0, base, loose = states(), Field(), {"rtol": 1e-4, "atol": 1e-4, "penalties": PENALTIES}
    ts = kt.solve(kt.ODEProblem(base, y0, (0.0, 1.0)), save_at="steps", **loose).ts.tolist()
    found = kt.solve(kt.ODEProblem(base, y0, (0.0, 1.0)), adjoint=adjoint, **loose)
    grads = torch.autograd.grad(found.penalties[name], tuple(base.parameters()))
    generator = torch.Generator().manual_seed(3)
    directions = [torch.randn(p.shape, dtype=F64, generator=generator) for p in base.parameters()]
    along = sum((g * d).sum() for g, d in zip(grads, directions, strict=True))

    def moved(size):
        field = Field()
        with torch.no_grad():
            for parameter, direction in zip(field.parameters(), directions, strict=True):
                parameter += size * direction
            sol = kt.solve(kt.ODEProblem(field, y0, (0.0, 1.0)), controller=kt.StepTo(ts), **loose)
        return sol.penalties[name]

    size = 1e-4
    differences = [(moved(k * size) - moved(-k * size)) / (2 * k * size) for k in (1, 2)]
    expected = (4 * differences[0] - differences[1]) / 3
    error = relative_error(along, expected)
    print(f"{name}, {adjoint}: {error:.1e}")
    assert error < 1e-6


@pytest.mark.parametrize("name", PENALTIES)
def test_direct_and_recompute_agree(name):
    f, y0 = Field(), states()
    grads = []
    for adjoint in (kt.Direct(), kt.Recompute(segment=3)):
        penalty = penalties(f, y0, adjoint=adjoint).penalties[name]
        grads.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(penalty, tuple(f.parameters()))]))
    error = relative_error(grads[1], grads[0])
    print(f"{name}: {error:.1e}")
    assert error < 1e-10


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=repr)
def test_trajectories_of_an_ensemble_have_their_own_penalties_and_gradients(name, adjoint):
    f, y0 = Field(), states()
    together = penalties(f, y0, many=True, adjoint=adjoint).penalties[name]
    assert together.shape == (4,)
    grads = torch.autograd.grad(together.sum(), tuple(f.parameters()))
    alone = [penalties(f, y0[row : row + 1], adjoint=adjoint).penalties[name] for row in range(4)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-8, atol=0.0)
    expected = torch.autograd.grad(sum(alone), tuple(f.parameters()))
    error = max(relative_error(found, wanted) for found, wanted in zip(grads, expected, strict=True))
    print(f"{name}: {error:.1e}")
    assert error < 1e-8


@torch.no_grad()
def test_output_times_do_not_matter():
    f, y0, long = Field(), states(), {"span": (0.0, 3.0), "rtol": 1e-11, "atol": 1e-11}
    plain = penalties(f, y0, **long).penalties
    times = torch.linspace(0.0, 3.0, 20)
    dense = penalties(f, y0, save_at=times, **long).penalties
    forced = penalties(f, y0, controller=kt.PID(step_ts=times[1:-1]), **long).penalties
    for name in PENALTIES:
        assert torch.equal(dense[name], plain[name])
    change = float(forced["error"] / plain["error"]) - 1.0
    print(f"forced steps change the error penalty by {100 * change:.1f} %")
    assert abs(change) < 0.2


def test_a_field_of_zeros_has_no_penalty_and_no_nan():
    parameter = torch.zeros(3, dtype=F64, requires_grad=True)
    for many in (False, True):
        sol = penalties(lambda t, y: parameter * y, states(), many=many)
        total = sum(value.sum() for value in sol.penalties.values())
        (grad,) = torch.autograd.grad(total, parameter)
        assert float(total.detach()) == 0.0 and bool(torch.isfinite(grad).all())


@pytest.mark.parametrize("options", [{"controller": kt.Fixed(1.0)}, {"dt0": 10.0, "rtol": 1.0, "atol": 1.0}], ids=str)
def test_solves_of_one_step(options):
    f = Field()
    sol = penalties(f, states(), **options)
    assert sol.stats.steps == 1
    grads = torch.autograd.grad(sum(sol.penalties.values()), tuple(f.parameters()))
    assert all(bool(torch.isfinite(g).all()) for g in grads) and float(sol.penalties["error"].detach()) > 0.0


def test_no_time_no_penalty():
    sol = penalties(Field(), states(), span=(0.5, 0.5))
    assert all(float(value.detach()) == 0.0 for value in sol.penalties.values())


def test_tolerances_below_rounding_are_warned_about():
    problem = kt.ODEProblem(lambda t, y: -y, torch.ones(2), (0.0, 1.0))
    with pytest.warns(UserWarning, match="mostly rounding noise"):
        sol = kt.solve(problem, rtol=1e-8, atol=1e-8, penalties={"error": ErrorEstimate()})
    assert math.isfinite(float(sol.penalties["error"].detach()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kt.solve(problem, rtol=1e-5, atol=1e-8, penalties={"error": ErrorEstimate()})
        kt.solve(problem, rtol=1e-8, atol=1e-8, penalties={"error": ErrorEstimate(normalise=False)})


def test_entries_that_do_not_count_change_nothing():
    f, y0 = Field(), states()

    def with_length(t, state):
        y, _ = state
        slope = f(t, y)
        return slope, 100.0 * slope.square().sum()

    penalty = {"error": ErrorEstimate(part=lambda state: state[0]), "S": StiffnessEstimate(part=lambda state: state[0])}
    grid = {"controller": kt.Fixed(0.05), "rtol": 1e-6, "atol": 1e-6}
    both = kt.solve(
        kt.ODEProblem(with_length, (y0, torch.zeros((), dtype=F64)), (0.0, 1.0)), penalties=penalty, **grid
    ).penalties
    alone = penalties(f, y0, **grid).penalties
    torch.testing.assert_close(both["error"], alone["error"], rtol=1e-12, atol=0.0)
    torch.testing.assert_close(both["S"], alone["stiffness"], rtol=1e-12, atol=0.0)


def test_a_detached_scale_is_a_constant():
    size = tensor(1.0).requires_grad_()
    loose = {"rtol": 1.0, "atol": 1e-9, "controller": kt.Fixed(0.1)}
    problem = kt.ODEProblem(lambda t, y: -y, size * torch.ones(2, dtype=F64), (0.0, 1.0))
    free, fixed = ErrorEstimate(), ErrorEstimate(detach_scale=True)
    sol = kt.solve(problem, penalties={"free": free, "fixed": fixed}, **loose)
    assert torch.equal(sol.penalties["free"], sol.penalties["fixed"])
    of_free, of_fixed = (torch.autograd.grad(sol.penalties[n], size, retain_graph=True)[0] for n in ("free", "fixed"))
    assert abs(float(of_free)) < 1e-6 * abs(float(of_fixed))  # the error grows as the scale does


def stiff(method, **options):
    return kt.solve(
        kt.ODEProblem(Field(), states(), (0.0, 1.0)), method, penalties={"S": StiffnessEstimate()}, **options
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ErrorEstimate(reduce="median"), "reduce must be one of"),
        (lambda: StiffnessEstimate(ratio="two"), "ratio must be one of"),
        (lambda: penalties(Field(), states(), method=kt.Euler(), dt0=0.1), "needs an error estimate"),
        (lambda: stiff(kt.Midpoint()), "two stages at the same time"),
        (lambda: stiff(kt.Euler(), dt0=0.1), "two stages at the same time"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "method, orders", [(kt.Tsit5(), (5, 5)), (kt.Dopri5(), (5, 5)), (kt.Bosh3(), (3, 3))], ids=repr
)
def test_orders_of_the_state_and_of_the_error_estimate(method, orders):
    """``y' = y cos t`` with halved steps; an estimate by a method of order p - 1 has order p."""
    problem = kt.ODEProblem(lambda t, y: y * torch.cos(t), torch.ones(1, dtype=F64), (0.0, 3.0))
    raw = {"e": ErrorEstimate(reduce="max", normalise=False)}
    found = []
    for steps in (40, 80, 160):
        sol = kt.solve(problem, method, controller=kt.Fixed(3.0 / steps), penalties=raw)
        error = (sol.y1 - torch.sin(torch.tensor(3.0, dtype=F64)).exp()).abs().item()
        found.append((math.log2(error), math.log2(sol.penalties["e"].item())))
    slopes = [tuple(coarse - fine for coarse, fine in zip(*pair, strict=True)) for pair in itertools.pairwise(found)]
    print("orders of y and of e by halving h: " + ", ".join(f"{y:.2f} and {e:.2f}" for y, e in slopes))
    assert slopes[-1] == pytest.approx(orders, abs=0.15)
