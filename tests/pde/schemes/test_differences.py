"""Central differences: their weights, their order, and what is refused."""

import math

import pytest
import torch

import kutta as kt
from kutta.pde.schemes.differences import central_weights
from tests._helpers import F64

P = kt.pde


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_weights_are_exact_for_polynomials(order, accuracy):
    weights = central_weights(order, accuracy)
    places = range(-(len(weights) // 2), len(weights) // 2 + 1)
    for degree in range(order + accuracy):
        wanted = math.factorial(order) if degree == order else 0
        assert sum(weight * place**degree for weight, place in zip(weights, places, strict=True)) == wanted


@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders(order, accuracy):
    def error(count):
        grid = P.Grid((3, count), 2 * math.pi)
        y = grid.points()[1]
        exact = torch.sin(y + 0.3 + order * math.pi / 2)
        return float((P.derivative(torch.sin(y + 0.3), grid, 1, order, accuracy) - exact).abs().max())

    assert math.log2(error(24) / error(48)) == pytest.approx(accuracy, abs=0.15)


REFUSED = {
    "an axis too many": ({"axis": 2}, ValueError, "axis must be a whole number from 0 to 1; got 2"),
    "an axis from the end": ({"axis": -1}, ValueError, "axis must be a whole number from 0 to 1; got -1"),
    "an axis by name": ({"axis": "x"}, ValueError, "axis must be a whole number from 0 to 1; got 'x'"),
    "no derivative": ({"order": 0}, ValueError, "order must be a whole number of at least 1; got 0"),
    "half a derivative": ({"order": 0.5}, ValueError, "order must be a whole number of at least 1; got 0.5"),
    "an odd accuracy": ({"accuracy": 3}, ValueError, "accuracy must be 2, 4 or 6; got 3"),
    "an accuracy that is not whole": ({"accuracy": 4.0}, ValueError, "accuracy must be 2, 4 or 6; got 4.0"),
    "another shape": ({"u": torch.zeros(9, 8)}, ValueError, r"u must have the shape \(..., 8, 9\); got \(9, 8\)"),
    "a number": ({"u": 1.0}, TypeError, "u must be a tensor; got float"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    options, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        P.derivative(**{"u": torch.zeros(8, 9, dtype=F64), "grid": P.Grid((8, 9)), "axis": 0, **options})


@pytest.mark.parametrize("case", ["an odd accuracy", "an accuracy that is not whole", "another shape", "a number"])
def test_what_is_refused_of_laplacians(case):
    options, error, match = REFUSED[case]
    with pytest.raises(error, match=match):
        P.laplacian(**{"u": torch.zeros(8, 9, dtype=F64), "grid": P.Grid((8, 9)), **options})
