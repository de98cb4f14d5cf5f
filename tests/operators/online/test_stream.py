"""Streams of samples: a seed and a number say which, whoever solves them."""

from dataclasses import replace
from itertools import chain, islice

import pytest
import torch

import kutta as kt
from kutta.operators.online.stream import Stream, made_of, state_of
from tests.operators.online._families import EMPTY, SMALL

STREAM = Stream(SMALL, 3, 2, torch.float32)


def inputs(samples):
    return torch.stack([a for a, _ in samples])


def test_samples_are_those_of_generated_data():
    data = kt.operators.data.generate(SMALL, 6, seed=3, batch=2)
    found = list(islice(STREAM.samples(), 6))
    assert torch.equal(inputs(found), data.inputs) and torch.equal(torch.stack([u for _, u in found]), data.outputs)


@pytest.mark.parametrize("made", [1, 2, 5])
def test_a_stream_goes_on_after_what_was_made(made):
    whole = list(islice(STREAM.samples(), made + 3))
    assert torch.equal(inputs(islice(STREAM.samples(made), 3)), inputs(whole[made:]))


def test_steps_of_trajectories_are_samples_each():
    stream = Stream(kt.operators.data.burgers(points=16, times=3, end=0.1), 0, 2, torch.float64)
    whole = list(islice(stream.samples(), 9))
    assert torch.equal(whole[0][1], whole[1][0])
    assert torch.equal(inputs(islice(stream.samples(7), 2)), inputs(whole[7:]))


def test_several_streams_share_the_batches_of_a_seed():
    shares = [islice(replace(STREAM, first=place, every=3).samples(), 4) for place in range(3)]
    turns = zip(*(zip(share, share, strict=True) for share in shares), strict=True)  # two batches of two from each
    assert torch.equal(inputs(chain(*chain(*turns))), inputs(islice(STREAM.samples(), 12)))


def test_a_failure_has_the_seed_and_the_number_of_what_was_to_be_solved():
    stream = Stream(EMPTY, 7, 2, torch.float32, first=1, every=4)
    with pytest.raises(RuntimeError, match=r"^batch 9 of seed 7, with 2 problems: RuntimeError: out of problems$"):
        stream.solved(2)


def test_states_of_other_streams_are_refused():
    state = state_of([STREAM], [5])
    assert made_of([STREAM], state) == [5]
    for other in ([replace(STREAM, seed=4)], [replace(STREAM, batch=3)], [STREAM, STREAM]):
        with pytest.raises(ValueError, match=r"the state is that of samples from .*'seed': 3, 'batch': 2"):
            made_of(other, state)


def test_states_of_other_families_of_the_same_name_are_refused():
    state = state_of([STREAM], [5])
    for change in ({"draw": EMPTY.draw}, {"inputs": ("f",)}, {"method": None}, {"options": {"rtol": 1e-3}}):
        with pytest.raises(ValueError, match="the state is that of samples from"):
            made_of([replace(STREAM, family=replace(SMALL, **change))], state)


def test_a_family_of_functions_is_known_again_wherever_they_lie():
    def made():
        def draw(count, generator):
            raise NotImplementedError

        return Stream(replace(SMALL, draw=draw), 0, 2, torch.float32)

    first, second = made(), made()
    assert first.family.draw is not second.family.draw and first.identity() == second.identity()
    assert made_of([second], state_of([first], [3])) == [3]


def test_families_without_names_are_refused():
    with pytest.raises(ValueError, match="family must have a name, so that a resumed run knows it again"):
        Stream(replace(SMALL, name=""), 0, 2, torch.float32)


def test_batches_of_nothing_are_refused():
    with pytest.raises(ValueError, match="batch must be at least 1; got 0"):
        Stream(SMALL, 0, 0, torch.float32)
