"""Steps that cannot be stable are refused; no others are."""

import math
import re

import numpy as np
import pytest
import torch

import kutta as kt
from kutta.pde.stability import farthest_stable

P = kt.pde
F64 = torch.float64


METHODS = {"Euler": 1, "Heun": 2, "SSPRK33": 3, "Williamson3": 3, "RK4": 4}


@pytest.mark.parametrize(("name", "stages"), METHODS.items())
def test_how_far_methods_reach(name, stages):
    """Of these methods R is the beginning of the exponential series; Euler's disc reaches to -2."""
    reach = farthest_stable(getattr(kt, name)())
    directions = torch.exp(1j * torch.linspace(math.pi / 2, math.pi, 1001, dtype=F64))

    def smallest(radius):
        z = radius * directions
        return float(sum(z**k / math.factorial(k) for k in range(stages + 1)).abs().min())

    assert smallest(0.99 * reach) <= 1.0 < smallest(1.01 * reach)
    assert smallest(2.0 * reach) > 1.0
    assert name != "Euler" or reach == pytest.approx(2.0, rel=2e-3)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_how_far_adams_methods_reach(order):
    """Where all roots of ``r^k = r^(k-1) + z sum_i w_i r^(k-1-i)`` lie within 1; just beyond growth is slow."""
    weights = {1: [1.0], 2: [1.5, -0.5], 4: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}[order]
    reach = farthest_stable(kt.AdamsBashforth(order))

    def smallest(radius):
        """The largest root, in the best direction."""
        z = radius * np.exp(1j * np.linspace(np.pi / 2, np.pi, 361))
        leading = np.array([1.0, -1.0, *[0.0] * (order - 1)])
        return min(np.abs(np.roots(leading - one * np.array([0.0, *weights]))).max() for one in z)

    assert smallest(0.94 * reach) <= 1.0 < smallest(1.01 * reach)


def heat(count):
    return P.Heat(1.0).problem(
        P.Grid(count), lambda x: torch.sin(2 * torch.pi * x[0]), (0.0, 0.01), P.FiniteDifference()
    )


@pytest.mark.parametrize("count", [16, 64])
def test_the_limit_of_diffusion(count):
    limit = 2.0 / (4.0 * count**2)  # Euler on u_t = u_xx: dt <= h^2 / 2
    with pytest.raises(ValueError, match="violates the Courant-Friedrichs-Lewy condition") as refusal:
        kt.solve(heat(count), kt.Euler(), controller=kt.Fixed(1.2 * limit))
    named = float(str(refusal.value).split("steps below ")[1].split(";")[0])
    assert named == pytest.approx(limit, rel=0.05)
    assert torch.isfinite(kt.solve(heat(count), kt.Euler(), controller=kt.Fixed(limit)).y1).all()


def test_methods_without_limit_take_the_step():
    for method in (kt.ETDRK4(), kt.ARS222(), kt.ROCK4()):
        assert torch.isfinite(kt.solve(heat(64), method, controller=kt.Fixed(0.005)).y1).all()


def test_the_limit_of_convection():
    problem = P.Burgers(0.0).problem(P.Grid(64), torch.ones(64, dtype=F64), (0.0, 1.0), P.FiniteDifference())
    with pytest.raises(ValueError, match="violates"):
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(4.0 / 64))
    assert torch.allclose(kt.solve(problem, kt.RK4(), controller=kt.Fixed(2.0 / 64)).y1, problem.u0)


EXPLICIT = {
    "Williamson3": kt.Williamson3(),
    "AdamsBashforth": kt.AdamsBashforth(3),
    "Moulton": kt.AdamsBashforthMoulton(4),
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_the_limit_of_other_explicit_methods(name):
    method, rate = EXPLICIT[name], 4.0 * 64**2
    limit = farthest_stable(method) / rate
    with pytest.raises(ValueError, match=rf"fastest mode.*{type(method).__name__} needs steps below"):
        kt.solve(heat(64), method, controller=kt.Fixed(1.2 * limit))
    assert kt.solve(heat(64), method, controller=kt.Fixed(0.7 * limit)).y1.abs().max() < 1.0


def test_steps_that_only_begin_a_multistep_method():
    problem = P.Heat(1.0).problem(P.Grid(16), torch.ones(16, dtype=F64), (0.0, 0.003), P.FiniteDifference())
    assert torch.allclose(kt.solve(problem, kt.AdamsBashforth(5), controller=kt.Fixed(1e-3)).y1, problem.u0)


class Schroedinger(P.Evolution):
    """``i u_t = -u_xx``, whose rates are imaginary."""

    def nonlinear(self, ops, t, u):
        return 1j * ops.laplacian(u)


def test_the_limit_of_complex_fields():
    u0 = torch.exp(2j * math.pi * P.Grid(32).points()[0])
    problem = Schroedinger().problem(P.Grid(32), u0, (0.0, 0.01), P.FiniteDifference())
    limit = 2.0 * math.sqrt(2.0) / (4.0 * 32**2)
    with pytest.raises(ValueError, match="violates"):
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(1.25 * limit))
    assert torch.allclose(
        kt.solve(problem, kt.RK4(), controller=kt.Fixed(0.9 * limit)).y1.abs(), torch.ones(32, dtype=F64)
    )


