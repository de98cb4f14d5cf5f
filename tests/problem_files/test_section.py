"""Every key of a table is asked for, or refused."""

import datetime
import math

import pytest

from kutta.problem_files.section import (
    ProblemFileError,
    Section,
    count,
    number,
    one_of,
    one_or_several,
    positive,
    several,
    table,
    text,
)


def test_values_are_taken_by_name_and_kind():
    section = Section({"a": 3, "b": "words", "c": {"d": [1, 2.5]}}, "whole")
    assert (section.take("a", number), section.take("b", text)) == (3.0, "words")
    inner = section.section("c")
    assert inner.take("d", several(number)) == [1.0, 2.5] and inner.named("d") == "whole.c.d"
    assert section.take("e", number, None) is None
    inner.close(), section.close()


def test_what_nobody_asks_for_is_refused_with_the_nearest_name():
    section = Section({"shpae": 3}, "grid")
    section.take("shape", number, None), section.take("length", number, None)
    with pytest.raises(ProblemFileError, match=r"grid.shpae has no meaning here; did you mean shape\?"):
        section.close()


def test_a_key_that_is_missing_for_a_misspelt_one_names_both():
    with pytest.raises(ProblemFileError, match=r"shape is missing, and there is shpae: did you mean shape\?"):
        Section({"shpae": 3}).take("shape", number)
    with pytest.raises(ProblemFileError, match=r"grid.shape is missing"):
        Section({}, "grid").take("shape", number)


WRONG = {
    "text for number": (number, "3", "expected a number; got '3'"),
    "truth for number": (number, True, "expected a number; got True"),
    "date for number": (number, datetime.date(2020, 1, 2), "expected a number; got datetime"),
    "nan": (number, math.nan, "expected a finite number; got nan"),
    "infinite": (number, -math.inf, "expected a finite number"),
    "zero": (positive, 0.0, "expected a number above 0; got 0.0"),
    "fraction": (count(1, 9), 1.5, "expected a whole number from 1 to 9; got 1.5"),
    "truth for count": (count(0, 9), True, "expected a whole number"),
    "too many": (count(1, 9), 10, "expected a whole number from 1 to 9; got 10"),
    "number for text": (text, 3, "expected a text; got 3"),
    "list for table": (table, [], "expected a table; got"),
    "number for list": (several(number), 3, "expected a list; got 3"),
    "empty list": (several(number), [], "expected a list that is not empty"),
    "text in a list": (one_or_several(number), [1, "2"], "expected a number; got '2'"),
    "misspelt name": (one_of(["eager", "compiled"]), "egaer", r"expected one of eager, compiled; got 'egaer'; did you"),
    "long value": (number, "x" * 1000, r"expected a number; got 'xxxx.*\.\.\.$"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values_are_refused_with_what_was_expected(case):
    kind, value, reason = WRONG[case]
    with pytest.raises(ProblemFileError, match=f"^outer.key: {reason}"):
        Section({"key": value}, "outer").take("key", kind)
