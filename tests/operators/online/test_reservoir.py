"""The reservoir: no sample goes unused, none stays for ever, and nobody waits without need."""

import math
import threading

import pytest
import torch

from kutta.operators.online.reservoir import Reservoir


def sample(number):
    return (torch.tensor([float(number)]),)


def test_it_holds_no_more_than_its_capacity_and_drops_no_sample_that_was_not_used():
    reservoir, seen, put = Reservoir(10, 5, seed=0), set(), 0
    for _ in range(300):
        while reservoir.put(sample(put), timeout=0.0):
            put += 1
            assert len(reservoir) <= 10
        held = {float(one[0]) for one in reservoir._samples}
        assert held | seen == set(map(float, range(put)))  # all that is gone has been seen
        seen |= set(reservoir.batch(3)[0][:, 0].tolist())
    assert put > 200


@pytest.mark.parametrize("size", [8, 200])
def test_ages_in_batches_are_those_of_geometric_laws(size):
    """With a sample made for each batch of ``b``, a new one of ``n`` waits ``n / b`` turns for its first use.

    Then it is one of those that have been used, of which one goes a turn. So its life is the sum of two geometric
    times whose means add up to ``n``; for large batches of one. A batch sees ages as a passenger sees those of buses.
    """
    capacity, ages = 200, []
    reservoir = Reservoir(capacity, capacity, seed=1)
    for number in range(capacity):
        reservoir.put(sample(number))
    reservoir.batch(capacity)
    for number in range(capacity, 8_000):
        assert reservoir.put(sample(number), timeout=0.0)
        drawn = reservoir.batch(size)[0][:, 0]
        if number > 5 * capacity:
            ages.append(number - drawn)
    ages = torch.cat(ages)
    first = 1.0 / (1.0 - (1.0 - 1.0 / capacity) ** size)
    second = capacity - first
    assert float(ages.mean()) == pytest.approx((first**2 + second**2 + capacity**2) / (2.0 * capacity), rel=0.05)
    # The share of the rest of a life beyond n, for two exponential times.
    beyond = (second**2 * math.exp(-capacity / second) - first**2 * math.exp(-capacity / first)) / (
        second**2 - first**2
    )
    assert float((ages > capacity).float().mean()) == pytest.approx(beyond * (second + first) / capacity, rel=0.05)


def test_makers_wait_for_room_and_users_for_samples():
    reservoir = Reservoir(2, 2)
    assert reservoir.put(sample(0))
    with pytest.raises(TimeoutError, match=r"after 0\.01 s there were 1 samples of the 2 to begin"):
        reservoir.batch(1, timeout=0.01)
    assert reservoir.put(sample(1)) and not reservoir.put(sample(2), timeout=0.01)
    waiting = threading.Thread(target=reservoir.put, args=(sample(2),))
    waiting.start()
    reservoir.batch(1)
    waiting.join(timeout=5.0)
    assert not waiting.is_alive() and reservoir.made == 3 and len(reservoir) == 2


def test_in_the_end_each_sample_has_been_used():
    reservoir, seen = Reservoir(9, 9), set()
    for number in range(7):
        reservoir.put(sample(number))
    reservoir.close()
    assert not reservoir.put(sample(7))
    with pytest.raises(EOFError, match="each has been used"):
        while True:
            seen |= set(reservoir.batch(2)[0][:, 0].tolist())
    assert seen == set(map(float, range(7))) and reservoir.drawn == 8


def test_a_reservoir_goes_on_from_its_state():
    first, second = Reservoir(6, 3, seed=3), Reservoir(6, 3, seed=99)
    for number in range(6):
        first.put(sample(number))
    first.batch(4)
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        torch.testing.assert_close(first.batch(3), second.batch(3))
        assert first.put(sample(7)) and second.put(sample(7))
    assert (first.made, first.drawn) == (second.made, second.drawn)
    with pytest.raises(ValueError, match="the state holds 6 samples; the capacity is 5"):
        Reservoir(5).load_state_dict(first.state_dict())


@pytest.mark.parametrize("arguments", [(0,), (4, 5), (4, 0)])
def test_sizes_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r"must (be at least|lie between) 1"):
        Reservoir(*arguments)