def test_the_fastest_of_a_mapped_batch_counts():
    def end(viscosity, dt):
        problem = P.Heat(viscosity).problem(
            P.Grid(16), torch.cos(P.Grid(16).points()[0]), (0.0, 0.01), P.FiniteDifference()
        )
        return kt.solve(problem, kt.Euler(), controller=kt.Fixed(dt)).y1

    viscosities = torch.tensor([0.1, 1.0], dtype=F64)
    limit = 2.0 / (4.0 * 16**2)
    together = torch.func.vmap(lambda one: end(one, 0.9 * limit))(viscosities)
    assert torch.allclose(together[1], end(1.0, 0.9 * limit))
    with pytest.raises(ValueError, match="violates"):
        torch.func.vmap(lambda one: end(one, 1.3 * limit))(viscosities)
    assert torch.isfinite(torch.func.vmap(lambda one: end(one, 1.3 * limit))(0.5 * viscosities)).all()


def test_a_missing_step_is_asked_for_with_its_limit():
    limit = 2.0 / (4.0 * 16**2)
    with pytest.raises(
        ValueError, match=r"Euler estimates no error.*steps up to about .*controller=kutta.Fixed\(0.00"
    ) as asked:
        kt.solve(heat(16), kt.Euler())
    assert float(str(asked.value).split("up to about ")[1].split(",")[0]) == pytest.approx(limit, rel=0.05)
    assert "cfl" not in str(asked.value)
    with pytest.raises(ValueError, match="violates"):
        kt.solve(heat(16), kt.Euler(), dt0=1.2 * limit)
    with pytest.raises(ValueError, match="dt0 must be a positive, finite step size; got 0"):
        kt.solve(heat(16), kt.Euler(), dt0=0.0)
    burgers = P.Burgers(0.0).problem(P.Grid(16), torch.ones(16, dtype=F64), (0.0, 0.1))
    with pytest.raises(ValueError, match=r"or controller=problem.cfl\(number\)"):
        kt.solve(burgers, kt.AdamsBashforth(3))
    assert torch.isfinite(kt.solve(burgers, kt.Euler()).y1).all()


def test_most_given_steps_cost_four_evaluations_more():
    calls = []

    def cooling(ops, t, u):
        calls.append(t)
        return ops.laplacian(u)

    def evaluations(part):
        dt = part * 2.0 / (4.0 * 64**2)
        problem = P.PDEProblem(cooling, P.Grid(64), torch.ones(64, dtype=F64), (0.0, dt), P.FiniteDifference())
        calls.clear()
        sol = kt.solve(problem, kt.Euler(), controller=kt.Fixed(dt))
        return len(calls) - sol.stats.function_evaluations

    assert evaluations(0.3) <= 4 + 2  # one for the slope, and one by which the problem was checked
    assert evaluations(0.05) <= 2 + 2


def outrun(problem, method, dt, **given):
    with pytest.raises(kt.SolveError, match=r"NON_FINITE.*the step was too large for what the equation") as failure:
        kt.solve(problem, method, controller=kt.Fixed(dt), **given)
    words = failure.value.advice.split("what the equation had become: at t = ")[1]
    there, start = (float(re.search(f"{mark} ([^,:]+)", words)[1]) for mark in ("up to about", "with up to"))
    return failure.value, float(words.split(",")[0]), there, start


def test_an_equation_that_outran_its_steps():
    """Diffusion that grows as 1 + t: with Euler's method steps are stable up to h^2 / (2 (1 + t))."""

    def warmer(ops, t, u):
        return (1.0 + t) * ops.laplacian(u)

    limit = 2.0 / (4.0 * 16**2)
    problem = P.PDEProblem(
        warmer, P.Grid(16), lambda x: torch.cos(2 * math.pi * x[0]), (0.0, 10.0), P.FiniteDifference()
    )
    failure, t, there, start = outrun(problem, kt.Euler(), 0.5 * limit)
    assert t == pytest.approx(failure.t, rel=1e-4) and failure.t > 1.0
    assert there == pytest.approx(limit / (1.0 + t), rel=0.1) and start == pytest.approx(limit, rel=0.05)
    assert "cfl" not in failure.advice and "take smaller ones, or leave the controller out" in failure.advice
    _, t, there, _ = outrun(problem, kt.Euler(), 0.5 * limit, save_at="steps")
    assert 1.1 < t < 1.4 and there == pytest.approx(limit / (1.0 + t), rel=0.05)


def test_waves_that_outran_their_steps():
    problem = P.Burgers(0.0).problem(
        P.Grid(64), lambda x: 0.2 + torch.sin(2 * math.pi * x[0]), (0.0, 3.0), P.FiniteDifference()
    )
    failure, _, there, start = outrun(problem, kt.RK4(), 0.02)
    assert there < 0.02 < start
    assert "largest value is" in failure.advice and "controller=problem.cfl()" in failure.advice


def test_failures_that_no_step_would_have_spared_say_nothing_of_steps():
    """``u' = 1 / (1 - t)^2`` is infinite at 1 whatever the step, and no rate changes."""
    problem = P.PDEProblem(
        lambda ops, t, u: 0.0 * u + 1.0 / (1.0 - t).clamp(min=0.0) ** 2,
        P.Grid(8),
        torch.zeros(8, dtype=F64),
        (0.0, 2.0),
    )
    with pytest.raises(kt.SolveError, match="NON_FINITE") as failure:
        kt.solve(problem, kt.Euler(), controller=kt.Fixed(0.25))
    assert "step was too large" not in str(failure.value)
