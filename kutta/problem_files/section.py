"""A table of a problem file, every key of which is asked for, or refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from kutta.formulas.reading import nearest

_NEEDED = object()


class ProblemFileError(ValueError):
    """A problem file that describes no problem: which key, what came, and what was expected."""


Kind = Callable[[Any], Any]  # gives back a value as it is meant, or raises TypeError or ValueError with what is wanted


class Section:
    """A table of the file.

    Args:
        values: what it holds.
        path: its name, such as ``grid.boundary``; empty for the whole file.
    """

    def __init__(self, values: Mapping[str, Any], path: str = ""):
        self.values, self.path, self.asked = dict(values), path, dict[str, None]()

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def named(self, key: str) -> str:
        """The full name of a key."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: Kind, default: Any = _NEEDED) -> Any:
        """A value.

        Args:
            key: its name.
            kind: what it must be.
            default: if it is not there; without one, it must be.
        """
        self.asked[key] = None
        if key not in self.values:
            if default is _NEEDED:
                raise ProblemFileError(f"{self.named(key)} is missing{self._misspelt(key)}")
            return default
        return taken(self.values[key], kind, self.named(key))

    def section(self, key: str, needed: bool = True) -> Section:
        """A table within; an empty one if it may be missing, and is."""
        return Section(self.take(key, table, _NEEDED if needed else {}), self.named(key))

    def close(self) -> None:
        """Refuse what nobody has asked for."""
        for key in self.values:
            if key not in self.asked:
                raise ProblemFileError(f"{self.named(key)} has no meaning here{nearest(key, self.asked)}")

    def _misspelt(self, key: str) -> str:
        """A key that was probably meant for another, as the end of a sentence."""
        found = get_close_matches(key, [one for one in self.values if one not in self.asked], n=1)
        return f", and there is {self.named(found[0])}: did you mean {key}?" if found else ""


def taken(value: Any, kind: Kind, name: str) -> Any:
    """A value as it is meant.

    Raises:
        ProblemFileError: with its name.
    """
    with told(name):
        return kind(value)


@contextmanager
def told(name: str) -> Iterator[None]:
    """Errors of what happens here name a key."""
    try:
        yield
    except ProblemFileError:
        raise
    except (TypeError, ValueError, NotImplementedError) as problem:
        raise ProblemFileError(f"{name}: {problem}") from problem


def table(value: Any) -> dict[str, Any]:
    """A table."""
    return _of(value, dict, "a table")


def text(value: Any) -> str:
    """A text."""
    return _of(value, str, "a text")


def line(value: Any) -> str:
    """A text without what moves the cursor of a terminal, or ends a text in a file."""
    if not text(value).isprintable():
        raise ValueError(f"expected one line of printable letters; got {shown(value)}")
    return value


def number(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number; got {shown(value)}")
    if not abs(value) <= sys.float_info.max:  # which also holds for whole numbers that have no float
        raise ValueError(f"expected a finite number; got {shown(value)}")
    return float(value)


def positive(value: Any) -> float:
    """A number above zero."""
    if number(value) <= 0.0:
        raise ValueError(f"expected a number above 0; got {value}")
    return float(value)


def count(least: int, most: int) -> Kind:
    """A whole number from `least` to `most`."""

    def kind(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}; got {shown(value)}")
        return value

    return kind


def several(kind: Kind) -> Kind:
    """A list of values of a kind, which is not empty."""

    def kinds(value: Any) -> list[Any]:
        values = _of(value, list, "a list")
        if not values:
            raise ValueError("expected a list that is not empty")
        return [kind(one) for one in values]

    return kinds


def one_or_several(kind: Kind) -> Kind:
    """A value of a kind, or a tuple of such."""
    return lambda value: tuple(several(kind)(value)) if isinstance(value, list) else kind(value)


def one_of(names: Collection[str]) -> Kind:
    """One of some names."""

    def kind(value: Any) -> str:
        if text(value) not in names:
            raise ValueError(f"expected one of {', '.join(names)}; got {shown(value)}{hint(value, names)}")
        return value

    return kind


def hint(name: str, names: Collection[str]) -> str:
    """What was probably meant."""
    found = nearest(name, names)
    return found if found.startswith("; did") else ""


def shown(value: Any) -> str:
    """A value in an error."""
    try:
        words = repr(value)
    except ValueError:  # a whole number with thousands of digits
        return "a number with thousands of digits"
    return words if len(words) <= 60 else f"{words[:57]}..."


def _of(value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {words}; got {shown(value)}")
    return value
