"""Tsallis-INF: follow the leader, regularised by the Tsallis entropy of order one half."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kutta.solvers.algebra.tuning.strategy import Array, Play, State, Strategy, checked_number


@dataclass(frozen=True)
class TsallisINF(Strategy):
    """A bandit without context, as good in the long run as the best value held fixed.

    A cost ``c`` of a value that was chosen with probability ``p`` adds ``(c - least) / p`` to the sum ``k`` of that
    value, which is right on average for all values. In round ``t`` the probabilities are

        argmin over p of  <k / scale, p> - (4 / eta) sum_i sqrt(p_i),    eta = 2 / sqrt(t),

    with the mean of ``c - least`` so far as the scale. Without `least` they depend on ratios of differences of costs
    alone, whatever these are measured in. For a given scale, the sum of ``T`` costs exceeds that of the best fixed
    value by at most a multiple of ``sqrt(T)``, also where an adversary chooses the costs, as long as they are bounded.

    Attributes:
        least: a cost that none falls below, such as 1 for iterations; by default the smallest so far.

    Example:
        >>> import kutta as kt
        >>> tuner = kt.algebra.Tuner(["V", "W", "F"], kt.algebra.TsallisINF())
        >>> for _ in range(200):
        ...     tuner.report({"V": 12, "W": 7, "F": 9}[tuner.suggest()])
        >>> tuner.favourite()
        'W'
    """

    least: float | None = None
    source = (
        "Zimmert and Seldin, Tsallis-INF: an optimal algorithm for stochastic and adversarial bandits, 2021; "
        "Khodak, Chow, Balcan and Talwalkar, Learning to relax, 2024"
    )

    def __post_init__(self) -> None:
        if self.least is not None:
            checked_number("least", self.least)

    def begin(self, count: int) -> State:
        return {"rounds": 0, "sums": [0.0] * count, "total": 0.0, "smallest": 0.0}

    def probabilities(self, state: State, context: float | None) -> Array:
        rounds, sums = state["rounds"], np.array(state["sums"])
        scale = state["total"] / max(rounds, 1) - self._least(state)
        return least_regret(sums / scale if scale > 0.0 else np.zeros_like(sums), 2.0 / math.sqrt(rounds + 1))

    def learn(self, state: State, play: Play) -> State:
        if self.least is not None and play.cost < self.least:
            raise ValueError(f"cost must be at least least={self.least:g}, as TsallisINF was told; got {play.cost:g}")
        smallest = min(state["smallest"], play.cost) if state["rounds"] else play.cost
        new = {"rounds": state["rounds"] + 1, "total": state["total"] + play.cost, "smallest": smallest}
        sums = list(state["sums"])
        sums[play.choice] += (play.cost - self._least(new)) / play.probability
        return {**new, "sums": sums}

    def _least(self, state: State) -> float:
        return state["smallest"] if self.least is None else float(self.least)


def least_regret(losses: Array, eta: float) -> Array:
    """The minimiser over probabilities of ``<losses, p> - (4 / eta) sum_i sqrt(p_i)``.

    It is ``p_i = 4 / (eta (losses_i - x))^2`` with the multiplier ``x`` for which they add up to 1. At
    ``x = min(losses) - 2 / eta`` the sum is 1 or more, and from there Newton's method falls to the root.
    """
    losses = losses - losses.min()
    x = -2.0 / eta
    while True:
        p = 4.0 / (eta * (losses - x)) ** 2
        lower = x - (p.sum() - 1.0) / (eta * (p**1.5).sum())
        if not lower < x:
            return p / p.sum()
        x = lower
