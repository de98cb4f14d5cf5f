"""ChebCB: costs as polynomials of the context, and inverse gap weighting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from kutta.solvers.algebra.tuning.strategy import (
    Array,
    Interval,
    Play,
    State,
    Strategy,
    checked_count,
    checked_interval,
    checked_number,
)

# A little regularisation, relative to one observation: a fit to few costs is unique, and small where none is known.
RIDGE = 1e-2


@dataclass(frozen=True)
class ChebyshevBandit(Strategy):
    """A bandit with a context, as good in the long run as the best value for each context.

    For each value the cost is a polynomial in the context, ``f(z) = sum_j a_j T_j(z)``, with the Chebyshev polynomials
    of ``z``, the context mapped to [-1, 1]. It is fitted by least squares within ``|a_0| <= max |cost|`` and
    ``|a_j| <= (max cost - min cost) / j``, which holds for costs that are Lipschitz continuous. In round ``t``, the
    values other than the one with the least ``f`` are chosen with probability

        p_i = 1 / (d + greed t (f_i - min f) / scale),

    for ``d`` values, with the mean of the costs above the least so far as the scale; and that one with what is left. A
    value that was not yet tried is taken to cost 0, so that it is tried soon if all costs are positive; where they are
    not, add what makes them so.

    Attributes:
        low, high: the contexts that may come. Where they span decades, give their logarithm.
        terms: of the polynomials.
        greed: how fast exploring becomes rare.

    Example:
        >>> import kutta as kt
        >>> tuner = kt.algebra.Tuner([1.0, 1.5, 1.9], kt.algebra.ChebyshevBandit(0.0, 1.0))
        >>> for k in range(300):
        ...     context = (0.618 * k) % 1.0
        ...     tuner.report(10.0 + 40.0 * abs(tuner.suggest(context) - 1.0 - context))
        >>> [tuner.favourite(context) for context in (0.1, 0.5, 0.9)]
        [1.0, 1.5, 1.9]
    """

    low: float
    high: float
    terms: int = 6
    greed: float = 3.0
    source = (
        "Khodak, Chow, Balcan and Talwalkar, Learning to relax, 2024; "
        "Foster and Rakhlin, Beyond UCB: optimal and efficient contextual bandits with regression oracles, 2020"
    )

    def __post_init__(self) -> None:
        checked_interval(self.low, self.high)
        checked_count("terms", self.terms, 1)
        if checked_number("greed", self.greed) <= 0.0:
            raise ValueError(f"greed must be positive; got {self.greed!r}")

    def checked(self, context: Any) -> float:
        return Interval(self.low, self.high).checked(context)

    def begin(self, count: int) -> State:
        zeros = np.zeros((count, self.terms))
        return {
            "rounds": 0,
            "total": 0.0,
            "smallest": 0.0,
            "largest": 0.0,
            "squares": np.zeros((count, self.terms, self.terms)).tolist(),
            "products": zeros.tolist(),
            "coefficients": zeros.tolist(),
        }

    def probabilities(self, state: State, context: float | None) -> Array:
        costs = np.array(state["coefficients"]) @ self._polynomials(context)
        scale = state["total"] / max(state["rounds"], 1) - state["smallest"]
        gaps = (costs - costs.min()) / scale if scale > 0.0 else np.zeros_like(costs)
        p = 1.0 / (len(costs) + self.greed * state["rounds"] * gaps)
        best = int(costs.argmin())
        p[best] += 1.0 - p.sum()
        return p

    def learn(self, state: State, play: Play) -> State:
        first, i, values = state["rounds"] == 0, play.choice, self._polynomials(play.context)
        smallest = play.cost if first else min(state["smallest"], play.cost)
        largest = play.cost if first else max(state["largest"], play.cost)
        squares = np.array(state["squares"][i]) + np.outer(values, values)
        products = np.array(state["products"][i]) + play.cost * values
        return {
            "rounds": state["rounds"] + 1,
            "total": state["total"] + play.cost,
            "smallest": smallest,
            "largest": largest,
            "squares": _with(state["squares"], i, squares),
            "products": _with(state["products"], i, products),
            "coefficients": _with(state["coefficients"], i, fit(squares, products, self._bounds(smallest, largest))),
        }

    def _polynomials(self, context: float | None) -> Array:
        """``T_0, T_1, ...`` at a context: ``T_j(cos a) = cos(j a)``."""
        assert context is not None
        z = 2.0 * Interval(self.low, self.high).place(context) - 1.0
        return np.cos(np.arange(self.terms) * np.arccos(np.clip(z, -1.0, 1.0)))

    def _bounds(self, smallest: float, largest: float) -> Array:
        slopes = (largest - smallest) / np.arange(1.0, self.terms)
        return np.concatenate([[max(abs(smallest), abs(largest))], slopes])


def fit(squares: Array, products: Array, bounds: Array) -> Array:
    """The minimiser of ``a^T squares a / 2 - products^T a``, with a little ridge, within bounds on ``|a|``."""
    squares = squares + RIDGE * np.eye(len(products))
    free = np.linalg.solve(squares, products)
    if (np.abs(free) <= bounds).all():
        return free
    root, limits = np.linalg.cholesky(squares), np.maximum(bounds, np.finfo(float).tiny)
    return lsq_linear(root.T, np.linalg.solve(root, products), (-limits, limits), method="bvls").x


def _with(rows: list[Any], place: int, row: Array) -> list[Any]:
    """The rows with another one at a place."""
    return [*rows[:place], row.tolist(), *rows[place + 1 :]]
