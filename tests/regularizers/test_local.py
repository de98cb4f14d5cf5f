"""Penalties on steps drawn at random: what they estimate, and their gradients under every adjoint."""

import math

import pytest
import torch

import kutta as kt
from kutta.regularizers import ErrorEstimate, LocalErrorEstimate, LocalStiffnessEstimate, StiffnessEstimate
from tests._helpers import F64, relative_error, tensor

WEIGHTS = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
START = torch.randn(2, 3, dtype=F64, generator=torch.Generator().manual_seed(1))
ADJOINTS = [kt.Direct(), kt.Recompute(), kt.Interpolating(), kt.Gauss(), kt.Backsolve()]
KINDS = [LocalErrorEstimate, LocalStiffnessEstimate]
SIZE = 1e-4  # of finite differences


def field(t, y, weights=WEIGHTS):
    return torch.tanh(2.0 * y @ weights) * (1.0 + 0.5 * torch.sin(3.0 * t))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def solve(local, weights=WEIGHTS, y0=START, span=(0.0, 2.0), kind=kt.ODEProblem, **options):
    options = {"rtol": 1e-5, "atol": 1e-5} | options
    return kt.solve(kind(field, y0, span, args=(weights,)), penalties={"p": local}, **options)


def steps_of(y0=START, span=(0.0, 2.0)):
    """Error ratio, stiffness and size of every accepted step."""
    records = []

    class Record(kt.Regularizer):
        def init(self, y):
            return y.new_zeros(())

        def update(self, state, step):
            values = (ErrorEstimate().measure(step), StiffnessEstimate().measure(step))
            records.append([*map(float, values), abs(step.dt)])
            return state

        def value(self, state):
            return state

    solve(Record(), y0=y0, span=span)
    return torch.tensor(records, dtype=F64).unbind(dim=1)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", ["uniform_time", "uniform_step"])
@pytest.mark.parametrize("estimator", ["unbiased", "published"])
def test_the_mean_of_many_draws_is_its_closed_form(kind, sample, estimator):
    many = 20_000
    error, stiffness, h = steps_of()
    x = error if kind is LocalErrorEstimate else stiffness
    chance = h / h.sum() if sample == "uniform_time" else torch.full_like(h, 1.0 / len(h))
    unbiased = h.sum() * x if sample == "uniform_time" else len(h) * x * h
    values = unbiased if estimator == "unbiased" else x * h
    expected = (chance * values).sum()
    spread = ((chance * values.square()).sum() - expected**2).clamp(min=0).sqrt() / math.sqrt(many)
    local = kind(sample, estimator, draws=many, generator=seeded())
    found = solve(local).penalties["p"]
    print(f"{sample}, {estimator}: {float(found):.6f} +- {float(spread):.6f}, expected {float(expected):.6f}")
    assert abs(found - expected) < 4 * spread + 1e-9 * expected
    if estimator == "unbiased":
        assert expected == pytest.approx(float((x * h).sum()), rel=1e-12)


@torch.no_grad()
def test_the_estimator_over_times_varies_least():
    error, _, h = steps_of()
    chance = h / h.sum()
    over_times = (chance * (h.sum() * error).square()).sum() - (error * h).sum() ** 2
    over_steps = (len(h) * error * h).square().mean() - (error * h).sum() ** 2
    print(f"variance over times {float(over_times):.2e}, over steps {float(over_steps):.2e}")
    assert over_times < over_steps


@torch.no_grad()
@pytest.mark.parametrize("sample", ["uniform_time", "uniform_step"])
def test_several_draws_are_the_mean_of_single_ones(sample):
    sol = solve(LocalErrorEstimate(sample, draws=5, generator=seeded(3)))
    draws, singles = sol.draws["p"], []
    error, _, h = steps_of()
    starts = torch.cat([torch.zeros(1, dtype=F64), h.cumsum(0)[:-1]])
    for t, dt in zip(draws.t, draws.dt, strict=True):
        step = int((starts - t).abs().argmin())
        assert float(starts[step]) == pytest.approx(float(t)) and float(h[step]) == pytest.approx(float(dt))
        singles.append(h.sum() * error[step] if sample == "uniform_time" else len(h) * error[step] * h[step])
    assert relative_error(sol.penalties["p"], torch.stack(singles).mean()) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", ["solver", "initial"])
