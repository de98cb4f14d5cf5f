"""Steps that cannot be stable are refused; no others are."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.stability import farthest_stable

P = kt.pde
F64 = torch.float64


@pytest.mark.parametrize(("tableau", "stages"), [("EULER", 1), ("HEUN", 2), ("SSPRK33", 3), ("RK4", 4)])
def test_how_far_methods_reach(tableau, stages):
    """Of these methods R is the beginning of the exponential series; Euler's disc reaches to -2."""
    reach = farthest_stable(getattr(kt.tableaus, tableau))
    directions = torch.exp(1j * torch.linspace(math.pi / 2, math.pi, 1001, dtype=F64))

    def smallest(radius):
        z = radius * directions
        return float(sum(z**k / math.factorial(k) for k in range(stages + 1)).abs().min())

    assert smallest(0.99 * reach) <= 1.0 < smallest(1.01 * reach)
    assert smallest(2.0 * reach) > 1.0
    assert tableau != "EULER" or reach == pytest.approx(2.0)


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
