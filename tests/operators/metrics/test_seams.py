"""Seams: about 1 where a field is smooth, large where values or slopes jump, along any axis."""

import pytest
import torch

import kutta as kt
from kutta.operators.metrics import seams
from tests._helpers import F64

X = (torch.arange(64, dtype=F64) + 0.5) / 64


def test_what_is_smooth_has_none():
    u = torch.stack([torch.sin(3.0 * X + phase) for phase in torch.linspace(0.0, 6.0, 40, dtype=F64)])
    values, slopes = seams(u, (4,))
    assert abs(float(values) - 1.0) < 0.05 and abs(float(slopes) - 1.0) < 0.05


@pytest.mark.parametrize("boxes", [2, 4])
def test_jumps_of_values_and_of_slopes(boxes):
    steps = X.expand(5, -1) + 0.1 * torch.floor(X * boxes)
    values, slopes = seams(steps, (boxes,))
    assert float(values) == pytest.approx(1.0 + 0.1 * 64) and slopes > 1e3
    kinks = (X * boxes - torch.floor(X * boxes) - 0.5).abs().expand(5, -1) + X**2
    values, slopes = seams(kinks, (boxes,))
    assert values < 2.0 and slopes > 5.0


def test_the_axis_with_the_largest_jump_counts():
    u = (torch.sin(3.0 * X) + 0.1 * torch.floor(2.0 * X))[:, None] + torch.cos(2.0 * X)
    across = seams(u, (2, 2))
    assert torch.allclose(torch.stack(across), torch.stack(seams(u, (2, 1))))
    assert torch.allclose(torch.stack(across), torch.stack(seams(u.mT, (1, 2))))
    assert seams(u, (1, 2))[0] < 1.5 < 3.0 < across[0]


@pytest.mark.parametrize("points", [16, 17, 18, 19])
def test_faces_are_those_of_the_boxes(points):
    """Where the values of each box are its number, differences are nothing but at faces."""
    boxes = kt.operators.Boxes((1, 4))
    owner = boxes.shares(X, kt.pde.Grid((2, points), boundary=kt.pde.Neumann()))[0].argmax(0)[1].double()
    values, slopes = seams(owner, (4,))
    assert values == torch.inf and slopes == torch.inf
    assert seams(owner - owner, (4,)) == (1.0, 1.0)


def test_the_last_box_meets_the_first_one_where_an_axis_wraps():
    u = torch.sin(2.0 * torch.pi * X + 1.0)
    smooth, jumping = seams(u, (2,), wraps=True), seams(u + 0.3 * X, (2,), wraps=True)
    assert smooth[0] < 1.1 and smooth[1] < 1.1 and seams(u + 0.3 * X, (2,))[0] < 1.1
    assert jumping[0] > 1.5 and jumping[1] > 5.0


@pytest.mark.parametrize("boxes", [(1,), (32,), (0,)])
def test_boxes_that_do_not_fit(boxes):
    with pytest.raises(ValueError, match=r"boxes must divide an axis, and have 4 points along each; got \(\d+,\) of"):
        seams(X, boxes)


@pytest.mark.parametrize("u", [X, torch.zeros(16, 16, dtype=torch.long)])
def test_fields_that_do_not_fit(u):
    with pytest.raises(ValueError, match="u must be real fields with an axis for each of 2 numbers of boxes; got"):
        seams(u, (2, 2))