@pytest.mark.parametrize("draws", [1, 3])
def test_gradient_of_the_step_alone(kind, step, draws):
    weights = WEIGHTS.clone().requires_grad_()
    local = kind(step=step, draws=draws, generator=seeded())
    sol = solve(local, weights)
    (grad,) = torch.autograd.grad(sol.penalties["p"], weights)
    direction, size = torch.randn(3, 3, dtype=F64, generator=seeded(7)), 1e-4
    fixed = sol.draws["p"]

    def moved(amount):
        problem = kt.ODEProblem(field, START, (0.0, 2.0), args=(WEIGHTS + amount * size * direction,))
        integrator = kt.Integrator(problem, kt.Tsit5(), rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            return local.penalty(fixed, integrator._field, kt.Tsit5(), integrator._stepper.tolerance)

    if step == "initial":  # the size of the step depends on f, and is a constant for the gradient
        assert bool(torch.isfinite(grad).all()) and float(grad.norm()) > 0.0
        return
    differences = [(moved(k) - moved(-k)) / (2 * k * size) for k in (1, 2)]
    error = relative_error((grad * direction).sum(), (4 * differences[0] - differences[1]) / 3)
    print(f"{kind.__name__}, {draws} draws: {error:.1e}")
    assert error < 1e-6


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=lambda adjoint: type(adjoint).__name__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sample", ["uniform_time", "uniform_step"])
def test_every_adjoint_gives_the_gradient_of_the_step(adjoint, kind, sample):
    grads = []
    for one in (kt.Direct(), adjoint):
        weights = WEIGHTS.clone().requires_grad_()
        local = kind(sample, draws=2, generator=seeded(2))
        grads.append(torch.autograd.grad(solve(local, weights, adjoint=one).penalties["p"], weights)[0])
    error = relative_error(grads[1], grads[0])
    print(f"{type(adjoint).__name__}: {error:.1e}")
    assert error < 1e-12


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=lambda adjoint: type(adjoint).__name__)
def test_gradients_go_through_the_state_under_every_adjoint(adjoint):
    """Against finite differences at frozen steps and draws; continuous adjoints to their tolerance."""
    discrete = isinstance(adjoint, kt.Direct | kt.Recompute)
    tolerance = 1e-5 if discrete else 1e-8

    def penalty(weights, y0, adjoint=adjoint, **options):
        local = LocalErrorEstimate(through_state=True, draws=2, generator=seeded(4))
        return solve(local, weights, y0, adjoint=adjoint, rtol=tolerance, atol=tolerance, **options)

    weights, y0 = WEIGHTS.clone().requires_grad_(), START.clone().requires_grad_()
    grads = torch.autograd.grad(penalty(weights, y0).penalties["p"], (weights, y0))
    with torch.no_grad():
        control = {"controller": kt.StepTo(penalty(WEIGHTS, START, save_at="steps").ts.tolist())}
        for grad, at in zip(grads, (WEIGHTS, START), strict=True):
            direction = torch.randn(at.shape, dtype=F64, generator=seeded(9))

            def moved(amount, at=at, direction=direction):
                there = [other + amount * SIZE * direction if other is at else other for other in (WEIGHTS, START)]
                return penalty(*there, **control).penalties["p"]

            differences = [(moved(k) - moved(-k)) / (2 * k * SIZE) for k in (1, 2)]
            error = relative_error((grad * direction).sum(), (4 * differences[0] - differences[1]) / 3)
            print(f"{type(adjoint).__name__}: {error:.1e}")
            assert error < (1e-6 if discrete else 1e-4)


