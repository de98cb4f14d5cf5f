"""What predicts its input."""

import pytest
import torch

import kutta as kt


def test_what_comes_in_goes_out():
    a, grid = torch.randn(3, 2, 8, 9), kt.pde.Grid((8, 9))
    assert torch.equal(kt.operators.Persistence(2)(a, grid), a)
    assert torch.equal(kt.operators.Persistence(2, 1)(a, grid), a[:, 1:])
    assert kt.operators.Persistence(2).parameter_count == 0
    assert kt.operators.Persistence(**kt.operators.Persistence(2, 1).settings).settings["out_channels"] == 1


def test_more_cannot_go_out():
    with pytest.raises(ValueError, match="out_channels must be at most in_channels, 1; got 2"):
        kt.operators.Persistence(1, 2)
