"""Costs as polynomials of a context: the fit, the probabilities, and relaxations by Young's theory."""

import numpy as np
import pytest

import kutta as kt
from kutta.solvers.algebra.tuning.chebyshev_bandit import RIDGE, fit
from tests.solvers.algebra.tuning._games import OMEGAS, best_relaxation, drawn_shifts, play, radius, sweeps, tuner_of

COARSE = [0, 4, 8, 12, 16]


def observations(count, terms=6):
    generator = np.random.default_rng(count)
    rows, costs = generator.standard_normal((count, terms)), 10.0 * generator.standard_normal(count)
    return rows.T @ rows, rows.T @ costs


@pytest.mark.parametrize("count", [0, 1, 4, 50])
@pytest.mark.parametrize("bound", [1e-3, 0.5, 1e3])
def test_the_fit_is_the_least_within_its_bounds(count, bound):
    squares, products = observations(count)
    bounds = bound / np.arange(1.0, 7.0)
    a = fit(squares, products, bounds)
    slope = (squares + RIDGE * np.eye(6)) @ a - products
    free, tolerance = np.abs(a) < bounds * (1 - 1e-9), 1e-7 * (1.0 + np.abs(products).max())
    assert (np.abs(a) <= bounds * (1 + 1e-12)).all()
    # The slope is zero inside, and points out of the box at its sides.
    assert (np.abs(slope[free]) <= tolerance).all() and (slope[~free] * np.sign(a[~free]) <= tolerance).all()


def test_what_cannot_differ_is_constant():
    a = fit(*observations(3), np.array([5.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert np.abs(a[1:]).max() < 1e-100


def test_a_smooth_cost_is_learned():
    strategy = kt.algebra.ChebyshevBandit(-2.0, 3.0)
    state, contexts = strategy.begin(1), np.linspace(-2.0, 3.0, 200)
    for c in contexts:
        state = strategy.learn(state, kt.algebra.Play(0, 1.0, c, 20.0 + 5.0 * np.exp(-0.5 * c)))
    z = (2.0 * contexts - 1.0) / 5.0
    found = np.polynomial.chebyshev.chebval(z, state["coefficients"][0])
    assert found == pytest.approx(20.0 + 5.0 * np.exp(-0.5 * contexts), rel=2e-3)


def test_the_probabilities_are_inverse_to_the_gaps():
    strategy = kt.algebra.ChebyshevBandit(0.0, 1.0, terms=1, greed=2.0)
    state = strategy.begin(3)
    for _ in range(400):
        for i, cost in enumerate((10.0, 12.0, 20.0)):
            state = strategy.learn(state, kt.algebra.Play(i, 1.0, 0.5, cost))
    p = strategy.probabilities(state, 0.5)
    eta = 2.0 * 1200 / (14.0 - 10.0)
    assert p[1:] == pytest.approx([1 / (3 + 2 * eta), 1 / (3 + 10 * eta)], rel=1e-3)
    assert p.sum() == pytest.approx(1.0, abs=1e-14) and p[0] > 0.99


def test_every_value_is_tried():
    costs = np.random.default_rng(0).uniform(5.0, 6.0, (60, 20))
    tuner, tried = tuner_of(costs, kt.algebra.ChebyshevBandit(0.0, 1.0)), set()
    for row in costs:
        tried.add(tuner.suggest(0.3))
        tuner.report(row[max(tried)])
    assert len(tried) == 20


def test_the_best_relaxation_is_found_for_every_shift():
    shifts = drawn_shifts(2.0, 6.0, 3000)
    costs, tuner = sweeps(shifts), kt.algebra.Tuner(OMEGAS, kt.algebra.ChebyshevBandit(-0.15, 0.45))
    for c, row in zip(shifts, costs, strict=True):
        tuner.report(row[np.searchsorted(OMEGAS, tuner.suggest(c))])
    for c in (-0.05, 0.0, 0.1, 0.2):
        assert abs(tuner.favourite(c) - best_relaxation(radius(c))) < 0.1


@pytest.mark.parametrize("name, alpha, beta", [("wide", 0.5, 1.5), ("narrow", 2.0, 6.0)], ids=["wide", "narrow"])
def test_tuners_among_fixed_relaxations(name, alpha, beta):
    shifts = drawn_shifts(alpha, beta, 5000)
    costs = sweeps(shifts)
    fixed = costs.sum(0)
    best_of_all = costs.min(1).sum()
    without = play(tuner_of(costs, kt.algebra.TsallisINF(1.0)), costs)
    binned = play(tuner_of(costs, kt.algebra.Binned(-0.15, 0.45)), costs, shifts)
    smooth = play(tuner_of(costs, kt.algebra.ChebyshevBandit(-0.15, 0.45)), costs, shifts)
    # Of the relaxations 1, 1.2, 1.4, 1.6 and 1.8, only the best is better than a bandit that knows no shift.
    assert (fixed[COARSE] < without).sum() == 1
    # Who knows the shift is better than the best of all twenty.
    assert best_of_all < smooth < 0.85 * fixed.min() and smooth < binned < fixed.min()


def test_options_are_checked():
    for wrong, why in (
        ({"low": 1.0, "high": 1.0}, "low must be less than high"),
        ({"low": 0.0, "high": float("nan")}, "high must be finite"),
        ({"low": 0.0, "high": 1.0, "terms": 0}, "terms must be a whole number of at least 1"),
        ({"low": 0.0, "high": 1.0, "greed": 0.0}, "greed must be positive"),
    ):
        with pytest.raises(ValueError, match=why):
            kt.algebra.ChebyshevBandit(**wrong)
