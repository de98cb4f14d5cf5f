"""Tables of implicit-explicit methods: the order conditions of both parts and of their coupling, and stability."""

from fractions import Fraction
from itertools import product

import pytest

from kutta.solvers import tableaus
from kutta.solvers.tableaus.imex import ImexTableau
from kutta.solvers.tableaus.parse import row

TABLES = [one for one in vars(tableaus).values() if isinstance(one, ImexTableau)]


def both(table):
    """The two Butcher matrices, with a column for the start, and their weights: the last rows."""
    n = len(table.nodes)
    explicit = [[*entries, *[Fraction(0)] * (n - len(entries))] for entries in table.explicit]
    implicit = [[Fraction(0)] * n]
    for index, entries in enumerate(table.implicit[1:], start=1):
        implicit.append([Fraction(0), *entries, table.gamma, *[Fraction(0)] * (n - index - 1)])
    return explicit, implicit


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_order_conditions(table):
    matrices, nodes = both(table), table.nodes
    for matrix in matrices:
        assert all(abs(sum(entries) - node) < 1e-30 for entries, node in zip(matrix, nodes, strict=True))
    for weights in (matrix[-1] for matrix in matrices):
        assert abs(dot(weights, nodes) - Fraction(1, 2)) < 1e-30
        third = abs(dot(weights, [node**2 for node in nodes]) - Fraction(1, 3))
        inner = [abs(dot(weights, [dot(e, nodes) for e in matrix]) - Fraction(1, 6)) for matrix in matrices]
        if table.order == 3:
            assert max(third, *inner) < 1e-30
        else:
            assert max(third, *inner) > 1e-3


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_mode_that_decays_infinitely_fast_is_gone_after_a_step(table):
    """``g_i = (1 + sum_j d_ij z g_j) / (1 - gamma z)``, of size at most one for all ``z`` with ``Re z <= 0``."""

    def growth(z):
        stages = [1.0]
        for entries in table.implicit[1:]:
            coupled = sum(float(d) * z * g for d, g in zip(entries, stages[1:], strict=True))
            stages.append((1.0 + coupled) / (1.0 - float(table.gamma) * z))
        return abs(stages[-1])

    assert growth(-1e12) < 1e-10
    for size, angle in product((0.01, 0.1, 1.0, 3.0, 10.0, 100.0), (0.0, 0.5, 1.0)):
        assert growth(size * complex(-angle, 1.0)) <= 1.0 + 1e-12


def test_rows_of_the_wrong_length_are_refused():
    with pytest.raises(ValueError, match="row i of implicit must have i - 1 entries"):
        ImexTableau("x", 1, Fraction(1), row("0 1"), ((), row("1")), ((), row("1")), "here")
