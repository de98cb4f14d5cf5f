"""DEIS: the integrals, the order, and what it is in lambda."""

import pytest
import torch
from scipy.integrate import quad

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.named.deis import moments_in_time
from kutta.solvers.diffusion.plans.plan import Draft
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts
from tests.solvers.diffusion.problems import F64, orders, t1

VP = kt.diffusion.VP()
RHO = kt.diffusion.Rho(7)


def step_of(found, n):
    draft = Draft(found)
    return draft.level(n), draft.level(n + 1)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [0, 3, 6, 9])
def test_integrals_are_those_of_a_quadrature(n, k):
    """``int r^k kappa' dt``, with ``kappa' = beta (1 + kappa^2) / (2 kappa)`` for a rate ``beta``."""
    found = nodes(RHO, VP, 10, 1.0, 1e-3)
    start, end = (float(one.t) for one in step_of(found, n))

    def integrand(t):
        kappa, rate = float(torch.exp(-VP.log_snr(t))), VP.beta_min + t * (VP.beta_max - VP.beta_min)
        return ((t - start) / (end - start)) ** k * 0.5 * rate * (kappa + 1.0 / kappa)

    moments = moments_in_time(VP, *step_of(found, n), 4)
    assert float(moments[k]) == pytest.approx(quad(integrand, start, end, epsabs=1e-13)[0], rel=1e-9)


def test_in_time_where_time_is_kappa_the_weights_are_those_of_adams_on_unequal_steps():
    schedule = kt.diffusion.EDM()
    found = nodes(RHO, schedule, 8, 80.0, 0.002)
    step = float(found.t[6] - found.t[5])
    moments = moments_in_time(schedule, *step_of(found, 5), 4)
    assert torch.allclose(moments, step / torch.arange(1, 5, dtype=F64), rtol=1e-12)
    h = float(found.t[5] - found.t[4]) / step
    last = kt.DEIS(2, "time").plan(found).fixed().moves[5]
    assert last.predictions["noise"] == pytest.approx({4: -0.5 * step / h, 5: step * (1.0 + 0.5 / h)})


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_in_lambda_it_is_the_exponential_multistep_rule_for_the_noise(order):
    case = t1()
    same = kt.ExponentialMultistep(order, "noise", final_orders=(2,))
    assert torch.allclose(case.solve(kt.DEIS(order, final_orders=(2,)), 9), case.solve(same, 9), rtol=1e-11)


# Order 4 in lambda is reached with more steps only: 3.24, 3.72, 3.88 up to 640.
@pytest.mark.parametrize(("order", "variable"), [(2, "log_snr"), (3, "log_snr"), (2, "time"), (3, "time"), (4, "time")])
def test_order_from_exact_starts(order, variable):
    errors = errors_with_exact_starts(t1(), kt.DEIS(order, variable), order - 1, RHO, (160, 320))
    assert orders(errors)[0] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("variable", ["log_snr", "time"])
def test_one_evaluation_a_step(variable):
    assert kt.solve(t1().problem, kt.DEIS(3, variable), steps=10).stats.function_evaluations == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 5}, "whole number from 1 to 4"),
        ({"order": 0}, "whole number from 1 to 4"),
        ({"variable": "kappa"}, "variable must be one of log_snr, time"),
        ({"final_orders": (0,)}, "final_orders"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kt.DEIS(**arguments)
