"""Batches are a partition of the rows, in an order that the seed decides and that can be resumed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kutta.training import Batches


@given(rows=st.integers(1, 40), size=st.integers(1, 45), seed=st.integers(0, 2**40))
def test_an_epoch_is_a_partition(rows, size, seed):
    batches = Batches(torch.arange(rows), size, seed)
    taken = list(batches)
    assert len(taken) == len(batches) and all(len(batch) == size for batch in taken[:-1])
    assert sorted(torch.cat(taken).tolist()) == list(range(rows))


@given(rows=st.integers(2, 30), size=st.integers(1, 10), epoch=st.integers(0, 3), data=st.data())
def test_it_goes_on_where_it_stood(rows, size, epoch, data):
    whole, other = Batches(torch.arange(rows), size), Batches(torch.arange(rows), size)
    for _ in range(epoch):
        list(whole)
    position = data.draw(st.integers(1, len(whole)))
    iterator = iter(whole)
    for _ in range(position):
        next(iterator)
    other.load_state_dict(whole.state_dict())
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(iterator, other, strict=True))
        iterator = iter(whole)


def test_epochs_and_seeds_differ():
    batches = Batches(torch.arange(100), 100)
    first, second = next(iter(batches)), next(iter(batches))
    assert not torch.equal(first, second)
    assert torch.equal(first, next(iter(Batches(torch.arange(100), 100))))
    assert not torch.equal(first, next(iter(Batches(torch.arange(100), 100, seed=1))))


def test_rows_stay_together():
    x = torch.randn(10, 3)
    for a, b in Batches((x, 2.0 * x), 4):
        assert torch.equal(2.0 * a, b)


@pytest.mark.parametrize("tensors", [(torch.ones(3), torch.ones(4)), torch.ones(0, 2), ()])
def test_rows_must_match(tensors):
    with pytest.raises(ValueError, match="tensors must have the same number of rows"):
        Batches(tensors, 2)


def test_size_must_be_positive():
    with pytest.raises(ValueError, match="size must be at least one row; got 0"):
        Batches(torch.ones(3), 0)
