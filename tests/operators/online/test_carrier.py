"""What carries samples into a reservoir: it waits for room, ends when told to, and says what has failed."""

import time

import pytest
import torch

from kutta.operators.online.carrier import Carrier
from kutta.operators.online.reservoir import Reservoir
from kutta.operators.online.stream import Stream
from tests.operators.online._families import SMALL

STREAM = Stream(SMALL, 0, 2, torch.float32)


class Numbers:
    """Arrivals that count, fail where they are told to, and know whether they were closed."""

    def __init__(self, fails_at=None):
        self.fails_at, self.made, self.closed = fails_at, 0, False

    def __call__(self, made):
        self.made = made[0]
        try:
            while True:
                if self.made == self.fails_at:
                    raise OSError("no more")
                self.made += 1
                yield 0, (torch.tensor([float(self.made)]),)
        finally:
            self.closed = True


def wait_for(condition):
    until = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_one_sample_waits_where_there_is_no_room_and_closing_does_not():
    numbers, reservoir = Numbers(), Reservoir(4)
    carrier = Carrier(numbers, [STREAM], "a counter")
    carrier.into(reservoir)
    wait_for(lambda: numbers.made == 5)
    time.sleep(0.25)
    assert len(reservoir) == 4 and numbers.made == 5
    carrier.end()
    assert numbers.closed and reservoir.made == 4 == carrier.state_dict()["made"][0]
    with pytest.raises(RuntimeError, match="a counter was closed: make another producer"):
        carrier.into(reservoir)


def test_a_failure_closes_the_reservoir_after_what_came_before_it():
    numbers, reservoir = Numbers(fails_at=3), Reservoir(8)
    carrier = Carrier(numbers, [STREAM], "a counter")
    carrier.into(reservoir)
    wait_for(lambda: reservoir.closed)
    assert reservoir.made == 3 and numbers.closed
    with pytest.raises(RuntimeError, match="a counter has failed: no more"):
        carrier.into(reservoir)
    carrier.end()


def test_a_reservoir_that_is_closed_by_others_ends_the_thread():
    numbers, reservoir = Numbers(), Reservoir(2)
    carrier = Carrier(numbers, [STREAM], "a counter")
    carrier.into(reservoir)
    reservoir.close()
    wait_for(lambda: numbers.closed)
    carrier.end()
    assert not carrier._thread.is_alive()


def test_states_are_loaded_before_the_first_sample():
    first = Carrier(Numbers(), [STREAM], "a counter")
    first.into(Reservoir(4))
    wait_for(lambda: first.state_dict()["made"] == [4])
    with pytest.raises(RuntimeError, match="a counter is at work: load the state before the first batch"):
        first.load_state_dict(first.state_dict())
    first.end()
    second, reservoir = Carrier(Numbers(), [STREAM], "a counter"), Reservoir(2)
    second.load_state_dict(first.state_dict())
    second.into(reservoir)
    wait_for(lambda: len(reservoir) == 2)
    second.end()
    assert sorted(float(one[0]) for one in reservoir._samples) == [5.0, 6.0]


def test_one_carrier_fills_one_reservoir():
    carrier, reservoir = Carrier(Numbers(), [STREAM], "a counter"), Reservoir(2)
    carrier.into(reservoir)
    carrier.into(reservoir)
    with pytest.raises(ValueError, match="a counter fills another reservoir already: make another producer"):
        carrier.into(Reservoir(2))
    carrier.end()


def test_ending_what_never_began_is_nothing():
    numbers = Numbers()
    carrier = Carrier(numbers, [STREAM], "a counter")
    carrier.end()
    assert numbers.made == 0 and carrier.state_dict()["made"] == [0]
