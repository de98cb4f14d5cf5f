"""Equal parts of trees are computed once."""

from collections import Counter

from kutta.formulas.formula import Scope
from kutta.formulas.functions import ARITIES
from kutta.formulas.program import program_of
from kutta.formulas.reading import read


def test_equal_parts_are_one_step():
    trees = [read("sin(x + y)**2 + x", ARITIES), read("3 * sin(x + y)", ARITIES)]
    program = program_of(trees)
    kinds = Counter(type(part).__name__ for part, _ in program.steps)
    assert kinds["Call"] == 1 and kinds["Name"] == 2 and len(program.results) == 2


def test_results_stand_in_the_order_of_the_trees():
    program = program_of([read("x - y", ARITIES), read("y", ARITIES), read("x - y", ARITIES)])
    assert program.run(Scope({"x": 5.0, "y": 3.0})) == [2.0, 3.0, 2.0]
