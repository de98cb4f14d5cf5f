"""Training on samples that are made meanwhile, killed and called again, ends like a run that was left alone."""

from functools import partial

import pytest
import torch

pytest.importorskip("pytorch_lightning", reason="the extra training is not installed")

from tests._killing import killed_by_the_system, killed_within, one_thread  # noqa: F401
from tests.operators.online._resumable import EVERY, LENGTH, train

killed_at = partial(killed_within, train)


@pytest.fixture(scope="module")
def undisturbed(one_thread):  # noqa: F811
    return train()


@pytest.mark.parametrize("step", [2, EVERY + 1, LENGTH, LENGTH + 1, LENGTH + 2, 2 * LENGTH + 1])
def test_killed_anywhere_in_an_epoch(undisturbed, tmp_path, step):
    killed_at(step, tmp_path)
    weights, history = train(tmp_path)
    assert torch.equal(weights, undisturbed[0]) and history == undisturbed[1]


def test_killed_again_and_again(undisturbed, tmp_path):
    for _ in range(4):
        killed_at(EVERY + 2, tmp_path)
    weights, history = train(tmp_path)
    assert torch.equal(weights, undisturbed[0]) and history == undisturbed[1]


@pytest.mark.slow
def test_killed_by_the_system(undisturbed, tmp_path):
    killed_by_the_system("tests.operators.online._resumable", tmp_path, 2 * LENGTH - 2)
    weights, history = train(tmp_path)
    assert torch.equal(weights, undisturbed[0]) and history == undisturbed[1]


def test_a_finished_run_can_be_prolonged(undisturbed, tmp_path):
    train(tmp_path, steps=13)
    weights, _ = train(tmp_path)
    assert torch.equal(weights, undisturbed[0])
