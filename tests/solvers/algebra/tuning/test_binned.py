"""A bandit for each bin."""

import numpy as np
import pytest

import kutta as kt
from tests.solvers.algebra.tuning._games import play, tuner_of


def test_one_bin_is_the_bandit_without_context():
    costs = np.random.default_rng(0).integers(1, 20, (200, 5))
    alone = tuner_of(costs, seed=3)
    binned = tuner_of(costs, kt.algebra.Binned(0.0, 1.0, bins=1), seed=3)
    assert play(alone, costs) == play(binned, costs, np.linspace(0.0, 1.0, 200))


def test_bins_learn_nothing_of_each_other():
    tuner = kt.algebra.Tuner("ab", kt.algebra.Binned(0.0, 1.0, bins=4))
    for _ in range(50):
        tuner.report(1.0 if tuner.suggest(0.3) == "a" else 2.0)
    assert tuner.probabilities(0.26)[0] == tuner.probabilities(0.49)[0] > 0.8
    for other in (0.0, 0.24, 0.5, 1.0):
        assert tuner.probabilities(other).tolist() == [0.5, 0.5]


def test_the_ends_belong_to_the_last_bins():
    tuner = kt.algebra.Tuner("ab", kt.algebra.Binned(-1.0, 2.0, bins=3))
    for context in (-1.0, 2.0):
        tuner.suggest(context)
        tuner.report(1.0)
    assert [one["rounds"] for one in tuner.state_dict()["learned"]["bins"]] == [1, 0, 1]


def test_options_are_checked():
    with pytest.raises(ValueError, match="bins must be a whole number of at least 1"):
        kt.algebra.Binned(0.0, 1.0, bins=0)
    with pytest.raises(TypeError, match=r"strategy of the bins must be such as kutta.algebra.TsallisINF\(\)"):
        kt.algebra.Binned(0.0, 1.0, strategy=kt.algebra.ChebyshevBandit(0.0, 1.0))
