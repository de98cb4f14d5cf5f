"""DEIS: the integrals, the order, and what it is in lambda."""

import math

import pytest
import torch
from scipy.integrate import quad

import kutta as kt
from kutta.solvers.diffusion.deis import VARIABLES
from kutta.solvers.diffusion.exponential import weights
from kutta.solvers.diffusion.grids import nodes
from tests.solvers.diffusion.exact_starts import errors_with_exact_starts
from tests.solvers.diffusion.problems import F64, orders, t1

VP = kt.diffusion.VP()
RHO = kt.diffusion.Rho(7)


def kappa(t):
    return float(torch.exp(-VP.log_snr(t)))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [3, 6, 9])
def test_integrals_are_those_of_a_quadrature(n, k):
    """``int r^k dkappa``, with ``dkappa = kappa' dt`` and ``dkappa = -exp(-lambda) dlambda``."""
    found = nodes(RHO, VP, 10, 1.0, 1e-3)
    t, log_snr = found.t.tolist(), found.log_snr.tolist()

    def in_time(s):
        rate = VP.beta_min + s * (VP.beta_max - VP.beta_min)  # of log(1 + kappa^2)
        return ((s - t[n]) / (t[n + 1] - t[n])) ** k * 0.5 * rate * (kappa(s) + 1.0 / kappa(s))

    def in_lambda(s):
        return -(((s - log_snr[n]) / (log_snr[n + 1] - log_snr[n])) ** k) * math.exp(-s)

    for variable, integrand, places in (("time", in_time, t), ("log_snr", in_lambda, log_snr)):
        moments = VARIABLES[variable](found, n, 4)[1]
        exact, _ = quad(integrand, places[n], places[n + 1], epsabs=1e-13)
        assert float(moments[k]) == pytest.approx(exact, rel=1e-9)


def test_in_time_where_time_is_kappa_the_weights_are_those_of_adams_on_unequal_steps():
    found = nodes(RHO, kt.diffusion.EDM(), 8, 80.0, 0.002)
    places, moments = VARIABLES["time"](found, 5, 4)
    step = float(found.t[6] - found.t[5])
    assert torch.allclose(moments, step / torch.arange(1, 5, dtype=F64), rtol=1e-12)
    h = (found.t[5] - found.t[4]) / (found.t[6] - found.t[5])
    second = weights(places[:2], moments[:2]) / step
    assert torch.allclose(second, torch.stack([1.0 + 0.5 / h, -0.5 / h]), rtol=1e-12)


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
