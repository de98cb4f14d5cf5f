"""What every strategy is: a frozen record of options with three verbs over a state of plain numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

# What a strategy has learned, in lists and numbers that JSON can hold.
State = dict[str, Any]
Array = np.ndarray[Any, Any]


class Play(NamedTuple):
    """What was chosen, and what it cost.

    Attributes:
        choice: the place of the value in the list.
        probability: with which it was chosen.
        context: what was known beforehand, for strategies that ask for it.
        cost: what was reported.
    """

    choice: int
    probability: float
    context: float | None
    cost: float


class Strategy:
    """How a `Tuner` chooses.

    A strategy of one's own is a frozen dataclass that derives from this and gives the three verbs, of which none
    changes its arguments.

    Attributes:
        source: where it was published.
    """

    source: ClassVar[str] = ""

    def begin(self, count: int) -> State:
        """What is known of `count` values before the first is tried."""
        raise NotImplementedError

    def probabilities(self, state: State, context: float | None) -> Array:
        """With which each value is chosen next, ``(count,)``; they add up to 1."""
        raise NotImplementedError

    def learn(self, state: State, play: Play) -> State:
        """What is known after a cost."""
        raise NotImplementedError

    def checked(self, context: Any) -> float | None:
        """The context as this strategy needs it, or what does not fit; by default there is none."""
        if context is not None:
            raise ValueError(
                f"context means nothing to {type(self).__name__}; leave it out, or give the tuner a strategy that "
                "heeds it: kutta.algebra.ChebyshevBandit(low, high) or kutta.algebra.Binned(low, high)"
            )
        return None

    def check_state(self, state: Any, count: int) -> None:
        """Refuse what this strategy cannot have learned of `count` values.

        By default that is all that is not made as `begin` makes it; a strategy whose state grows has rules of its own.
        """
        check_alike("learned", state, self.begin(count))


class Interval(NamedTuple):
    """The contexts that may come."""

    low: float
    high: float

    def checked(self, context: Any) -> float:
        """A context within, or what does not fit.

        Raises:
            ValueError, TypeError: for one that is missing, no number, or outside.
        """
        if context is None:
            raise ValueError(f"context is missing: this strategy needs a number from {self.low:g} to {self.high:g}")
        number = checked_number("context", context)
        if not self.low <= number <= self.high:
            raise ValueError(
                f"context must lie between {self.low:g} and {self.high:g}; got {number:g}: give the strategy a wider "
                "interval, or clamp the context"
            )
        return number

    def place(self, context: float) -> float:
        """Where a context lies, from 0 to 1."""
        return (context - self.low) / (self.high - self.low)


def checked_interval(low: Any, high: Any) -> Interval:
    """The interval between two numbers."""
    low, high = checked_number("low", low), checked_number("high", high)
    if not low < high:
        raise ValueError(f"low must be less than high; got {low:g} and {high:g}")
    return Interval(low, high)


def checked_number(name: str, given: Any) -> float:
    """A finite number, also of a tensor or an array with one entry.

    Raises:
        ValueError, TypeError: for another thing.
    """
    truth = isinstance(given, bool) or str(getattr(given, "dtype", "")).endswith("bool")
    if truth or isinstance(given, str | bytes):
        raise TypeError(f"{name} must be a number; got {given!r}")
    try:
        number = float(given.item() if isinstance(given, Tensor | np.ndarray) else given)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be one number; got {given!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite; got {number}")
    return number


def checked_count(name: str, given: Any, least: int) -> None:
    """Refuse what is no whole number of at least so much."""
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {given!r}")


def check_alike(name: str, given: Any, pattern: Any) -> None:
    """Refuse a state whose keys, lengths and kinds of numbers are not those of another one.

    Raises:
        ValueError, TypeError: with the place in the state.
    """
    if isinstance(pattern, dict):
        if not isinstance(given, dict) or given.keys() != pattern.keys():
            keys = ", ".join(map(str, given)) if isinstance(given, dict) else repr(given)
            raise ValueError(f"{name} must have the keys {', '.join(pattern)}; got {keys}")
        for key, part in pattern.items():
            check_alike(f"{name}.{key}", given[key], part)
    elif isinstance(pattern, list):
        if not isinstance(given, list) or len(given) != len(pattern):
            came = f"a list of {len(given)}" if isinstance(given, list) else repr(given)
            raise ValueError(f"{name} must be a list of {len(pattern)}; got {came}")
        for place, part in enumerate(pattern):
            check_alike(f"{name}[{place}]", given[place], part)
    elif isinstance(pattern, int):
        checked_count(name, given, 0)
    elif isinstance(pattern, float):
        checked_number(name, given)
