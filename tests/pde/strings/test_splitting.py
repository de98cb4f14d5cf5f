"""What is linear with constant coefficients is found, and only that."""

import math

import pytest
import torch

import kutta as kt
from kutta.formulas.reading import read
from kutta.pde.strings.equation import WORDS
from kutta.pde.strings.operators import Along, InverseLaplace, Laplace
from kutta.pde.strings.splitting import ZERO, Splitter

L = Laplace()


def split(text):
    return Splitter(text, ["u", "v"], ["a", "x", "y", "z", "t"]).split(read(text, WORDS))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("u", {("u", ())}),
        ("3", set()),
        ("u - v", {("u", ()), ("v", ())}),
        ("k*laplace(u) + u/k", {("u", (L,)), ("u", ())}),
        ("laplace(u**3 - u - laplace(u))", {("u", (L,)), ("u", (L, L))}),
        ("biharmonic(u)", {("u", (L, L))}),
        ("inverse_laplace(2*u + 1)", {("u", (InverseLaplace(),))}),
        ("d_dx(d_dx(u))", {("u", (Along(0, 2),))}),
        ("d_dx(d_dy(u))", {("u", (Along(1, 1), Along(0, 1)))}),
        ("d3_dx3(d2_dx2(u))", {("u", (Along(0, 2), Along(0, 3)))}),
        ("divergence(k*gradient(u))", {("u", (L,))}),
        ("divergence(k*(gradient(u) - 2*gradient(u)))", {("u", (L,))}),
        ("u*(1 - u)", {("u", ())}),
        ("(1 - u**2)*u", {("u", ())}),
        ("(1 - u)*(2 + v)", {("u", ()), ("v", ())}),
        ("u*v", set()),
        ("a*u", set()),
        ("t*u", set()),
        ("x*laplace(u)", set()),
        ("sin(u)", set()),
        ("u**2", set()),
        ("divergence(a*gradient(u))", set()),
        ("gradient_squared(u)", set()),
        ("u/(1 + u)", set()),
        ("0*u", set()),
    ],
)
def test_terms_that_are_linear(text, terms):
    assert set(split(text).linear) == terms


@pytest.mark.parametrize("text", ["3", "k", "2*k**2 + sin(k)", "(1 + k)*(2 - k)", "exp(pi)"])
def test_constants_are_no_function_of_the_unknowns(text):
    parts = split(text)
    assert parts.is_constant and parts.constant != ZERO


@pytest.mark.parametrize("text", ["t", "x", "a", "sin(x)*exp(-t)", "u*u", "u*x"])
def test_what_depends_on_place_or_time_is_the_remainder(text):
    parts = split(text)
    assert not parts.linear and len(parts.rest) == 1 and parts.constant == ZERO


def test_stiff_terms_are_solved_exactly():
    """Steps of any size are exact for what is linear with constant coefficients."""
    grid = kt.pde.Grid(64, 2 * torch.pi)
    x = grid.points()[0]
    problem = kt.pde.Equation("laplace(c*2 - c - laplace(c)) - 3*c").problem(grid, torch.cos(2 * x), (0.0, 0.5))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(0.5))
    torch.testing.assert_close(sol.y1, torch.exp(torch.tensor((-4.0 - 16.0 - 3.0) * 0.5)) * torch.cos(2 * x))


def test_unknowns_that_are_coupled_are_solved_exactly():
    """The wave equation in words, in one step, against d'Alembert's solution."""
    grid = kt.pde.Grid(32, 2 * torch.pi)
    x = grid.points()[0]
    start = torch.stack([torch.sin(x), torch.zeros_like(x)])
    problem = kt.pde.Equation({"u": "v", "v": "laplace(u)"}).problem(grid, start, (0.0, 1.0))
    sol = kt.solve(problem, kt.ETDRK4(), controller=kt.Fixed(1.0))
    wanted = torch.stack([torch.sin(x) * math.cos(1.0), -torch.sin(x) * math.sin(1.0)])
    torch.testing.assert_close(sol.y1, wanted, rtol=0.0, atol=1e-12)
