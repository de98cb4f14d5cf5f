"""The method that is taken when none is named fits the equation, its scheme and the adjoint that is asked for."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.choice import default_method, has_real_rates
from kutta.pde.lowering import forms
from kutta.pde.lowering.forms import Forms
from tests._helpers import F64

P = kt.pde
WALLS = (P.Periodic(), P.Robin(1.0, 1.0))
SQUARE = P.Grid((8, 6), boundary=WALLS)


def bump(x):
    return 0.5 + 0.2 * torch.cos(2 * math.pi * x[0])


def pair(x):
    return torch.stack([bump(x), torch.zeros_like(x[0])])


def chosen(problem, **given):
    return default_method(Forms(problem), given)


@pytest.mark.parametrize(
    ("scheme", "boundary", "method"),
    [
        (P.PseudoSpectral(), P.Periodic(), kt.ETDRK4),
        (P.FiniteDifference(), P.Periodic(), kt.ETDRK4),
        (P.FiniteDifference(4), P.Dirichlet(), kt.ETDRK4),
        (P.FiniteDifference(), WALLS, kt.ROCK4),
    ],
    ids=["waves", "differences", "matrix", "walls"],
)
def test_the_method_that_is_chosen(scheme, boundary, method):
    grid = P.Grid((16, 8) if isinstance(boundary, tuple) else 16, boundary=boundary)
    assert isinstance(chosen(P.Burgers(0.05).problem(grid, bump, (0.0, 0.2), scheme)), method)
    without = P.PDEProblem(lambda ops, t, u: -u, grid, 1.0, (0.0, 1.0), scheme)
    assert isinstance(chosen(without), kt.Tsit5)


UNSTRUCTURED = {
    "diffusion": (P.Heat(10 ** (-2 * torch.rand(8, 6, dtype=F64, generator=torch.Generator().manual_seed(0)))), bump),
    "reaction": (P.Brusselator(diffusivity=0.01), pair),
    "separation": (P.CahnHilliard(0.2), bump),
    "transport": (P.Advection((1.0, 0.5)), bump),
    "waves": (P.Wave(2.0), pair),
    "slow waves": (P.Wave(1e-3), pair),
    "waves in layers": (P.Wave(bump(SQUARE.points())), pair),
}
REAL = ["diffusion", "reaction", "separation"]


@pytest.mark.parametrize("name", UNSTRUCTURED)
def test_methods_for_the_negative_real_axis_are_taken_for_what_has_its_rates_there(name):
    equation, u0 = UNSTRUCTURED[name]
    problem = equation.problem(SQUARE, u0, (0.0, 0.1), P.FiniteDifference())
    eigenvalues = torch.linalg.eigvals(Forms(problem).split.problem.linear.dense(problem.u0))
    fastest = eigenvalues[eigenvalues.abs().argmax()]
    assert (name in REAL) == bool(fastest.real.abs() > 2 * fastest.imag.abs())
    assert isinstance(chosen(problem), kt.ROCK4 if name in REAL else kt.Tsit5)


def test_the_rates_of_complex_fields():
    """Diffusion, Schroedinger's equation, and nothing at all."""
    u0 = bump(SQUARE.points()).to(torch.complex128)
    linear = Forms(P.Heat(1.0).problem(SQUARE, u0, (0.0, 1.0))).split.problem.linear
    assert has_real_rates(linear, u0)
    assert not has_real_rates(1j * linear, u0)
    assert not has_real_rates(0.0 * linear, u0)


def gradient(problem, start, **given):
    end = kt.solve(problem, rtol=1e-9, atol=1e-11, **given).y1
    return torch.autograd.grad(end.square().sum(), start)[0]


@pytest.mark.parametrize(
    "adjoint", [kt.Interpolating(), kt.Gauss(), kt.Backsolve()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize(
    ("equation", "u0", "method"),
    [(P.AllenCahn(0.2), bump, kt.ROCK4), (P.Wave(1.0), pair, kt.Tsit5), (P.ShallowWater(1.0), pair, kt.Tsit5)],
    ids=["fronts", "waves", "water"],
)
def test_adjoints_that_go_back_by_the_same_method_get_one_that_can(equation, u0, method, adjoint):
    """The limiters of finite volumes have corners, where gradients of steps and of the equation differ."""
    start = u0(P.Grid(8).points()).requires_grad_()
    problem = equation.problem(P.Grid(8), start, (0.0, 0.05))
    assert isinstance(chosen(problem, adjoint=adjoint), method)
    closely = 1e-3 if isinstance(problem.scheme, P.FiniteVolume) else 1e-6
    stepwise = gradient(problem, start, controller=kt.PID())
    assert torch.allclose(gradient(problem, start, adjoint=adjoint), stepwise, atol=closely)


def test_adjoints_with_a_method_of_their_own_leave_the_choice_free():
    problem = P.AllenCahn(0.2).problem(P.Grid(8), bump, (0.0, 0.05))
    assert isinstance(chosen(problem, adjoint=kt.Interpolating(method=kt.Tsit5())), kt.ETDRK4)
    assert isinstance(chosen(problem, adjoint=kt.Recompute()), kt.ETDRK4)


def test_given_steps_of_finite_volumes_go_back_too():
    problem = P.Burgers(0.0).problem(P.Grid(16), bump, (0.0, 0.1))
    assert isinstance(chosen(problem, adjoint=kt.Gauss(), controller=kt.Fixed(0.01)), kt.SSPRK33)


@pytest.mark.parametrize("scheme", [P.PseudoSpectral(), P.FiniteDifference()], ids=["waves", "differences"])
def test_the_choice_of_a_method_lowers_no_problem_twice(scheme, monkeypatch):
    made, linear_part = [], forms.linear_part
    monkeypatch.setattr(forms, "linear_part", lambda *given: made.append(given) or linear_part(*given))
    kt.solve(P.AllenCahn(0.1).problem(P.Grid(16), bump, (0.0, 0.1), scheme))
    assert len(made) == 1


def test_an_equation_that_says_nothing_of_a_linear_part_gets_a_method_that_asks_for_none():
    words = P.Equation("-u**3").problem(P.Grid(16), bump, (0.0, 1.0))
    varies = 0.1 + 0.05 * torch.cos(2 * math.pi * P.Grid(16).points()[0])
    mixed = P.Heat(varies).problem(P.Grid(16), bump, (0.0, 1.0), P.PseudoSpectral())
    for problem in (words, mixed):
        assert isinstance(chosen(problem), kt.Tsit5)
    assert isinstance(chosen(P.Equation("laplace(u)").problem(P.Grid(16), bump, (0.0, 1.0))), kt.ETDRK4)


def test_tolerances_ask_for_estimates():
    problem = P.Burgers(0.0).problem(P.Grid(16), bump, (0.0, 0.1), P.FiniteVolume())
    assert isinstance(chosen(problem), kt.SSPRK33)
    for given in ({"rtol": 1e-8}, {"atol": 1e-8}):
        assert isinstance(chosen(problem, **given), kt.Tsit5)
    assert isinstance(chosen(problem, rtol=1e-8, controller=problem.cfl()), kt.SSPRK33)
