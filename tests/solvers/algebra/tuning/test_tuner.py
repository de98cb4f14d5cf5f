"""The tuner: any values, the same choices from the same seed, exact saving, and wrong use."""

import json

import numpy as np
import pytest
import torch

import kutta as kt
from tests._helpers import F64
from tests.solvers.algebra._systems import laplacian, random, solved

CONTEXTUAL = (kt.algebra.ChebyshevBandit(0.0, 1.0), kt.algebra.Binned(0.0, 1.0))
STRATEGIES = (kt.algebra.TsallisINF(), *CONTEXTUAL)
NAMES = ["tsallis", "chebyshev", "binned"]


def rounds(tuner, first, last, contextual):
    """Choices over some rounds whose costs depend on choice, context and round."""
    made = []
    for k in range(first, last):
        context = (0.618 * k) % 1.0
        made.append(tuner.suggest(context if contextual else None))
        tuner.report(1.0 + (made[-1] - 5.0 * context) ** 2 + k % 3)
    return made


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_the_same_seed_makes_the_same_choices(strategy):
    contextual = strategy in CONTEXTUAL
    one, other = (rounds(kt.algebra.Tuner(range(6), strategy, 4), 0, 80, contextual) for _ in range(2))
    assert one == other
    assert one != rounds(kt.algebra.Tuner(range(6), strategy, 5), 0, 80, contextual)


