"""How many fields an equation multiplies with each other."""

import pytest
import torch

import kutta as kt


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("laplace(u)", 1),
        ("1", 1),
        ("u*v", 2),
        ("laplace(u**3 - u)", 3),
        ("u*v**2 + u**2", 3),
        ("u*d_dx(u)", 2),
        ("d_dx(u**2/2)", 2),
        ("gradient_squared(u)", 2),
        ("gradient_squared(u**2)", 4),
        ("dot(u*gradient(u), v*gradient(v))", 4),
        ("divergence((1 + u**2)*gradient(u))", 3),
        ("divergence(a*gradient(u))", 2),
        ("k*u + t*v", 1),
        ("exp(-x**2)*u", 2),
        ("a*x*y*u", 2),
        ("a**2*u", 2),
        ("sin(u)", 3),
        ("u/(1 + v)", 4),
        ("u**0.5", 3),
    ],
)
def test_degrees(text, degree):
    parameters = {"k": torch.tensor(1.0), "a": torch.ones(4, 4)}
    assert kt.pde.Equation({"u": text, "v": "0"}, parameters).degree == degree


@pytest.mark.parametrize(("text", "most"), [("u**8", 1e-4), ("u**64", 5e-2)], ids=["8", "64"])
def test_high_powers_keep_their_waves(text, most):
    grid = kt.pde.Grid(256)
    u = 0.9 + 0.1 * torch.sin(2 * torch.pi * grid.points()[0])
    equation = kt.pde.Equation(text)
    ops = kt.pde.PseudoSpectral().on(grid, equation.degree).like(u)
    found = ops.leave(equation.nonlinear(ops, 0.0, ops.enter(u)))
    wanted = u ** float(text[3:])
    assert float((found - wanted).abs().max()) < most * float(wanted.max())
