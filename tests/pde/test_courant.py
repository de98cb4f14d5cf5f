"""Steps by the condition of Courant, Friedrichs and Lewy, and what is taken when nothing is named."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64

P = kt.pde


def wave(x):
    return torch.sin(2 * math.pi * x[0])


def test_the_number_is_what_it_says():
    problem = P.Advection((2.0, -1.0)).problem(P.Grid((10, 20)), wave, (0.0, 0.1), P.FiniteVolume())
    assert float(problem.cfl(0.5).limit(0.0, problem.u0)) == pytest.approx(0.5 / (2.0 / 0.1 + 1.0 / 0.05))
    assert kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.5)).stats.steps == 8
    assert kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.25)).stats.steps == 16


def test_speeds_that_vary_in_space_and_time():
    problem = P.Advection(lambda x, t: [(1 + x[0]) * (1 + t)]).problem(P.Grid(10), wave, (0.0, 0.1), P.FiniteVolume())
    t = torch.tensor(2.0, dtype=F64)
    assert float(problem.cfl(1.0).limit(t, problem.u0)) == pytest.approx(0.1 / (1.9 * 3.0))


def test_shallow_water_and_waves():
    water = P.ShallowWater(9.0).problem(P.Grid(10), lambda x: torch.stack([4 + 0 * x[0], 8 + 0 * x[0]]), (0.0, 1.0))
    assert float(water.cfl(1.0).limit(0.0, water.u0)) == pytest.approx(0.1 / (2.0 + 6.0))
    string = P.Wave(3.0).problem(P.Grid(10), lambda x: torch.stack([x[0], x[0]]), (0.0, 1.0))
    assert float(string.cfl(1.0).limit(0.0, string.u0)) == pytest.approx(0.1 / 3.0)


def test_viscosity_counts():
    problem = P.Burgers(0.5).problem(P.Grid(100), wave, (0.0, 0.01), P.FiniteVolume())
    sol = kt.solve(problem)
    assert sol.stats.steps == pytest.approx(0.01 / (0.5 / (2 * 0.5 / 0.01**2 + 1 / 0.01)), rel=0.02)
    exact = P.Burgers(0.5).problem(P.Grid(100), wave, (0.0, 0.01))
    assert float((sol.y1 - kt.solve(exact, rtol=1e-8, atol=1e-10).y1).abs().max()) < 1e-3


def test_a_batch_takes_the_steps_of_its_fastest_member():
    u0 = torch.stack([torch.full((10,), 1.0), torch.full((10,), 5.0)]).to(F64)
    problem = P.Burgers(0.0).problem(P.Grid(10), u0, (0.0, 1.0))
    assert kt.solve(problem).stats.steps == 100


def test_nothing_that_moves():
    problem = P.Burgers(0.0).problem(P.Grid(10), torch.zeros(10, dtype=F64), (0.0, 1.0))
    sol = kt.solve(problem)
    assert sol.stats.steps == 1 and not bool(sol.y1.any())


def test_what_is_taken_when_nothing_is_named():
    problem = P.Burgers(0.0).problem(P.Grid(20), wave, (0.0, 0.2))
    assert isinstance(problem.scheme, P.FiniteVolume)
    chosen = kt.solve(problem)
    named = kt.solve(problem, kt.SSPRK33(), controller=problem.cfl(0.5))
    assert torch.equal(chosen.y1, named.y1) and chosen.stats.steps == named.stats.steps
    assert torch.equal(kt.solve(problem, kt.SSPRK33()).y1, named.y1)
    controlled = kt.solve(problem, controller=kt.PID(), rtol=1e-6)
    assert torch.equal(controlled.y1, kt.solve(problem, kt.Tsit5(), rtol=1e-6).y1)
    assert float((controlled.y1 - named.y1).abs().max()) < 1e-2
    given = kt.solve(problem, controller=kt.Fixed(0.01))
    assert given.stats.steps == 20


def test_equations_of_functions_have_error_control():
    problem = P.PDEProblem(lambda ops, t, u: -ops.advection(u, [1.0]), P.Grid(20), wave, (0.0, 0.2), P.FiniteVolume())
    assert torch.equal(kt.solve(problem).y1, kt.solve(problem, kt.Tsit5()).y1)


def test_refusals():
    problem = P.Heat().problem(P.Grid(10), wave, (0.0, 1.0))
    with pytest.raises(TypeError, match=r"Heat does not say how fast its waves are, and has no cfl\(\)"):
        problem.cfl()
    with pytest.raises(ValueError, match="needs a positive, finite number"):
        P.Burgers().problem(P.Grid(10), wave, (0.0, 1.0)).cfl(-1.0)
