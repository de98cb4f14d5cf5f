"""Trees as a list of steps, in which equal parts are computed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kutta.formulas.tree import Tree


@dataclass(frozen=True, eq=False)
class Program:
    """What to compute, one part after the other.

    Attributes:
        steps: a part, and the numbers of the steps that its children come from.
        results: the numbers of the steps that were asked for.
    """

    steps: tuple[tuple[Tree, tuple[int, ...]], ...]
    results: tuple[int, ...]

    def run(self, scope: Any) -> list[Any]:
        """The values of all results; see `Tree.value`."""
        values: list[Any] = []
        for part, operands in self.steps:
            values.append(part.value([values[one] for one in operands], scope))
        return [values[one] for one in self.results]


def program_of(trees: Iterable[Tree]) -> Program:
    """The program of some trees."""
    places: dict[Tree, int] = {}
    steps: list[tuple[Tree, tuple[int, ...]]] = []

    def place(tree: Tree) -> int:
        if tree not in places:
            operands = tuple(place(child) for child in tree.children)
            steps.append((tree, operands))
            places[tree] = len(steps) - 1
        return places[tree]

    results = tuple(place(tree) for tree in trees)
    return Program(tuple(steps), results)
