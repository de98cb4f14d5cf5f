"""Shares of experts in boxes: they add up to 1, and are as smooth as the overlap says."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import kutta as kt

GRID = kt.pde.Grid((9, 32), centring=("node", "cell"), boundary=kt.pde.Neumann())
RING = kt.pde.Grid((9, 32), centring=("node", "periodic"), boundary=(kt.pde.Neumann(), kt.pde.Periodic()))
A = torch.zeros(1)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 4), st.integers(1, 5), st.floats(0.0, 0.5), st.booleans(), st.integers(0, 3))
def test_shares_add_up_to_one_everywhere(in_time, in_space, overlap, wraps, splits):
    boxes = kt.operators.Boxes((in_time, in_space), overlap)
    for number in range(splits):
        boxes = boxes.split([float((7 * number + k) % 5) for k in range(boxes.experts)])
    shares = boxes.shares(A, RING if wraps else GRID)
    assert shares.shape == (1, boxes.experts, 9, 32)
    assert torch.allclose(shares.sum(1), torch.ones(1, 9, 32, dtype=torch.float64))
    assert bool((shares >= 0.0).all())


def test_without_an_overlap_each_point_has_one_expert():
    shares = kt.operators.Boxes((1, 4)).shares(A, GRID)[0, :, 0]
    assert torch.equal(shares.argmax(0), torch.arange(4).repeat_interleave(8))
    assert bool(((shares == 0.0) | (shares == 1.0)).all())


def test_with_an_overlap_shares_change_smoothly():
    fine = kt.pde.Grid((2, 4096), centring="cell", boundary=kt.pde.Neumann())
    share = kt.operators.Boxes((1, 4), 0.25).shares(A, fine)[0, 1, 0]
    slope = 4096.0 * share.diff()
    assert float(slope.abs().max()) < 1.6 / (2 * 0.25 * 0.25)  # of 3 s^2 - 2 s^3 over half a width
    assert float(slope.diff().abs().max()) < 0.1


def test_on_a_ring_the_first_box_reaches_the_last():
    shares = kt.operators.Boxes((1, 4), 0.25).shares(A, RING)[0, :, 0]
    assert float(shares[0, -1]) > 0.3 and float(shares[3, 0]) > 0.3
    between_walls = kt.operators.Boxes((1, 4), 0.25).shares(A, GRID)[0, :, 0]
    assert float(between_walls[0, -1]) == 0.0


def test_the_worst_box_is_split_where_it_is_widest():
    boxes = kt.operators.Boxes((1, 2)).split([0.1, 0.9])
    assert boxes.intervals == [((0.0, 1.0), (0.0, 0.5)), ((0.0, 0.5), (0.5, 1.0)), ((0.5, 1.0), (0.5, 1.0))]
    again = boxes.split([0.1, 0.9, 0.2], axis=1)
    assert again.intervals[1:3] == [((0.0, 0.5), (0.5, 0.75)), ((0.0, 0.5), (0.75, 1.0))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: kt.operators.Boxes((1, 0)), r"counts\[1\] must be a whole number of at least 1"),
        (lambda: kt.operators.Boxes((1, 2), 0.6), "overlap must be a number from 0 to 0.5"),
        (lambda: kt.operators.Boxes((1, 2)).split([1.0]), "each of the 2 boxes"),
        (lambda: kt.operators.Boxes((1, 2)).split([1.0, float("nan")]), "a finite number"),
        (lambda: kt.operators.Boxes((1, 2)).split([1.0, 2.0], axis=2), "axis must be from 0 to 1"),
        (lambda: kt.operators.Boxes((2,)).shares(A, GRID), "one for each of space, 2; got 1"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
