"""Tables in Williamson's form, by the Butcher tableau of the same method."""

from fractions import Fraction

import pytest

from kutta.solvers import tableaus
from kutta.solvers.tableaus.low_storage import LowStorageTableau
from tests.solvers.tableaus.test_order_conditions import Stages

TABLES = [one for one in vars(tableaus).values() if isinstance(one, LowStorageTableau)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_order(table):
    rows, weights = table.butcher
    conditions = Stages(rows)
    for order in range(1, table.order + 1):
        assert conditions.residual(weights, order) < (1e-20 if table.name.startswith("Carpenter") else 1e-300)
    assert conditions.residual(weights, table.order + 1) > 1e-4


def test_published_nodes():
    nodes = tableaus.CARPENTER_KENNEDY54.nodes
    assert float(nodes[2]) == pytest.approx(2526269341429 / 6820363962896, abs=1e-15)
    assert float(nodes[4]) == pytest.approx(2802321613138 / 2924317926251, abs=1e-15)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_stability_size(table):
    rows, weights = table.butcher
    values, coefficients = [Fraction(1)] * len(weights), [Fraction(1)]
    for _ in weights:
        coefficients.append(sum(weight * value for weight, value in zip(weights, values, strict=True)))
        values = [sum(entry * value for entry, value in zip(row, values, strict=False)) for row in rows]

    def growth(x):
        return abs(sum(float(c) * (-x) ** power for power, c in enumerate(coefficients)))

    inside = table.stability_size - 1e-4
    assert all(growth(inside * step / 500) <= 1 + 1e-9 for step in range(501))
    assert growth(table.stability_size + 1e-4) > 1


def test_tables_that_are_none_are_refused():
    with pytest.raises(ValueError, match="the first of a being 0"):
        LowStorageTableau("x", 1, (Fraction(1),), (Fraction(1),), "here", 2.0)
