"""What tests of equations share: waves between walls, orders in time, gradients."""

import math

import pytest
import torch

import kutta as kt
from tests._helpers import F64, TIGHT, difference, gradient, relative_error

P = kt.pde
SIDES = {"periodic": P.Periodic(), "Neumann": P.Neumann(), "Dirichlet": P.Dirichlet()}
CLOSED = ["periodic", "Neumann"]  # sides through which nothing flows


def by_schemes(accuracy):
    """A test for differences of an order, and for waves."""
    schemes = [P.FiniteDifference(accuracy), P.PseudoSpectral()]
    return pytest.mark.parametrize("scheme", schemes, ids=["differences", "waves"])


def profile(kind, x, size=1.0):
    """A few waves that fulfil a boundary condition on a unit interval."""
    wave, turn = (torch.sin if kind == "Dirichlet" else torch.cos), (2 if kind == "periodic" else 1) * math.pi
    mean = 0.0 if kind == "Dirichlet" else 0.5
    bent = torch.sin(2 * turn * x) if kind == "periodic" else wave(2 * turn * x)
    return size * (mean + 0.4 * wave(turn * x) + 0.2 * bent)


def temporal_order(problem, method, steps):
    """The order, from solutions with so many steps, with twice and with four times as many."""
    t0, t1 = problem.t_span
    once, twice, finest = (
        kt.solve(problem, method, controller=kt.Fixed((t1 - t0) / (steps * more))).y1 for more in (1, 2, 4)
    )
    return math.log2(float((once - twice).abs().max()) / float((twice - finest).abs().max()))


def ordinary(f, y0, end):
    """The solution of the ordinary differential equation of a state that is the same everywhere."""
    return kt.solve(kt.ODEProblem(f, torch.as_tensor(y0, dtype=F64), (0.0, end)), kt.Dopri8(), **TIGHT).y1


def gradient_error(end_of, x):
    """How far the gradient of a weighted sum of the end state is from that of differences."""
    weights = torch.cos(torch.arange(end_of(x).numel(), dtype=F64))

    def loss(x):
        return (weights * end_of(x).reshape(-1)).sum()

    return relative_error(gradient(loss, x), difference(loss, x, eps=1e-4 * float(x.detach().abs().max())))


def ends(equation, kind="periodic", count=6, scheme=None, steps=2, end=0.1):
    """The end of a solve as a function of the initial state, with as few operations as will do."""
    grid = P.Grid(count, 1.0, boundary=SIDES[kind])
    scheme = P.PseudoSpectral() if scheme is None else scheme
    method = kt.ETDRK4() if isinstance(scheme, P.PseudoSpectral) else kt.RK4()

    def solved(u0):
        return kt.solve(equation.problem(grid, u0, (0.0, end), scheme), method, controller=kt.Fixed(end / steps)).y1

    return solved
