"""A bandit for each interval of the context."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kutta.solvers.algebra.tuning.strategy import (
    Array,
    Interval,
    Play,
    State,
    Strategy,
    checked_count,
    checked_interval,
)
from kutta.solvers.algebra.tuning.tsallis_inf import TsallisINF


@dataclass(frozen=True)
class Binned(Strategy):
    """A bandit with a context that assumes nothing of how costs depend on it.

    The contexts are cut into bins of equal length, and each bin has a bandit of its own, which learns of no other.

    Attributes:
        low, high: the contexts that may come.
        bins: how many.
        strategy: of each bin.

    Example:
        >>> import kutta as kt
        >>> tuner = kt.algebra.Tuner(["small", "large"], kt.algebra.Binned(0.0, 1.0, bins=2))
        >>> for k in range(200):
        ...     context = (0.618 * k) % 1.0
        ...     right = (tuner.suggest(context) == "large") == (context > 0.5)
        ...     tuner.report(1.0 if right else 5.0)
        >>> tuner.favourite(0.1), tuner.favourite(0.9)
        ('small', 'large')
    """

    low: float
    high: float
    bins: int = 5
    strategy: TsallisINF = field(default_factory=TsallisINF)
    source = "Khodak, Chow, Balcan and Talwalkar, Learning to relax, 2024"

    def __post_init__(self) -> None:
        checked_interval(self.low, self.high)
        checked_count("bins", self.bins, 1)
        if not isinstance(self.strategy, TsallisINF):
            raise TypeError(f"strategy of the bins must be such as kutta.algebra.TsallisINF(); got {self.strategy!r}")

    def checked(self, context: Any) -> float:
        return Interval(self.low, self.high).checked(context)

    def begin(self, count: int) -> State:
        return {"bins": [self.strategy.begin(count) for _ in range(self.bins)]}

    def probabilities(self, state: State, context: float | None) -> Array:
        return self.strategy.probabilities(state["bins"][self._bin(context)], None)

    def learn(self, state: State, play: Play) -> State:
        place, bins = self._bin(play.context), list(state["bins"])
        bins[place] = self.strategy.learn(bins[place], play._replace(context=None))
        return {"bins": bins}

    def _bin(self, context: float | None) -> int:
        assert context is not None
        return min(int(self.bins * Interval(self.low, self.high).place(context)), self.bins - 1)