@torch.no_grad()
def test_states_asked_for_do_not_show_in_the_outputs():
    local = LocalErrorEstimate(draws=4, generator=seeded())
    for save_at in (None, "steps", torch.linspace(0.0, 2.0, 11)):
        plain = kt.solve(kt.ODEProblem(field, START, (0.0, 2.0)), rtol=1e-5, atol=1e-5, save_at=save_at)
        drawn = solve(local, save_at=save_at, dense=True)
        assert torch.equal(plain.ts, drawn.ts)
        torch.testing.assert_close(plain.ys, drawn.ys, rtol=1e-14, atol=1e-15)
        assert len(drawn.draws["p"].t) == 4 and drawn.draws["p"].steps == drawn.stats.accepted


@torch.no_grad()
def test_draws_come_from_the_generator():
    first, again, other = (
        solve(LocalErrorEstimate(draws=3, generator=seeded(seed))).draws["p"].t for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_recomputing_does_not_draw_again():
    generator, weights = seeded(), WEIGHTS.clone().requires_grad_()
    for through_state in (False, True):
        local = LocalErrorEstimate(through_state=through_state, generator=generator)
        sol = solve(local, weights, adjoint=kt.Recompute())
        before = generator.get_state()
        sol.penalties["p"].backward()
        assert torch.equal(before, generator.get_state())


@torch.no_grad()
def test_initial_steps_are_those_of_a_fresh_solve():
    sol = solve(LocalErrorEstimate(estimator="published", step="initial", generator=seeded(5)))
    (t,), (y,) = sol.draws["p"].t, sol.draws["p"].y
    exact = kt.solve(kt.ODEProblem(field, START, (0.0, float(t))), rtol=1e-10, atol=1e-10).y1
    assert relative_error(y, exact) < 1e-4
    fresh = kt.Integrator(kt.ODEProblem(field, y, (float(t), 100.0)), kt.Tsit5(), rtol=1e-5, atol=1e-5)
    size, step = fresh.dt, fresh.step()
    assert fresh.stats.rejected == 0 and step.dt == pytest.approx(size)
    assert relative_error(sol.penalties["p"], ErrorEstimate().measure(step) * size) < 1e-9


@pytest.mark.parametrize("sample", ["uniform_time", "uniform_step"])
@pytest.mark.parametrize("estimator", ["unbiased", "published"])
def test_trajectories_of_an_ensemble_have_their_own_estimates(sample, estimator):
    many = 4000
    y0, spans = START[0].expand(many, 3), (0.0, 2.0)
    local = LocalErrorEstimate(sample, estimator, draws=2, generator=seeded())
    with torch.no_grad():
        sol = solve(local, y0=y0, span=spans, kind=kt.EnsembleProblem)
        error, _, h = steps_of(START[0], spans)
    assert sol.penalties["p"].shape == (many,) and sol.draws["p"].t.shape == (2 * many,)
    chance = h / h.sum() if sample == "uniform_time" else torch.full_like(h, 1.0 / len(h))
    unbiased = h.sum() * error if sample == "uniform_time" else len(h) * error * h
    values = unbiased if estimator == "unbiased" else error * h
    expected = (chance * values).sum()
    spread = ((chance * values.square()).sum() - expected**2).sqrt() / math.sqrt(2 * many)
    found = sol.penalties["p"].mean()
    print(f"{sample}, {estimator}: {float(found):.5f} +- {float(spread):.5f}, expected {float(expected):.5f}")
    assert abs(found - expected) < 4 * spread + 1e-9


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute()], ids=lambda adjoint: type(adjoint).__name__)
def test_gradients_of_an_ensemble(adjoint):
    weights = WEIGHTS.clone().requires_grad_()
    ends = tensor(2.0, 1.0)
    local = LocalErrorEstimate(draws=3, generator=seeded())
    sol = solve(local, weights, span=(0.0, ends), kind=kt.EnsembleProblem, adjoint=adjoint)
    (grad,) = torch.autograd.grad(sol.penalties["p"].sum(), weights)
    draws, expected = sol.draws["p"], torch.zeros_like(grad)
    for row in range(2):
        values = []
        for number in range(3 * row, 3 * row + 3):
            one = kt.ODEProblem(field, draws.y[number], (0.0, 1.0), args=(weights,))
            integrator = kt.Integrator(one, kt.Tsit5(), rtol=1e-5, atol=1e-5)
            at = (float(draws.t[number]), draws.y[number], float(draws.dt[number]), None)
            step, _ = kt.Tsit5().step(integrator._field, *at)
            step.tolerance = integrator._stepper.tolerance
            values.append(ErrorEstimate().measure(step))
        expected += torch.autograd.grad(ends[row] * torch.stack(values).mean(), weights)[0]
    assert relative_error(grad, expected) < 1e-9


