"""Adams-Bashforth coefficients, in exact rationals."""

from fractions import Fraction

import pytest

from kutta.solvers.tableaus.adams import adams_bashforth, difference_weights


def test_the_published_weights():
    assert difference_weights(6) == tuple(Fraction(one) for one in ("1", "1/2", "5/12", "3/8", "251/720", "95/288"))
    assert adams_bashforth(2) == (Fraction(3, 2), Fraction(-1, 2))
    assert adams_bashforth(3) == tuple(Fraction(one, 12) for one in (23, -16, 5))
    assert adams_bashforth(4) == tuple(Fraction(one, 24) for one in (55, -59, 37, -9))
    assert adams_bashforth(5) == tuple(Fraction(one, 720) for one in (1901, -2774, 2616, -1274, 251))


@pytest.mark.parametrize("order", range(1, 10))
def test_order_conditions(order):
    """Exact for polynomials: ``sum_i b_i (-i)^k = 1 / (k + 1)`` for ``k < order``, and not for ``k = order``."""
    for k in range(order + 1):
        total = sum(weight * Fraction(-i) ** k for i, weight in enumerate(adams_bashforth(order)))
        assert (total == Fraction(1, k + 1)) == (k < order)
