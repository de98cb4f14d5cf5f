"""Reading printed tables."""

from fractions import Fraction

import pytest

from kutta.solvers.tableaus.parse import butcher, polynomials, row


def test_row_reads_exact_numbers():
    assert row("1 -2/3 .5 -1.25e-1") == (1, Fraction(-2, 3), Fraction(1, 2), Fraction(-1, 8))


def test_row_joins_broken_rationals():
    assert row("12/\n    35 7_\n    1/3") == (Fraction(12, 35), Fraction(71, 3))


def test_butcher_joins_continuation_lines():
    c, a = butcher(
        """
        0   |
        1/3 | 1/3
        2/3 | -1/3
            | 1
        """
    )
    assert c == (0, Fraction(1, 3), Fraction(2, 3))
    assert a == ((), (Fraction(1, 3),), (Fraction(-1, 3), 1))


def test_butcher_refuses_a_row_of_the_wrong_length():
    with pytest.raises(ValueError, match="row 1 must have 1 entries, got 2"):
        butcher("0 |\n 1 | 1/2 1/2")
    with pytest.raises(ValueError, match="row 0 must have 2 entries, got 1"):
        butcher("1/2 | 1/2", before=2)


def test_a_line_without_a_bar_is_refused():
    with pytest.raises(ValueError, match="with a bar"):
        butcher("0 |\n 1 1")


def test_polynomials_fill_in_stages_without_weight():
    weights = polynomials("1 | 1 -1/2\n 3 | 0 1/2", stages=3)
    assert weights == ((1, Fraction(-1, 2)), (0, 0), (0, Fraction(1, 2)))


def test_polynomials_refuse_unequal_lengths_and_unknown_stages():
    with pytest.raises(ValueError, match="must have 2 coefficients"):
        polynomials("1 | 1 -1/2\n 2 | 1", stages=2)
    with pytest.raises(ValueError, match=r"must lie in 1\.\.2"):
        polynomials("3 | 1", stages=2)
