"""Steps of a multistep method as moves of a plan."""

import math

import pytest
import torch

import kutta as kt
from kutta.solvers.diffusion.exponential.forms import FORMS
from kutta.solvers.diffusion.exponential.walk import Walk
from kutta.solvers.diffusion.plans.plan import Draft
from tests.solvers.diffusion.problems import F64

FLOW = kt.diffusion.Nodes.at(kt.diffusion.RectifiedFlow(), torch.tensor([1.0, 0.7, 0.4, 0.2, 0.0], dtype=F64))


def walk_along(times, form="data"):
    found = kt.diffusion.Nodes.at(kt.diffusion.RectifiedFlow(), torch.tensor(times, dtype=F64))
    return Walk(Draft(found), FORMS[form])


def test_a_prediction_uses_the_latest_ones():
    walk = walk_along([0.9, 0.7, 0.5, 0.3])
    for order in (1, 2, 2):
        walk.predict(order)
    moves = walk.draft.plan().moves
    assert [list(move.states) for move in moves] == [[0], [1], [2]]
    assert [list(move.predictions["data"]) for move in moves] == [[0], [0, 1], [1, 2]]
    assert walk.past == [0, 1, 2, 3]


def test_a_correction_starts_the_next_step_but_the_guess_predicts_for_it():
    walk = walk_along([0.9, 0.7, 0.5])
    walk.correct(1)
    walk.predict(2)
    plan = walk.draft.plan()
    guess, corrected, last = plan.moves
    assert list(guess.predictions["data"]) == [0] and list(corrected.predictions["data"]) == [0, 1]
    assert guess.level == corrected.level and list(corrected.states) == [0]
    assert list(last.states) == [2] and list(last.predictions["data"]) == [0, 1]
    assert plan.outputs == (0, 2, 3) and plan.evaluations == 2


@pytest.mark.parametrize("form", ["data", "noise"])
def test_edges_are_crossed_by_the_data(form):
    walk = Walk(Draft(FLOW), FORMS[form])
    assert [FLOW.regular(step) for step in range(4)] == [False, True, True, False]
    walk.cross()
    assert walk.past == [1]
    walk.predict(1)
    walk.predict(2)
    walk.cross()
    moves = walk.draft.plan().fixed().moves
    assert [list(move.predictions) for move in moves] == [["data"], [form], [form], ["data"]]
    assert moves[0].predictions["data"] == {0: pytest.approx(0.3)} and moves[0].states == {0: pytest.approx(0.7)}
    assert moves[-1].predictions["data"] == {3: 1.0} and moves[-1].states == {}
    assert all(math.isfinite(weight) for move in moves for weight in move.states.values())
