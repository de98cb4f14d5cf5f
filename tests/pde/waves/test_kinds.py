"""Which waves the sides of an axis suit."""

import pytest

import kutta as kt
from kutta.pde.waves.kinds import EVEN, ODD, PERIODIC, kind_of
from kutta.pde.waves.transforms import diagonalised

P = kt.pde
SIDES = {
    "periodic": (P.Periodic(), P.Periodic(), PERIODIC),
    "slopes": (P.Neumann(1.0), P.Neumann(), EVEN),
    "walls": (P.Wall(), P.Neumann(), EVEN),
    "values": (P.Dirichlet(1.0), P.Dirichlet(), ODD),
    "a value and a slope": (P.Dirichlet(), P.Neumann(), None),
    "mixtures": (P.Robin(1.0, 1.0), P.Robin(1.0, 1.0), None),
    "a mixture and a slope": (P.Neumann(), P.Robin(1.0, 1.0), None),
}


@pytest.mark.parametrize("case", SIDES)
def test_kinds(case):
    left, right, kind = SIDES[case]
    assert kind_of((left, right)) == kind_of((right, left)) == kind


@pytest.mark.parametrize("case", SIDES)
def test_all_but_mixtures_have_a_transform(case):
    left, right, _ = SIDES[case]
    assert (diagonalised(P.Grid(8, boundary=(left, right)), 1.0, 0.5) is None) == ("mixture" in case)
