"""Tsallis-INF: the probabilities are a minimiser, choices do not depend on units, and regret falls."""

import numpy as np
import pytest

import kutta as kt
from kutta.solvers.algebra.tuning.tsallis_inf import least_regret
from tests.solvers.algebra.tuning._games import play, tuner_of


def coin_tosses(rounds, means, seed=0):
    return np.random.default_rng(seed).binomial(20, np.array(means) / 20, (rounds, len(means)))


@pytest.mark.parametrize("count", [1, 2, 20, 500])
@pytest.mark.parametrize("eta", [2.0, 0.1, 1e-3])
@pytest.mark.parametrize("spread", [0.0, 1.0, 1e6])
def test_the_probabilities_are_the_minimiser(count, eta, spread):
    losses = spread * np.random.default_rng(0).random(count)
    p = least_regret(losses, eta)
    assert p.min() > 0.0 and p.sum() == pytest.approx(1.0, abs=1e-14)
    # The derivative of <losses, p> - (4 / eta) sum sqrt(p) is the same in all directions.
    slope = losses - 2.0 / (eta * np.sqrt(p))
    assert np.ptp(slope) <= 1e-11 * np.abs(slope).max()
    assert np.argmin(losses) == np.argmax(p) or spread == 0.0


def test_no_other_probabilities_are_better():
    generator, losses = np.random.default_rng(1), np.array([3.0, 1.0, 2.0, 2.5])

    def objective(p):
        return losses @ p - 4.0 / 0.3 * np.sqrt(p).sum()

    others = generator.dirichlet(np.ones(4), 1000)
    assert objective(least_regret(losses, 0.3)) < min(map(objective, others))


def test_equal_losses_are_equally_probable():
    assert least_regret(np.full(7, 12.3), 0.5) == pytest.approx(np.full(7, 1 / 7), abs=1e-15)


@pytest.mark.parametrize("least", [None, 0.0])
def test_costs_are_estimated_without_bias(least):
    # One step from equal probabilities: the mean over choices of what is added is the cost itself.
    strategy, costs = kt.algebra.TsallisINF(least), np.array([4.0, 9.0, 5.0])
    state = strategy.learn(strategy.begin(3), kt.algebra.Play(0, 0.2, None, 3.0))
    p = strategy.probabilities(state, None)
    added = np.zeros(3)
    for i in range(3):
        after = strategy.learn(state, kt.algebra.Play(i, p[i], None, costs[i]))
        added += p[i] * (np.array(after["sums"]) - np.array(state["sums"]))
    assert added == pytest.approx(costs - (3.0 if least is None else least), rel=1e-12)


def test_choices_do_not_depend_on_the_units_of_costs():
    costs = coin_tosses(300, [4.0, 6.0, 8.0])
    wanted, probabilities = choices(costs)
    for scale, shift in ((2.0**-20, 0.0), (8.0, 256.0), (1.0, -64.0)):
        made, found = choices(scale * costs + shift)
        assert made == wanted and found == pytest.approx(probabilities, rel=1e-4)


def choices(costs):
    tuner, made = tuner_of(costs), []
    for row in costs:
        made.append(tuner.suggest())
        tuner.report(row[made[-1]])
    return made, tuner.probabilities().numpy()


def test_regret_falls():
    means = [4.0, 6.0, 8.0, 8.0, 10.0]

    def regret(rounds):
        trials = [play(tuner_of(costs, seed=seed), costs) / rounds - 4.0 for seed, costs in games(rounds)]
        return np.mean(trials)

    def games(rounds):
        return [(seed, coin_tosses(rounds, means, seed)) for seed in range(4)]

    uniform = np.mean(means) - 4.0
    few, some, many = regret(50), regret(400), regret(3200)
    # Of T rounds in all it is of the order of sqrt(T) or less, so that that of one falls by sqrt(8) in the end.
    assert few < uniform and some < few / 2 and many < some / 2


def test_the_best_of_the_whole_time_is_found_where_it_changes():
    # Value 0 is best for a third of the time, and value 1 for the rest.
    costs = np.where(np.arange(6000)[:, None] < 2000, [[2.0, 6.0, 9.0]], [[6.0, 2.0, 9.0]])
    costs = costs + np.random.default_rng(0).random(costs.shape)
    totals = [play(tuner_of(costs, seed=seed), costs) for seed in range(5)]
    assert np.mean(totals) < 1.05 * costs.sum(0).min()


def test_least_is_a_number():
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="least must be finite"):
            kt.algebra.TsallisINF(wrong)
    with pytest.raises(TypeError, match="least must be a number"):
        kt.algebra.TsallisINF("one")


def test_costs_below_the_least_are_refused():
    tuner = kt.algebra.Tuner(["a", "b"], kt.algebra.TsallisINF(least=5.0))
    tuner.suggest()
    with pytest.raises(ValueError, match=r"cost must be at least least=5.*got 1"):
        tuner.report(1.0)
    tuner.report(5.0)
