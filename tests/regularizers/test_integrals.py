"""Penalties that are integrals along the solution, against their definitions; and random final times."""

import math

import pytest
import torch

import kutta as kt
from kutta.regularizers import JacobianNorm, KineticEnergy, SteadyState, Steer, Taylor
from tests._helpers import F64, difference, gradient, relative_error

FINE = {"rtol": 1e-9, "atol": 1e-11}
WEIGHTS = torch.randn(3, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
START = torch.randn(2, 3, dtype=F64, generator=torch.Generator().manual_seed(1))


def field(t, y, weights=WEIGHTS):
    return torch.tanh(y @ weights) * (1.0 + 0.5 * torch.sin(t))


def reference(integrand, span=(0.0, 1.0), points=401):
    """Simpson's rule on a fine grid of the solution."""
    ts = torch.linspace(*span, points, dtype=F64)
    ys = kt.solve(kt.ODEProblem(field, START, span), kt.Vern9(), rtol=1e-12, atol=1e-12, save_at=ts).ys
    values = torch.stack([integrand(t, y) for t, y in zip(ts, ys, strict=True)])
    weights = torch.ones(points, dtype=F64)
    weights[1:-1:2], weights[2:-1:2] = 4.0, 2.0
    return (weights * values).sum() * (ts[1] - ts[0]) / 3.0


def penalty(one, **options):
    return kt.solve(kt.ODEProblem(field, START, (0.0, 1.0)), penalties={"p": one}, **(FINE | options)).penalties["p"]


def test_kinetic_energy_is_its_integral():
    expected = reference(lambda t, y: field(t, y).square().mean())
    for method in (kt.Tsit5(), kt.Dopri8(), kt.RK4(), kt.AdamsBashforth(4), kt.Rodas5P()):
        options = {} if method.error_order else {"controller": kt.Fixed(0.005)}
        found = kt.solve(
            kt.ODEProblem(field, START, (0.0, 1.0)), method, penalties={"p": KineticEnergy()}, **(FINE | options)
        ).penalties["p"]
        error = relative_error(found, expected)
        print(f"kinetic energy, {type(method).__name__}: {error:.1e}")
        assert error < 1e-7


def test_jacobian_norm_is_its_integral():
    noise = torch.sign(torch.randn(2, 3, dtype=F64, generator=torch.Generator().manual_seed(5)))

    def integrand(t, y):
        jacobian = torch.autograd.functional.jacobian(lambda state: field(t, state), y)
        return torch.einsum("ij,ijkl->kl", noise, jacobian).square().mean()

    generator = torch.Generator().manual_seed(5)
    error = relative_error(penalty(JacobianNorm("rademacher", generator)), reference(integrand))
    print(f"Jacobian norm: {error:.1e}")
    assert error < 1e-7


def test_jacobian_norm_expects_the_frobenius_norm():
    matrix, size = WEIGHTS, 4000
    problem = kt.EnsembleProblem(
        lambda t, y: y @ matrix.T, torch.zeros(size, 3, dtype=F64), (0.0, 1.0), vectorized=True
    )
    for noise in ("normal", "rademacher"):
        generator = torch.Generator().manual_seed(0)
        values = kt.solve(problem, penalties={"p": JacobianNorm(noise, generator)}).penalties["p"]
        expected, spread = matrix.square().sum() / 3.0, values.std() / math.sqrt(size)
        print(f"{noise}: {float(values.mean()):.4f} +- {float(spread):.4f}, expected {float(expected):.4f}")
        assert abs(values.mean() - expected) < 4 * spread


@pytest.mark.parametrize("order", [1, 2, 3])
def test_taylor_is_the_integral_of_a_derivative_of_the_solution(order):
    def along(function):
        def derivative(t, y, step=1e-3):
            total = torch.zeros_like(y)
            for move, weight in ((1, 45.0), (2, -9.0), (3, 1.0)):
                for sign in (1, -1):
                    span = (float(t), float(t) + sign * move * step)
                    there = kt.solve(kt.ODEProblem(field, y, span), kt.Vern9(), rtol=1e-13, atol=1e-14).y1
                    total = total + sign * weight * function(t + sign * move * step, there)
            return total / (60.0 * step)

        return derivative

    function = field
    for _ in range(order - 1):
        function = along(function)
    points = {1: 101, 2: 21, 3: 7}[order]
    expected = reference(lambda t, y: function(t, y).square().mean(), points=points)
    error = relative_error(penalty(Taylor(order=order)), expected)
    print(f"derivative of order {order}: {error:.1e}")
    assert error < {1: 1e-7, 2: 1e-5, 3: 1e-3}[order]


def test_taylor_of_an_exponential():
    problem = kt.ODEProblem(lambda t, y: 2.0 * y, torch.ones(1, dtype=F64), (0.0, 1.0))
    for order in (1, 2, 3, 4):
        found = kt.solve(problem, penalties={"p": Taylor(order=order)}, **FINE).penalties["p"]
        assert relative_error(found, torch.tensor(2.0 ** (2 * order) * (math.exp(4.0) - 1.0) / 4.0)) < 1e-6


def test_steady_state_counts_what_comes_after():
    problem = kt.ODEProblem(field, START, (0.0, 2.0))
    control = kt.PID(step_ts=[1.0])
    found = kt.solve(problem, penalties={"p": SteadyState(after=1.0)}, controller=control, **FINE).penalties["p"]
    whole = kt.solve(problem, penalties={"p": SteadyState(after=0.0)}, controller=control, **FINE).penalties["p"]
    before = penalty(SteadyState(after=0.0))
    assert relative_error(found, whole - before) < 1e-6 and 0.0 < float(found) < float(whole)
    points = reference(lambda t, y: field(t, y).abs().mean(), (0.0, 2.0), points=2001)
    assert relative_error(whole, points) < 1e-5


@pytest.mark.parametrize("adjoint", [kt.Direct(), kt.Recompute(), kt.Recompute(segment=1)], ids=repr)
@pytest.mark.parametrize("many", [False, True], ids=["one", "ensemble"])
@pytest.mark.parametrize(
    "make",
    [
        KineticEnergy,
        lambda: JacobianNorm(generator=torch.Generator().manual_seed(0)),
        lambda: Taylor(order=2),
        lambda: SteadyState(after=0.0),
    ],
    ids=["kinetic", "jacobian", "taylor", "steady"],
)
def test_gradients(make, many, adjoint):
    def loss(weights):
        kind = kt.EnsembleProblem if many else kt.ODEProblem
        problem = kind(field, START, (0.0, 1.0), args=(weights,))
        options = {"controller": kt.Fixed(0.1), "adjoint": adjoint}
        return kt.solve(problem, penalties={"p": make()}, **options).penalties["p"].sum()

    error = relative_error(gradient(loss, WEIGHTS), difference(loss, WEIGHTS))
    print(f"{error:.1e}")
    assert error < 1e-7


@pytest.mark.parametrize(
    "make",
    [KineticEnergy, lambda: Taylor(order=2), lambda: SteadyState(after=0.0)],
    ids=["kinetic", "taylor", "steady"],
)
def test_trajectories_of_an_ensemble_have_their_own(make):
    y0 = torch.cat([START, -START, 2 * START])
    problem = kt.EnsembleProblem(field, y0, (0.0, 1.0))
    together = kt.solve(problem, penalties={"p": make()}, **FINE).penalties["p"]
    for row in range(len(y0)):
        alone = kt.solve(kt.ODEProblem(field, y0[row], (0.0, 1.0)), penalties={"p": make()}, **FINE).penalties["p"]
        assert relative_error(together[row], alone) < 1e-9


def test_backwards_in_time_integrals_are_positive():
    problem = kt.ODEProblem(field, START, (1.0, 0.0))
    for one in (KineticEnergy(), JacobianNorm(), Taylor(order=2), SteadyState(after=0.5)):
        assert float(kt.solve(problem, penalties={"p": one}).penalties["p"]) > 0.0


def test_steer_draws_the_final_time_around_the_true_one():
    generator = torch.Generator().manual_seed(0)
    ends = torch.tensor([Steer(width=0.5).span((0.0, 1.0), generator)[1] for _ in range(4000)], dtype=F64)
    assert 0.5 <= float(ends.min()) < 0.51 and 1.49 < float(ends.max()) <= 1.5
    assert abs(float(ends.mean()) - 1.0) < 4 * float(ends.std()) / math.sqrt(4000)
    assert float(ends.std()) == pytest.approx(1.0 / math.sqrt(12.0), rel=0.03)
    again = Steer(width=0.5).span((0.0, 1.0), torch.Generator().manual_seed(0))[1]
    assert again == float(ends[0])
    normal = torch.tensor([Steer(0.5, normal=True).span((0.0, 1.0), generator)[1] for _ in range(2000)], dtype=F64)
    assert float(normal.min()) > 0.0 and float(normal.max()) > 1.5


def test_steer_keeps_a_grid_in_order():
    for ts in (torch.tensor([0.0, 0.1, 0.15, 1.0], dtype=F64), torch.linspace(3.0, -1.0, 9, dtype=F64)):
        for seed in range(200):
            moved = Steer.grid(ts, torch.Generator().manual_seed(seed))
            assert moved.shape == ts.shape and float(moved[0]) == float(ts[0])
            assert bool((torch.diff(moved) * torch.sign(ts[1] - ts[0]) > 0).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Steer(width=0.0), "width must be positive"),
        (lambda: Steer(width=2.0).span((0.0, 1.0)), "width must be smaller than the length"),
        (lambda: Steer.grid(torch.tensor([0.0, 1.0, 0.5])), "ts must be strictly"),
        (lambda: Taylor(order=0), "order must be at least 1"),
        (lambda: JacobianNorm(noise="cauchy"), "noise must be one of"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_noise_is_the_same_all_the_way():
    class Draws(JacobianNorm):
        def update(self, state, step):
            seen.append(state[1].clone())
            return super().update(state, step)

    for adjoint in (kt.Direct(), kt.Recompute()):
        seen = []
        weights = WEIGHTS.clone().requires_grad_()
        problem = kt.ODEProblem(field, START, (0.0, 1.0), args=(weights,))
        kt.solve(problem, penalties={"p": Draws()}, adjoint=adjoint).penalties["p"].backward()
        assert len(seen) > 2 and all(torch.equal(noise, seen[0]) for noise in seen)


def test_penalties_do_not_change_the_steps():
    bare = kt.solve(kt.ODEProblem(field, START, (0.0, 1.0)), save_at="steps")
    everything = {"a": KineticEnergy(), "b": JacobianNorm(), "c": Taylor(), "d": SteadyState(after=0.0)}
    watched = kt.solve(kt.ODEProblem(field, START, (0.0, 1.0)), save_at="steps", penalties=everything)
    assert torch.equal(bare.ts, watched.ts) and torch.equal(bare.ys, watched.ys)


@pytest.mark.parametrize("each", [False, True], ids=["one", "ensemble"])
def test_rest_is_past_its_time_whichever_way_time_runs(each):
    def backwards(**options):
        y0 = torch.ones(2, 2, dtype=F64)
        kind = kt.EnsembleProblem if each else kt.ODEProblem
        control = kt.PID(step_ts=[0.5])
        penalties = {"p": SteadyState(**options)}
        return kt.solve(
            kind(lambda t, y: 3.0 * torch.ones_like(y), y0, (1.0, 0.0)), controller=control, penalties=penalties
        )

    found = backwards(after=0.5).penalties["p"]
    assert found.max().item() == pytest.approx(1.5) == found.min().item()
    with pytest.raises(TypeError, match="after"):
        backwards()