def test_pytrees_and_tolerances_by_entry():
    def pair(t, state, weights):
        return {"a": field(t, state["a"], weights), "b": -state["b"]}

    y0 = {"a": START, "b": torch.ones(2, dtype=F64)}
    rtol = {"a": torch.full((2, 3), 1e-5, dtype=F64), "b": 1e-3}
    for draws in (1, 3):
        weights = WEIGHTS.clone().requires_grad_()
        local = LocalErrorEstimate(draws=draws, generator=seeded())
        problem = kt.ODEProblem(pair, y0, (0.0, 2.0), args=(weights,))
        sol = kt.solve(problem, penalties={"p": local}, rtol=rtol, atol=1e-6, adjoint=kt.Gauss())
        sol.penalties["p"].backward()
        assert bool(torch.isfinite(weights.grad).all()) and float(weights.grad.norm()) > 0.0


def test_draws_go_on_over_events_and_backwards_in_time():
    turn = kt.Event(lambda t, y, w: t - 1.0, change=lambda t, y, w: -y)
    for span in ((0.0, 2.0), (2.0, 0.0)):
        sol = solve(LocalErrorEstimate("uniform_step", draws=50, generator=seeded()), span=span, events=[turn])
        draws = sol.draws["p"]
        assert len(sol.events) == 1 and bool((draws.t > 1.0).any() & (draws.t < 1.0).any())
        assert bool((torch.sign(draws.dt) == (1.0 if span[1] > span[0] else -1.0)).all())


def test_no_time_no_penalty():
    assert float(solve(LocalErrorEstimate(), span=(1.0, 1.0)).penalties["p"]) == 0.0


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: LocalErrorEstimate("uniform_space"), ValueError, "sample must be one of"),
        (lambda: LocalErrorEstimate(estimator="best"), ValueError, "estimator must be one of"),
        (lambda: LocalErrorEstimate(step="long"), ValueError, "step must be one of"),
        (lambda: LocalErrorEstimate(draws=0), ValueError, "draws must be at least 1"),
        (
            lambda: solve(LocalErrorEstimate(through_state=True), kind=kt.EnsembleProblem),
            NotImplementedError,
            "not there for ensembles",
        ),
        (
            lambda: kt.solve(
                kt.ODEProblem(field, START, (0.0, 1.0)), kt.RK4(), penalties={"p": LocalErrorEstimate()}, dt0=0.1
            ),
            ValueError,
            "needs an error estimate",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_draws_under_vmap_are_refused():
    def local(y0):
        problem = kt.ODEProblem(lambda t, y: -y, y0, (0.0, 1.0))
        penalties = {"p": LocalStiffnessEstimate()}
        return kt.solve(problem, kt.RK4(), dt0=0.25, penalties=penalties).penalties["p"]

    with pytest.raises(NotImplementedError, match="LocalStiffnessEstimate draws steps, which"):
        torch.func.vmap(local)(torch.ones(3, 2))
