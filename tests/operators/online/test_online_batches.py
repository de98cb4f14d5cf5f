"""Batches from running solvers: the same in every run, or from processes that end when they are told to."""

import time

import pytest
import torch

import kutta as kt
from kutta.operators.online import InProcesses, InTurn, OnlineBatches, Reservoir

FAMILY = kt.operators.data.Family(
    kt.operators.data.darcy(points=8).draw, ("coefficient",), kt.Multigrid(), {"rtol": 1e-8}, name="small"
)


def draw_nothing(count, generator):
    raise RuntimeError("out of problems")


def in_turn(length=5, seed=0):
    return OnlineBatches(InTurn(FAMILY, seed, batch=3), Reservoir(12, 4, seed), size=4, fresh=2, length=length)


def assert_same(first, second):
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


def test_in_turn_every_run_sees_the_same():
    first, second = list(in_turn()), list(in_turn())
    assert len(first) == 5 and first[0][0].shape == (4, 1, 8, 8)
    for one, other in zip(first, second, strict=True):
        assert_same(one, other)
    assert not torch.equal(first[-1][0], list(in_turn(seed=1))[-1][0])


def test_in_turn_a_run_goes_on_as_if_nothing_had_happened():
    whole, begun, again = in_turn(9), in_turn(4), in_turn(5)
    expected = list(whole)
    list(begun)
    again.load_state_dict(begun.state_dict())
    for one, other in zip(again, expected[4:], strict=True):
        assert_same(one, other)


def test_samples_are_solutions():
    grid = kt.pde.Grid((8, 8), boundary=kt.pde.Dirichlet())
    for a, u in in_turn(2):
        exact = kt.solve(kt.pde.Darcy(a[:, 0].double()).problem(grid, 1.0), rtol=1e-10).y1
        torch.testing.assert_close(u[:, 0].double(), exact, rtol=1e-5, atol=1e-8)


def test_processes_solve_while_others_train():
    batches = OnlineBatches(InProcesses(FAMILY, workers=2, batch=3), Reservoir(12, 6), size=4, length=4, timeout=120.0)
    try:
        shapes = [tuple(a.shape) for a, _ in batches]
        assert shapes == [(4, 1, 8, 8)] * 4 and batches.reservoir.made >= 6
    finally:
        started = time.monotonic()
        batches.close()
    assert time.monotonic() - started < 20.0
    assert not any(one.is_alive() for one in batches.producer._workers)


def test_a_process_that_fails_is_told_of():
    family = kt.operators.data.Family(draw_nothing, ("coefficient",), name="empty")
    batches = OnlineBatches(InProcesses(family), Reservoir(4, 2), size=2, length=2, timeout=120.0)
    try:
        with pytest.raises(RuntimeError, match="a process that solves has failed: RuntimeError: out of problems"):
            list(batches)
    finally:
        batches.close()


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
        OnlineBatches(InTurn(FAMILY), Reservoir(4), **({"size": 2} | {name: 0}))
    with pytest.raises(ValueError, match="workers must be at least 1; got 0"):
        InProcesses(FAMILY, workers=0)
