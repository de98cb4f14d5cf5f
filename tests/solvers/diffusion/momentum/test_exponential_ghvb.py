"""Momentum on the data with exact weights: its two limits, and its orders."""

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.momentum.exponential_ghvb import ExponentialGHVB
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts
from tests.solvers.diffusion.problems import F64, orders, t1, t2

RHO = kt.diffusion.Rho(7)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_without_damping_it_is_exponential_multistep(order):
    case = t1()
    wanted = case.solve(kt.ExponentialMultistep(order), 14)
    assert torch.allclose(case.solve(ExponentialGHVB(order, 1.0), 14), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("beta", [0.8, 0.4])
def test_of_order_one_it_is_heavy_ball(beta):
    case = t1()
    wanted = case.solve(kt.HeavyBall(kt.DDIM(), beta), 14)
    assert torch.allclose(case.solve(ExponentialGHVB(1, beta), 14), wanted, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("beta", [0.8, 0.4])
@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_exact_where_predictions_are_polynomials(order, beta):
    """Of degree below the order in ``log(alpha / sigma)``: with exact starts there is no error."""
    schedule = kt.diffusion.EDM(5.0, 0.05)
    problem = kt.DiffusionProblem(
        lambda x, t: torch.log(t)[:, None].expand_as(x) ** (order - 1), schedule, torch.ones(1, 1).double(), "data"
    )

    class Case:
        def __init__(self):
            self.problem = problem

        def exact(self, times):
            return kt.solve(problem, kt.Vern9(), rtol=1e-13, atol=1e-13, save_at=times).ys

        def error(self, x):
            return float((x - self.exact(torch.tensor([5.0, 0.05], dtype=F64))[-1]).abs().max())

    errors = errors_with_exact_starts(Case(), ExponentialGHVB(order, beta), order - 1, RHO, (8, 16))
    assert max(errors) < 1e-9


@pytest.mark.parametrize(
    ("order", "steps", "wanted"), [(2, (80, 160), 2.00), (3, (160, 320), 3.14), (4, (160, 320), 3.94)]
)
def test_order(order, steps, wanted):
    errors = errors_with_exact_starts(t1(), ExponentialGHVB(order, 0.8), order - 1, RHO, steps)
    assert orders(errors) == pytest.approx([wanted], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (2, [2.43, 2.03, 2.00, 2.00, 2.00]),
        (3, [3.37, 3.33, 3.35, 3.24, 3.14]),
        (4, [5.02, 3.19, 3.48, 3.83, 3.94]),
    ],
)
def test_orders(order, wanted):
    errors = errors_with_exact_starts(t1(), ExponentialGHVB(order, 0.8), order - 1, RHO, (10, 20, 40, 80, 160, 320))
    assert orders(errors) == pytest.approx(wanted, abs=0.02)


@pytest.mark.slow
def test_momentum_is_no_remedy_under_guidance():
    """What the docstring says: order 2 without momentum errs less than order 3 with any."""
    case = t2(15.0)
    plain, *damped = (
        case.rms(case.solve(ExponentialGHVB(*one), 8, grid=RHO)) for one in ((2, 1.0), (3, 1.0), (3, 0.4))
    )
    assert damped[1] < 0.75 * damped[0]
    assert damped[1] > 10.0 * plain
    assert min(case.rms(case.solve(ExponentialGHVB(4, beta), 8, grid=RHO)) for beta in (1.0, 0.8, 0.6, 0.4)) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"), [((0, 0.5), "order must be"), ((6,), "got 6"), ((2, 0.0), "beta must be")]
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ExponentialGHVB(*arguments)
