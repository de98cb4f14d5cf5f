"""Tables of text."""

import io

from rich.console import Console

from kutta.text_table import TextTable, in_markdown, in_terminal

TABLE = TextTable(
    "costs", "Costs", ("network", "time", "as exact"), [("FNO", "1 s", "CG"), ("T1", "12 s", "CG")], ["as exact"]
)


def test_numbers_end_below_one_another_in_markdown():
    assert in_markdown(TABLE).splitlines() == [
        "| network | time | as exact |",
        "| --- | ---: | --- |",
        "| FNO | 1 s | CG |",
        "| T1 | 12 s | CG |",
    ]


def test_and_in_the_terminal():
    found = in_terminal(TABLE)
    assert [column.justify for column in found.columns] == ["left", "right", "left"]
    shown = io.StringIO()
    Console(file=shown, width=60).print(found)
    assert "Costs" in shown.getvalue() and "12 s" in shown.getvalue()
