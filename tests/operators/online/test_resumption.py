"""Training on samples that are made meanwhile, killed and called again, ends like a run that was left alone."""

import itertools
import signal
import subprocess
import sys

import pytest
import torch

pytest.importorskip("pytorch_lightning", reason="the extra training is not installed")

from tests.operators.online._resumable import EVERY, LENGTH, train


class Killed(Exception):
    """What stops a run in the same process."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(one_thread):
    return train()


def killed_at(step, folder):
    calls = itertools.count(1)

    def stop():
        if next(calls) == step:
            raise Killed

    with pytest.raises(Killed):
        train(folder, stop)


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
    arguments = [sys.executable, "-m", "tests.operators.online._resumable", str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        for _ in itertools.islice(child.stdout, 2 * LENGTH - 2):
            pass
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    weights, history = train(tmp_path)
    assert torch.equal(weights, undisturbed[0]) and history == undisturbed[1]


def test_a_finished_run_can_be_prolonged(undisturbed, tmp_path):
    train(tmp_path, steps=13)
    weights, _ = train(tmp_path)
    assert torch.equal(weights, undisturbed[0])
