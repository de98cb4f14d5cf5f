"""Scopes as files hold them: numbers, texts and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kutta.operators.scope import Scope
from kutta.pde.formats.axes import condition_of, text_of
from kutta.pde.grids.grid import Grid

_PLACE = ("shape", "length", "centring", "origin")


def words_of(scope: Scope) -> dict[str, Any]:
    """A scope in words.

    Raises:
        ValueError: for data at the sides of its grid that are no numbers.
    """
    sides = [[text_of(one) for one in pair] for pair in scope.grid.boundary]
    for text in (text for pair in sides for text in pair):
        condition_of(text)  # refuses what is no number
    place = {name: getattr(scope.grid, name) for name in _PLACE}
    return {**vars(scope), "fixed": dict(scope.fixed), "grid": {**place, "boundary": sides}}


def scope_of_words(words: Mapping[str, Any]) -> Scope:
    """The way back."""
    boundary = tuple(tuple(condition_of(text) for text in pair) for pair in words["grid"]["boundary"])
    grid = Grid(**{name: tuple(words["grid"][name]) for name in _PLACE}, boundary=boundary)
    lists = {name: tuple(value) for name, value in words.items() if isinstance(value, list | tuple)}
    return Scope(**{**words, **lists, "grid": grid})
