"""Training runs that are killed, for tests of what goes on after them: they have a folder, and say each step."""

import itertools
import signal
import subprocess
import sys

import pytest
import torch


class Killed(Exception):
    """What stops a run in the same process."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums in the same order in every run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def killed_within(train, step, folder, **options):
    """Stop ``train(folder, on_step)`` in a step, counted from 1."""
    calls = itertools.count(1)

    def stop():
        if next(calls) == step:
            raise Killed

    with pytest.raises(Killed):
        train(folder, stop, **options)


def killed_by_the_system(module, folder, step):
    """Run a module as a program, which prints a line a step, and kill it after so many."""
    with subprocess.Popen([sys.executable, "-m", module, str(folder)], stdout=subprocess.PIPE, text=True) as child:
        for _ in itertools.islice(child.stdout, step):
            pass
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
