"""What tests of equations share: exact solutions by sources, observed orders, gradients."""

import math
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True, eq=False)
class Driven(P.Evolution):
    """An equation with a source."""

    equation: Any
    source: Any
    components = property(lambda self: self.equation.components)
    degree = property(lambda self: self.equation.degree)

    def linear(self, ops, u):
        return self.equation.linear(ops, u)

    def nonlinear(self, ops, t, u):
        rest = self.equation.nonlinear(ops, t, u)
        return ops.data(self.source, u) if rest is None else rest + ops.data(self.source, u)


def spatial_orders(equation, kind, accuracy, counts, centring=None, end=0.2, size=1.0):
    """Orders in which a few waves at rest, held there by the source that they need, are solved.

    Sums of waves know the derivatives of such a state exactly, so they tell the source. At walls it is even or odd, and
    half of the derivatives that errors of ghosts consist of are zero: orders there may be higher than elsewhere.
    """
    errors = []
    for count in counts:
        grid = P.Grid(count, 1.0, centring, boundary=SIDES[kind])
        u = profile(kind, grid.points()[0], size)
        u = torch.stack([u, 1.0 - 0.5 * u][: len(equation.components)]).squeeze(0)
        waves = P.PseudoSpectral(dealias=1.0).on(grid).like(u)
        field = waves.enter(u)
        parts = [equation.linear(waves, field), equation.nonlinear(waves, 0.0, field)]
        source = -sum(waves.leave(part) for part in parts if part is not None)
        problem = Driven(equation, source).problem(grid, u, (0.0, end), P.FiniteDifference(accuracy))
        errors.append(float((kt.solve(problem, kt.ROCK4(), rtol=1e-11, atol=1e-13).y1 - u).abs().max()))
    widths = [grid_spacing(count, kind, centring) for count in counts]
    pairs = zip(errors, errors[1:], widths, widths[1:], strict=False)
    return [math.log(e0 / e1) / math.log(h0 / h1) for e0, e1, h0, h1 in pairs]


def grid_spacing(count, kind, centring):
    return P.Grid(count, 1.0, centring, boundary=SIDES[kind]).spacing[0]


def assert_orders(orders, accuracy, kind):
    """The last one is nominal, or at walls not lower."""
    assert orders[-1] > accuracy - 0.15
    assert orders[-1] < accuracy + (0.15 if kind == "periodic" else 1.15)


def temporal_order(problem, method, steps):
    """The order between the two numbers of steps, from a solution with eight times as many."""
    t0, t1 = problem.t_span

    def end(count):
        return kt.solve(problem, method, controller=kt.Fixed((t1 - t0) / count)).y1

    exact = end(8 * steps[1])
    errors = [float((end(count) - exact).abs().max()) for count in steps]
    return math.log(errors[0] / errors[1]) / math.log(steps[1] / steps[0])


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