@pytest.mark.parametrize("waiting", [False, True], ids=["between", "waiting"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_a_tuner_goes_on_exactly_from_a_file(strategy, waiting, tmp_path):
    contextual = strategy in CONTEXTUAL
    tuner = kt.algebra.Tuner(range(6), strategy, seed=7)
    rounds(tuner, 0, 40, contextual)
    if waiting:
        tuner.suggest(0.5 if contextual else None)
    (tmp_path / "tuner.json").write_text(json.dumps(tuner.state_dict(), allow_nan=False))
    again = kt.algebra.Tuner(range(6), strategy)
    again.load_state_dict(json.loads((tmp_path / "tuner.json").read_text()))
    for one in (tuner, again) if waiting else ():
        one.report(3.0)
    assert rounds(tuner, 41, 90, contextual) == rounds(again, 41, 90, contextual)
    assert tuner.state_dict() == again.state_dict() and again.rounds == 89 + waiting


def test_a_state_is_a_copy():
    tuner = kt.algebra.Tuner(range(3))
    state = tuner.state_dict()
    rounds(tuner, 0, 5, False)
    assert state["rounds"] == 0 and state["learned"]["sums"] == [0.0, 0.0, 0.0]
    later = tuner.state_dict()
    later["learned"]["sums"][0] = 1e9
    assert tuner.state_dict()["learned"]["sums"][0] < 1e9


def test_any_values():
    thing = object()
    assert kt.algebra.Tuner([thing]).suggest() is thing
    assert kt.algebra.Tuner("V").suggest() == "V"
    assert type(kt.algebra.Tuner(torch.linspace(1.0, 1.9, 3)).suggest()) is float
    assert type(kt.algebra.Tuner(np.array([2, 3])).suggest()) is int


def test_choices_follow_the_probabilities():
    drawn = [kt.algebra.Tuner(range(4), seed=seed).suggest() for seed in range(2000)]
    assert np.bincount(drawn) / 2000 == pytest.approx(np.full(4, 0.25), abs=0.04)


def test_costs_and_contexts_of_one_entry_are_numbers():
    tuner = kt.algebra.Tuner([1, 2], kt.algebra.Binned(0.0, 1.0))
    for context, cost in (
        (torch.tensor(0.5), torch.tensor([3])),
        (np.float32(0.5), np.int64(3)),
        (np.array([0.5]), np.array(3.0)),
    ):
        tuner.suggest(context)
        tuner.report(cost)
    assert tuner.rounds == 3 and json.dumps(tuner.state_dict())


def test_a_relaxation_is_learned_in_solves():
    operator, tuner = laplacian(30), kt.algebra.Tuner([1.0, 1.8], seed=1)
    steps = []
    for k in range(25):
        sol = solved(operator, random(30, seed=k), kt.CG(kt.SOR(tuner.suggest(), symmetric=True)), rtol=1e-8)
        tuner.report(sol.stats.steps)
        steps.append(sol.stats.steps)
    best = np.argmin([solved(operator, random(30), kt.CG(kt.SOR(w, True)), rtol=1e-8).stats.steps for w in (1.0, 1.8)])
    assert tuner.favourite() == (1.0, 1.8)[best] and np.mean(steps[-5:]) <= np.mean(steps[:5])


def test_a_failed_solve_has_a_cost():
    tuner = kt.algebra.Tuner([0.01, 1.0])
    for k in range(20):
        sol = solved(laplacian(10), random(10, seed=k), kt.SOR(tuner.suggest()), throw=False, max_steps=200, rtol=1e-6)
        tuner.report(sol.stats.steps)
    assert tuner.favourite() == 1.0


def test_suggestions_and_costs_take_turns():
    tuner = kt.algebra.Tuner([1, 2])
    with pytest.raises(RuntimeError, match="report\\(\\) needs a suggestion"):
        tuner.report(1.0)
    tuner.suggest()
    with pytest.raises(RuntimeError, match="suggest\\(\\) was called twice"):
        tuner.suggest()
    tuner.report(1.0)
    with pytest.raises(RuntimeError, match="report its cost once"):
        tuner.report(1.0)


def test_wrong_costs_are_refused_and_the_suggestion_waits():
    tuner = kt.algebra.Tuner([1, 2])
    tuner.suggest()
    for wrong in (float("nan"), float("inf"), torch.tensor(float("nan"))):
        with pytest.raises(ValueError, match="cost must be finite"):
            tuner.report(wrong)
    for wrong in (None, "3", b"3", True, torch.tensor(True), np.bool_(True), 1j, [1.0, 2.0], np.ones(2)):
        with pytest.raises(TypeError, match="cost must be"):
            tuner.report(wrong)
    with pytest.raises(ValueError, match=r"a tensor of shape \(3,\).*mean"):
        tuner.report(torch.ones(3, dtype=F64))
    assert tuner.rounds == 0
    tuner.report(3)
    assert tuner.rounds == 1


@pytest.mark.parametrize("strategy", CONTEXTUAL, ids=NAMES[1:])
def test_contexts_are_checked(strategy):
    tuner = kt.algebra.Tuner([1, 2], strategy)
    for wrong, error, why in (
        (None, ValueError, "context is missing"),
        (1.5, ValueError, "context must lie between 0 and 1; got 1.5"),
        (-1e-9, ValueError, "context must lie between"),
        (float("nan"), ValueError, "context must be finite"),
        ("high", TypeError, "context must be a number"),
        (b"0.5", TypeError, "context must be a number"),
        (np.bool_(True), TypeError, "context must be a number"),
        (torch.ones(2), TypeError, "context must be one number"),
    ):
        with pytest.raises(error, match=why):
            tuner.suggest(wrong)
    assert tuner.suggest(1.0) in (1, 2)
    with pytest.raises(ValueError, match="context means nothing to TsallisINF"):
        kt.algebra.Tuner([1, 2]).suggest(0.5)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="values must hold at least one value"):
        kt.algebra.Tuner([])
    for wrong in (kt.algebra.TsallisINF, "tsallis"):
        with pytest.raises(TypeError, match="strategy must be such as"):
            kt.algebra.Tuner([1], wrong)
    for wrong in (-1, 0.5, True):
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
            kt.algebra.Tuner([1], seed=wrong)


def test_a_state_of_another_tuner_is_refused():
    state = kt.algebra.Tuner(range(3), kt.algebra.Binned(0.0, 1.0)).state_dict()
    with pytest.raises(ValueError, match="its strategy is 'Binned"):
        kt.algebra.Tuner(range(3)).load_state_dict(state)
    for values in (range(4), [1, 2, 3], ["0", "1", "2"]):
        with pytest.raises(ValueError, match=r"its values is \[0, 1, 2\], here"):
            kt.algebra.Tuner(values, kt.algebra.Binned(0.0, 1.0)).load_state_dict(state)


@pytest.mark.parametrize(
    "path, wrong, message",
    [
        (("learned", "sums"), [1.0, 2.0], r"learned.sums must be a list of 3; got a list of 2"),
        (("learned", "sums", 1), float("nan"), r"learned.sums\[1\] must be finite; got nan"),
        (("learned", "sums", 1), "2", r"learned.sums\[1\] must be a number; got '2'"),
        (("learned", "rounds"), 2.5, "learned.rounds must be a whole number of at least 0; got 2.5"),
        (("learned", "smallest"), None, "learned.smallest must be one number; got None"),
        (("learned",), {"sums": [0.0] * 3}, "learned must have the keys rounds, sums, total, smallest; got sums"),
        (("learned",), None, "learned must have the keys .*; got None"),
        (("rounds",), -1, "rounds of the state must be a whole number"),
        (("seed",), "7", "seed of the state must be a whole number"),
        (("waiting",), {"choice": 1}, "waiting must have the keys choice, probability, context; got choice"),
        (("waiting", "choice"), 3, "waiting must name one of 3 choices"),
        (("waiting", "probability"), 0.0, "a probability above 0"),
        (("waiting", "context"), 0.5, "context means nothing to TsallisINF"),
    ],
)
def test_a_state_that_is_damaged_is_refused_and_nothing_changes(path, wrong, message):
    tuner = kt.algebra.Tuner(range(3), seed=7)
    rounds(tuner, 0, 5, False)
    tuner.suggest()
    before, state = tuner.state_dict(), tuner.state_dict()
    *way, last = path
    part = state
    for key in way:
        part = part[key]
    part[last] = wrong
    with pytest.raises((TypeError, ValueError), match=message):
        tuner.load_state_dict(state)
    assert tuner.state_dict() == before


def test_what_is_no_state_is_refused():
    with pytest.raises(TypeError, match="state must be a dictionary such as state_dict\\(\\) gives; got list"):
        kt.algebra.Tuner(range(3)).load_state_dict([])
    with pytest.raises(ValueError, match="it lacks learned, rounds, seed, strategy, values, waiting"):
        kt.algebra.Tuner(range(3)).load_state_dict({})


class Cheapest(kt.algebra.Strategy):
    """A strategy of a user's own: whatever was cheapest when it was last tried."""

    def begin(self, count):
        return {"last": [0.0] * count}

    def probabilities(self, state, context):
        return np.eye(len(state["last"]))[int(np.argmin(state["last"]))]

    def learn(self, state, play):
        last = list(state["last"])
        last[play.choice] = play.cost
        return {"last": last}

    def __repr__(self):
        return "Cheapest()"


def test_a_strategy_of_ones_own():
    tuner = kt.algebra.Tuner([3.0, 1.0, 2.0], Cheapest())
    for _ in range(5):
        tuner.report(tuner.suggest())
    assert tuner.favourite() == 1.0


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_costs_that_would_overflow_are_refused(strategy):
    tuner, context = kt.algebra.Tuner(["a", "b"], strategy), None if strategy is STRATEGIES[0] else 0.5
    for _ in range(50):
        chosen = tuner.suggest(context)
        with pytest.raises(ValueError, match="cost must lie between -1e150 and 1e150"):
            tuner.report(1e308)
        tuner.report(1e150 if chosen == "a" else 1e149)
    assert bool(torch.isfinite(tuner.probabilities(context)).all()) and tuner.favourite(context) == "b"
