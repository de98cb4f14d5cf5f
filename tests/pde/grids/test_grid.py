"""Numbers that make a grid, of Python and of NumPy, and what is none."""

import numpy as np
import pytest
import torch

from kutta.pde import Grid


@pytest.mark.parametrize("shape", [np.int64(8), (np.int32(8),), np.array([8]), torch.Size([8])],
                         ids=["number", "tuple", "array", "size"])  # fmt: skip
def test_whole_numbers_of_numpy(shape):
    grid = Grid(shape, np.float32(0.5), origin=np.array([1]))
    assert (grid.shape, grid.length, grid.origin) == ((8,), (0.5,), (1.0,))
    assert type(grid.shape[0]) is int and type(grid.length[0]) is float
    assert grid.points().shape == (1, 8)


SHAPES = {"fraction": 8.0, "nothing": None, "text": "8", "truth": True, "tensor": torch.tensor(8), "list": [8, 2.0]}


@pytest.mark.parametrize("case", SHAPES)
def test_shapes_of_other_kinds(case):
    with pytest.raises(ValueError, match=r"shape\[\d\] must be a whole number of at least 1; got"):
        Grid(SHAPES[case])


LENGTHS = {"nothing": None, "text": "1", "tensor": torch.tensor(1.0), "complex": 1j, "infinite": np.inf, "truth": True}


@pytest.mark.parametrize("name", ["length", "origin"])
@pytest.mark.parametrize("case", LENGTHS)
def test_lengths_of_other_kinds(case, name):
    with pytest.raises(ValueError, match=f"{name} must be a finite number, or one for each of the 1 axes; got"):
        Grid(8, **{name: LENGTHS[case]})
