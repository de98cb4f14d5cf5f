"""Batches from running solvers: the same in every run, or from processes that end when they are told to."""

import dataclasses
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import kutta as kt
from kutta.operators.online import InProcesses, InTurn, OnlineBatches, Reservoir
from kutta.operators.online.stream import Stream
from tests.operators.online._families import EMPTY, LARGE, SMALL


def in_turn(length=5, seed=0):
    return OnlineBatches(InTurn(SMALL, seed, batch=3), Reservoir(12, 4, seed), size=4, fresh=2, length=length)


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


def test_in_turn_every_run_sees_the_same():
    first, second = list(in_turn()), list(in_turn())
    assert len(first) == 5 and first[0][0].shape == (4, 1, 8, 8)
    for one, other in zip(first, second, strict=True):
        assert_same(one, other)
    assert not torch.equal(first[-1][0], list(in_turn(seed=1))[-1][0])


def test_in_turn_an_interrupt_loses_no_sample():
    calls = itertools.count()

    def draw(count, generator):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return SMALL.draw(count, generator)

    family = dataclasses.replace(SMALL, draw=draw)
    batches = OnlineBatches(InTurn(family, 0, batch=3), Reservoir(12, 4, 0), size=4, fresh=2, length=5)
    found = []
    with pytest.raises(KeyboardInterrupt):
        for one in batches:
            found.append(one)
    for one, other in zip([*found, *batches], in_turn(5 + len(found)), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("taken", [1, 4, 8])
def test_in_turn_a_run_goes_on_as_if_nothing_had_happened(taken):
    expected, begun, again = list(in_turn(9)), in_turn(9), in_turn(9)
    for _ in itertools.islice(begun, taken):
        pass
    again.load_state_dict(begun.state_dict())
    for one, other in zip(again, expected[taken:], strict=True):
        assert_same(one, other)


def test_the_rest_of_an_epoch_comes_first():
    begun, again = in_turn(9), in_turn(9)
    for _ in itertools.islice(begun, 7):
        pass
    again.load_state_dict(begun.state_dict())
    assert [len(list(again)) for _ in range(3)] == [2, 9, 9]


def test_states_of_other_batches_are_refused():
    with pytest.raises(
        ValueError, match=r"the state is that of batches with .*'length': 5.* and these have .*'length': 6"
    ):
        in_turn(6).load_state_dict(in_turn(5).state_dict())
    with pytest.raises(ValueError, match=r"the state is that of samples from .*'seed': 1"):
        in_turn().load_state_dict(in_turn(seed=1).state_dict())


def test_a_state_holds_no_more_than_the_samples():
    batches = in_turn()
    list(batches)
    for sample in batches.state_dict()["reservoir"]["samples"]:
        assert all(one.untyped_storage().nbytes() == 4 * 64 for one in sample)


def test_samples_are_solutions():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    for a, u in in_turn(2):
        exact = kt.solve(kt.pde.Darcy(a[:, 0].double()).problem(grid, 1.0), rtol=1e-10).y1
        torch.testing.assert_close(u[:, 0].double(), exact, rtol=1e-5, atol=1e-8)


def in_processes(workers, length=4):
    return OnlineBatches(InProcesses(SMALL, workers, batch=3), Reservoir(12, 6), size=4, length=length, timeout=120.0)


def children():
    return {one.pid for one in multiprocessing.active_children()}


def test_processes_solve_while_others_train_and_all_of_them_end():
    before = children()
    with in_processes(2) as batches:
        shapes = [tuple(a.shape) for a, _ in batches]
        assert shapes == [(4, 1, 8, 8)] * 4 and batches.reservoir.made >= 6
        assert len(children() - before) == 2
        started = time.monotonic()
    assert time.monotonic() - started < 20.0
    assert children() == before


@pytest.mark.slow
def test_processes_make_the_samples_of_in_turn_and_go_on_after_them():
    expected = {float(a.sum()) for a, _ in itertools.islice(Stream(SMALL, 0, 3, torch.float32).samples(), 60)}
    with in_processes(1, length=2) as first:
        list(first)
        state = first.state_dict()
    held = {float(a.sum()) for a, _ in state["reservoir"]["samples"]}
    assert held <= expected
    with in_processes(1, length=2) as second:
        second.load_state_dict(state)
        while second.reservoir.made == state["reservoir"]["made"]:
            list(second)
        second.close()
        (made,), (before,) = second.state_dict()["producer"]["made"], state["producer"]["made"]
        assert made == second.reservoir.made > before == state["reservoir"]["made"]
        new = {float(a.sum()) for a, _ in second.reservoir._samples} - held
        samples = itertools.islice(Stream(SMALL, 0, 3, torch.float32).samples(), before, made)
        assert new <= {float(a.sum()) for a, _ in samples}
    with in_processes(2, length=2) as other, pytest.raises(ValueError, match="the state is that of samples from"):
        other.load_state_dict(state)


def test_a_process_that_fails_is_told_of_with_the_seed_of_its_samples():
    with OnlineBatches(InProcesses(EMPTY, seed=5), Reservoir(4, 2), size=2, length=2, timeout=120.0) as batches:
        match = "a process that solves has failed: batch 0 of seed 5, with 8 problems: RuntimeError: out of problems"
        with pytest.raises(RuntimeError, match=match):
            list(batches)


@pytest.mark.slow
def test_a_process_that_is_killed_is_told_of():
    before = children()
    ended = pytest.raises(RuntimeError, match="a process that solves has failed: it ended with exit code -9")
    with in_processes(1, length=10_000) as batches, ended:
        for _ in batches:
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
    assert children() == before


@pytest.mark.slow
@pytest.mark.parametrize(("family", "workers"), [(SMALL, 2), (LARGE, 1)], ids=["two", "large"])
def test_a_process_that_is_killed_while_it_waits_is_told_of(family, workers):
    """Large samples do not fit into a pipe, so that a process waits in the middle of one for others to be used."""
    before, until = children(), time.monotonic() + 45.0
    batches = OnlineBatches(InProcesses(family, workers, batch=4), Reservoir(1), size=1, length=10**9, timeout=60.0)
    with batches, pytest.raises(RuntimeError, match=r"solves has failed: it ended with exit code -9$"):
        taken = iter(batches)
        next(taken)
        time.sleep(1.0)
        os.kill(min(children() - before), signal.SIGKILL)
        for _ in taken:
            time.sleep(0.02)  # so that the other one always has samples
            assert time.monotonic() < until
    assert children() == before


# A run whose processes wait for room, until it is killed.
PROGRAM = """
import multiprocessing
from kutta.operators.online import InProcesses, OnlineBatches, Reservoir
from tests.operators.online._families import SMALL

next(iter(batches := OnlineBatches(InProcesses(SMALL, 2, batch=3), Reservoir(4, 2), size=2, timeout=120.0)))
print(*(one.pid for one in multiprocessing.active_children()), flush=True)
input()
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM], ids=lambda one: one.name)
def test_processes_end_with_one_that_is_killed(ending):
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        pids = list(map(int, run.stdout.readline().split()))
        assert len(pids) == 2
        run.send_signal(ending)
        run.wait(timeout=20.0)
        try:
            run.communicate(timeout=20.0)  # which ends when the last that can write has ended
        except subprocess.TimeoutExpired:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            raise


@pytest.mark.slow
def test_a_script_that_is_no_module_is_told_what_it_needs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join([os.getcwd(), *sys.path])
    options = {"env": {**os.environ, "PYTHONPATH": path}, "capture_output": True, "text": True, "timeout": 120.0}
    found = subprocess.run([sys.executable, script], stdin=subprocess.DEVNULL, **options)
    assert found.returncode == 1
    assert "exit code 1 before it solved anything: a script must keep what it does under if __name__" in found.stderr


def test_a_model_learns_from_them():
    torch.manual_seed(0)
    training = pytest.importorskip("kutta.training")
    network, grid = kt.operators.FNO(1, 1, (4, 4), width=4, layers=1), kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())

    def loss(model, batch, progress):
        a, u = batch
        return kt.operators.metrics.relative_l2(model(a / 12.0, grid), 100.0 * u, grid).mean()

    task = training.Task(network, loss, optimizer=lambda p: torch.optim.Adam(p, lr=0.01))
    figures = training.fit(task, in_turn(10), 40, progress=False)
    assert figures["loss"][-1] < 0.6 * figures["loss"][0]


@pytest.mark.parametrize("name", ["size", "fresh", "length"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1; got 0"):
        OnlineBatches(InTurn(SMALL), Reservoir(4), **({"size": 2} | {name: 0}))
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        InProcesses(SMALL, workers=0)
