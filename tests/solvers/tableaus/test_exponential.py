"""Tables of exponential methods: exact for constants, of their order where the linear part vanishes."""

from collections import Counter
from fractions import Fraction
from math import factorial

import pytest

from kutta.solvers import tableaus
from kutta.solvers.tableaus.exponential import ExponentialTableau, Weight
from tests.solvers.tableaus.test_order_conditions import Stages

TABLES = [one for one in vars(tableaus).values() if isinstance(one, ExponentialTableau)]
EXACT_FOR_CONSTANTS = [table for table in TABLES if table.name != "Lawson 4"]


def name(table):
    return table.name


def collected(row):
    """The terms of a sum of weights, as a mapping from ``(k, c)``."""
    total = Counter()
    for weight in row:
        for part, k, c in weight:
            total[k, c] += part
    return {key: part for key, part in total.items() if part}


def at_zero(weight: Weight):
    return sum((part / factorial(k) for part, k, _ in weight), Fraction(0))


def test_all_six_are_there():
    assert {table.name for table in TABLES} == {"ETD1", "ETDRK2", "ETDRK3", "ETDRK4", "Krogstad 4", "Lawson 4"}


@pytest.mark.parametrize("table", EXACT_FOR_CONSTANTS, ids=name)
def test_stages_are_exact_for_constant_remainders(table):
    """``sum_j a_ij(z) = c_i phi_1(c_i z)``."""
    for node, row in zip(table.nodes[1:], table.a[1:], strict=True):
        assert collected(row) == {(1, node): node}
    if table.error:
        assert collected(table.error) == {}


@pytest.mark.parametrize("table", TABLES, ids=name)
def test_order_conditions_without_a_linear_part(table):
    rows = [tuple(map(at_zero, row)) for row in table.a]
    conditions, weights = Stages(rows), [*rows[-1], Fraction(0)]
    assert [sum(row, Fraction(0)) for row in rows] == list(table.nodes)
    for order in range(1, table.order + 1):
        assert conditions.residual(weights, order) == 0
    assert conditions.residual(weights, table.order + 1) > 0
    if table.error:
        embedded = [weight - at_zero(error) for weight, error in zip(weights, table.error, strict=True)]
        for order in range(1, table.embedded_order + 1):
            assert conditions.residual(embedded, order) == 0
        assert conditions.residual(embedded, table.embedded_order + 1) > 0


def test_rows_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="row 1 of a must have 1 entries, got 0"):
        ExponentialTableau("x", 1, (Fraction(0), Fraction(1)), ((), ()), "here")
    with pytest.raises(ValueError, match="from the node 0 to the node 1"):
        ExponentialTableau("x", 1, (Fraction(0),), ((),), "here")
