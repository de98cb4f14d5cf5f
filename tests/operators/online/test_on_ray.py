"""Samples from tasks of Ray: those of InTurn in their order, never too many, and an end without traces."""

import subprocess
import sys
import time
from itertools import islice

import pytest
import torch

from kutta.operators.data import Family
from kutta.operators.online import OnlineBatches, OnRay, Reservoir
from kutta.operators.online.stream import Stream
from tests.operators.online._families import EMPTY, SMALL


@pytest.fixture(scope="module")
def ray():
    """A Ray of the user's, with one processor."""
    module = pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        module.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield module
    module.shutdown()


def batches_of(family=SMALL, length=6, workers=1, **options):
    producer = OnRay(family, workers, batch=3, **options)
    return OnlineBatches(producer, Reservoir(12, 4), size=4, length=length, timeout=120.0)


def first_inputs(reservoir):
    return torch.stack([a for a, _ in reservoir._samples])


def wait_for(condition):
    until = time.monotonic() + 120.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'OnRay needs ray: pip install "kutta\[ray\]"'):
        OnRay(SMALL)


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        OnRay(SMALL, workers=0)


@pytest.mark.slow
def test_samples_are_those_of_in_turn_and_stop_where_there_is_no_room(ray):
    with batches_of(seed=2) as batches:
        batches.producer.fill(batches.reservoir, 1)
        wait_for(lambda: len(batches.reservoir) == 12)
        expected = torch.stack([a for a, _ in islice(Stream(SMALL, 2, 3, torch.float32).samples(), 12)])
        assert torch.equal(first_inputs(batches.reservoir), expected)
        time.sleep(0.5)
        assert batches.reservoir.made == 12
        assert [tuple(a.shape) for a, _ in batches] == [(4, 1, 8, 8)] * 6
    assert ray.is_initialized()


@pytest.mark.slow
def test_no_more_tasks_are_under_way_than_asked_for(ray):
    """What solves says so to an actor, which counts what was solved and not taken."""

    @ray.remote(num_cpus=0)
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1

        def get(self):
            return self.count

    counter = Counter.remote()

    def draw(count, generator):
        ray.get(counter.add.remote())
        return SMALL.draw(count, generator)

    family = Family(draw, SMALL.inputs, SMALL.method, SMALL.options, name="counted")
    with batches_of(family, workers=2) as batches:
        batches.producer.fill(batches.reservoir, 1)
        wait_for(lambda: len(batches.reservoir) == 12)
        time.sleep(1.0)
        # Four batches are in the reservoir, one waits for room in it, and twice two tasks are done or under way.
        assert ray.get(counter.get.remote()) <= 4 + 1 + 4


@pytest.mark.slow
def test_a_run_goes_on_after_the_samples_that_it_had(ray):
    with batches_of() as first:
        list(first)
        state = first.state_dict()
    with batches_of() as second:
        second.load_state_dict(state)
        before = second.reservoir.made
        while second.reservoir.made < before + 4:
            list(second)
    known = {float(a.sum()) for a, _ in state["reservoir"]["samples"]}
    stream = Stream(SMALL, 0, 3, torch.float32)
    following = {float(a.sum()) for a, _ in islice(stream.samples(before), second.reservoir.made - before)}
    assert {float(a.sum()) for a in first_inputs(second.reservoir)} - known <= following
    assert second.state_dict()["producer"]["made"] == [second.reservoir.made]


@pytest.mark.slow
def test_a_task_that_fails_is_told_of_with_the_seed_of_its_samples(ray):
    match = "^a task of Ray has failed: batch 0 of seed 5, with 3 problems: RuntimeError: out of problems$"
    with batches_of(EMPTY, seed=5) as batches, pytest.raises(RuntimeError, match=match):
        list(batches)
    assert ray.is_initialized()


@pytest.mark.slow
def test_closed_ones_make_no_more_and_leave_the_processors_free(ray):
    def draw(count, generator):
        time.sleep(600.0)

    batches = batches_of(Family(draw, ("coefficient",), name="slow"))
    batches.producer.fill(batches.reservoir, 1)
    wait_for(lambda: ray.available_resources().get("CPU", 0.0) == 0.0)
    batches.close()
    batches.close()
    wait_for(lambda: ray.available_resources().get("CPU", 0.0) == 1.0)
    with pytest.raises(RuntimeError, match="a task of Ray was closed: make another producer"):
        list(batches)


@pytest.mark.slow
def test_an_address_is_refused_where_there_is_a_ray_already(ray):
    with pytest.raises(ValueError, match="connected to a Ray already: leave address='auto' out"):
        OnRay(SMALL, address="auto")


# Two producers share what the first one starts, or joins; an interrupt comes while one of them is used.
PROGRAM = """
import os, signal, sys
import ray
from kutta.operators.online import OnlineBatches, OnRay, Reservoir
from tests.operators.online._families import SMALL

address = sys.argv[1] if len(sys.argv) > 1 else None
other = OnRay(SMALL) if address is None else OnRay(SMALL, address=address)
try:
    with OnlineBatches(OnRay(SMALL, batch=3), Reservoir(12, 4), size=4, timeout=120.0) as batches:
        for _ in batches:
            os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", ray.is_initialized())
other.close()
print("closed", ray.is_initialized())
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=120.0)


@pytest.mark.slow
def test_one_of_its_own_ends_with_the_last_that_uses_it():
    pytest.importorskip("ray", reason="the extra ray is not installed")
    found = run()
    assert found.stdout.splitlines() == ["interrupted True", "closed False"], found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_a_cluster_is_joined_by_its_address_and_left_as_it_was(ray):
    found = run(ray.get_runtime_context().gcs_address)
    assert found.stdout.splitlines() == ["interrupted True", "closed False"], found.stderr
    assert ray.get(ray.remote(lambda: 3).remote()) == 3
