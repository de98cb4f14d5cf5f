"""Limits of stability: closed forms against a table and against scans of the roots."""

from fractions import Fraction as Q

import numpy as np
import pytest

import kutta as kt
from kutta.solvers.diffusion.levels.grids import nodes
from kutta.solvers.diffusion.momentum.stability import MomentumRule, corrected_limit
from tests.solvers.diffusion.problems import t1

BETAS = (1.0, 0.9, 0.8, 0.6, 0.5)
TABLE = {
    "heavy ball": {
        1: (2, 2.444, 3, 4.667, 6),
        2: (1, 1.222, 1.5, 2.333, 3),
        3: (0.545, 0.667, 0.818, 1.273, 1.636),
        4: (0.3, 0.367, 0.45, 0.7, 0.9),
    },
    "ghvb": {
        1: (2, 2.444, 3, 4.667, 6),
        2: (1, 1.1, 1.2, 1.4, 1.5),
        3: (0.545, 0.595, 0.643, 0.737, 0.783),
        4: (0.300, 0.327, 0.353, 0.404, 0.429),
        5: (0.163, 0.179, 0.193, 0.221, 0.235),
    },
}
RULES = {"heavy ball": MomentumRule.heavy_ball, "ghvb": MomentumRule.ghvb}
CASES = [
    (family, order, beta, limit)
    for family, rows in TABLE.items()
    for order, limits in rows.items()
    for beta, limit in zip(BETAS, limits, strict=True)
]


@pytest.mark.parametrize(("family", "order", "beta", "limit"), CASES)
def test_real_interval(family, order, beta, limit):
    """The table, and the roots: within the unit circle in the interval, and without beyond it."""
    rule = RULES[family](order, beta)
    assert rule.real_limit == pytest.approx(limit, abs=1e-3)
    inside = np.linspace(1e-3, 1.0 - 1e-3, 200) * rule.real_limit
    assert all(rule.largest_root(-z) <= 1.0 + 1e-12 for z in inside)
    assert rule.largest_root(-rule.real_limit * (1.0 + 1e-3)) > 1.0


@pytest.mark.parametrize("beta", [Q(1), Q(4, 5), Q(1, 2)])
def test_closed_forms(beta):
    assert [MomentumRule.heavy_ball(order, beta).real_limit for order in (1, 2, 3, 4)] == [
        (2 - beta) / beta * one for one in (2, 1, Q(6, 11), Q(3, 10))
    ]
    assert [MomentumRule.ghvb(order, beta).real_limit for order in (1, 2, 3, 4, 5)] == [
        2 * (2 - beta) / beta,
        2 - beta,
        6 * (2 - beta) / (12 - beta),
        3 * (2 - beta) / (11 - beta),
        90 * (2 - beta) / (600 - 49 * beta),
    ]


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_towards_no_damping_it_is_the_limit_of_the_order_below(order):
    assert MomentumRule.ghvb(order, 1e-9).real_limit == pytest.approx(MomentumRule.ghvb(order - 1, 1.0).real_limit)


@pytest.mark.parametrize("family", RULES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("beta", [1.0, 0.8])
def test_locus(family, order, beta):
    rule = RULES[family](order, beta)
    weights = np.array(rule.weights)
    for angle in np.linspace(0.1, np.pi, 20):
        z, root = rule.locus(angle), np.exp(1j * angle)
        slopes = sum(weight * root ** (1 - i) for i, weight in enumerate(weights))
        assert abs((root - 1.0) * (root - 1.0 + beta) - z * slopes) < 1e-12
        assert rule.largest_root(z) >= 1.0 - 1e-9
    assert rule.locus(np.pi) == pytest.approx(-rule.real_limit)


def test_rule_is_what_the_sampler_does():
    """On a grid of equal steps the weights of a plan are those of the rule."""
    found = nodes(kt.diffusion.Rho(1), t1().problem.schedule, 9, 5.0, 0.05)
    step = float(found.kappa[1] - found.kappa[0])
    for sampler, rule in (
        (kt.GHVB(3, 0.7), MomentumRule.ghvb(3, 0.7)),
        (kt.HeavyBall(kt.PLMS(3), 0.7), MomentumRule.heavy_ball(3, 0.7)),
    ):
        move = sampler.plan(found).fixed().moves[-1]
        assert [move.states[8], move.states[7]] == pytest.approx([2.0 - 0.7, 0.7 - 1.0])
        assert [move.predictions["noise"][8 - i] / step for i in range(3)] == pytest.approx(rule.weights)


def grows(order, h, mu):
    """Whether the corrected rule of a sampler grows on ``D = -mu x / alpha``, from the eigenvalues of its step."""
    found = kt.diffusion.Nodes.at(kt.diffusion.VE(1e-30, 1.0), 1.0 - h * np.arange(8) / (30.0 * np.log(10.0)))
    moves = kt.ExponentialMultistep(order, corrector=True).plan(found).fixed().moves
    predictor, corrector = moves[-3], moves[-2]  # of the last step but one; the last has no corrector
    guess = len(moves) - 2
    past = [guess - 2 - 2 * j for j in range(order)]
    rows = np.zeros((order + 1, order + 1))  # of the state and of the guesses, newest first
    (kept,) = predictor.states.values()
    weights = predictor.predictions["data"]
    rows[1] = [kept, *(-mu * weights.get(one, 0.0) for one in past)]
    weights = corrector.predictions["data"]
    rows[0] = [kept, *(-mu * weights.get(one, 0.0) for one in past)] - mu * weights[guess] * rows[1]
    for j in range(2, order + 1):
        rows[j, j - 1] = 1.0
    return np.abs(np.linalg.eigvals(rows)).max() > 1.0


@pytest.mark.parametrize("h", [0.2, 0.6, 1.2])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_limit_of_feedback_with_a_corrector(order, h):
    limit = corrected_limit(order, h)
    assert not any(grows(order, h, share * limit) for share in (0.1, 0.5, 0.999))
    assert grows(order, h, 1.001 * limit)
