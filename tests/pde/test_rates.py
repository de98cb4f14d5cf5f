"""The fastest rate of an equation on a grid, and the short look that spares most solves the search for it."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.rates import are_plainly_below, fastest_rate
from tests._helpers import F64

P = kt.pde


def wave(x):
    return torch.sin(2 * math.pi * x[0])


def pair(x):
    return torch.stack([1.0 + 0.5 * wave(x), 0.25 + 0.0 * x[0]])


def peak(x):
    """A few cells are faster than all others, by far."""
    return 0.1 + 10.0 * torch.exp(-100.0 * ((x - 0.5) ** 2).sum(0))


EQUATIONS = {
    "heat": (P.Heat(1.0), wave),
    "transport": (P.Advection(lambda x, t: [1.0] * len(x)), wave),
    "waves": (P.Wave(3.0), pair),
    "slow waves": (P.Wave(1e-3), pair),
    "Gray and Scott": (P.GrayScott(), pair),
    "Burgers": (P.Burgers(1e-3), wave),
    "a peak": (P.Burgers(0.0), peak),
    "separation": (P.CahnHilliard(0.1), wave),
}


class Counted:
    """A right-hand side, and how often it was evaluated."""

    def __init__(self, f):
        self.f, self.count = f, 0

    def __call__(self, t, u):
        self.count += 1
        return self.f(t, u)


def counted(name, dim, dtype, scheme=None):
    equation, u0 = EQUATIONS[name]
    grid = P.Grid(({1: 64, 2: 24, 3: 12}[dim],) * dim)
    problem = equation.problem(grid, u0(grid.points()).to(dtype), (0.0, 1.0), scheme or P.FiniteDifference()).as_ode()
    return kt.ODEProblem(Counted(problem.f), problem.y0, problem.t_span)


@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("name", EQUATIONS)
def test_a_look_tells_limits_that_are_far_and_no_others(name, dim, dtype):
    problem = counted(name, dim, dtype)
    rate = fastest_rate(problem)
    for share, evaluations in ((0.1, 3), (0.3, 5)):
        problem.f.count = 0
        assert are_plainly_below(problem, rate / share)
        assert problem.f.count <= evaluations
    for share in (0.9, 1.05, 1.2, 2.0, 10.0):
        assert not are_plainly_below(problem, rate / share)


@pytest.mark.parametrize("dtype", [F64, torch.float32], ids=["double", "single"])
def test_rates_are_eigenvalues(dtype):
    """Of second and first differences, of waves that grow by turns, and of sums of waves."""
    n = 64
    for name, scheme, rate in (
        ("heat", P.FiniteDifference(), 4.0 * n**2),
        ("heat", P.PseudoSpectral(), (math.pi * n) ** 2),
        ("transport", P.FiniteDifference(), float(n)),
        ("waves", P.FiniteDifference(), 3.0 * 2.0 * n),
    ):
        assert fastest_rate(counted(name, 1, dtype, scheme)) == pytest.approx(rate, rel=0.04)


def test_a_mode_that_is_alone_is_seen():
    """One cell that decays fast, and a mean that does; no other mode is nearly as fast."""
    for count in (100, 10_000):
        rates = torch.ones(count, dtype=F64)
        rates[count // 3] = 1000.0
        single = kt.ODEProblem(lambda t, y, rates=rates: -rates * y, torch.ones(count, dtype=F64), (0.0, 1.0))
        mean = kt.ODEProblem(lambda t, y: -1000.0 * y.mean() - y, torch.ones(count, dtype=F64), (0.0, 1.0))
        for problem in (single, mean):
            assert not are_plainly_below(problem, 900.0)
            assert are_plainly_below(problem, 10_000.0)


def test_what_rounding_hides_is_not_taken_for_slow():
    """Beside a strong force the change of a tiny state is not felt."""
    problem = kt.ODEProblem(lambda t, y: 1.0 - 1000.0 * y, torch.full((50,), 1e-30, dtype=F64), (0.0, 1.0))
    assert not are_plainly_below(problem, 900.0)
    assert fastest_rate(problem) == pytest.approx(1000.0, rel=0.01)


def test_nothing_that_moves_has_no_rate():
    problem = kt.ODEProblem(lambda t, y: 0.0 * y, torch.ones(8, dtype=F64), (0.0, 1.0))
    assert fastest_rate(problem) == 0.0
