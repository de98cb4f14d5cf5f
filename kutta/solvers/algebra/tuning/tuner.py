"""A tuner of one parameter: it suggests a value, is told the cost, and learns."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.algebra.tuning.strategy import Array, Play, Strategy, check_alike, checked_count, checked_number
from kutta.solvers.algebra.tuning.tsallis_inf import TsallisINF

Value = TypeVar("Value")

LARGEST_COST = 1e150


class Tuner(Generic[Value]):
    """Learns from one solve to the next which value of a parameter is cheapest.

    Nothing is solved twice: each system is solved once with the value that `suggest` names, and its cost, such as the
    number of iterations, is all that `report` is told. The parameter may be any: a relaxation, the weight of a
    smoother, a preconditioner, the length of a restart; the values are any objects.

    With a number that says what kind of system comes next, such as a shift or the size of a step, the choice can
    depend on it: `ChebyshevBandit` learns costs as smooth functions of it, `Binned` assumes nothing.

    A tuner draws from its seed and the number of the round, so that with the same seed and the same costs it suggests
    the same values, also after `load_state_dict`.

    Args:
        values: what may be suggested, one or more objects; or a tensor of numbers.
        strategy: how to choose; by default `TsallisINF`, which knows no context.
        seed: of what is drawn.

    Attributes:
        values: the list of them.
        rounds: how many costs were reported.

    Raises:
        ValueError, TypeError: for no values, or what is no strategy.

    Example:
        A sequence of systems ``(A + c I) x = b``, with a relaxation that is learned as they are solved:

        >>> import torch, kutta as kt
        >>> bands = torch.tensor([[-1.0], [2.0], [-1.0]], dtype=torch.float64).expand(3, 20)
        >>> laplacian = kt.algebra.Banded(bands, (-1, 0, 1), definite=True).dense(bands[0])
        >>> b, eye = torch.ones_like(bands[0]), torch.eye(20, dtype=torch.float64)
        >>> tuner = kt.algebra.Tuner([1.2, 1.5, 1.8], kt.algebra.ChebyshevBandit(0.02, 1.02))
        >>> for k in range(80):
        ...     c = 0.02 + (0.618 * k) % 1.0
        ...     problem = kt.LinearProblem(kt.algebra.Dense(laplacian + c * eye, definite=True), b)
        ...     sol = kt.solve(problem, kt.SOR(tuner.suggest(c)), rtol=1e-8)
        ...     tuner.report(sol.stats.steps)
        >>> tuner.favourite(0.02), tuner.favourite(1.0)
        (1.8, 1.2)

        Where a value may make the solve fail, solve with ``throw=False`` and a ``max_steps``, which is then its cost.
    """

    def __init__(self, values: Iterable[Value], strategy: Strategy | None = None, seed: int = 0):
        self.values: list[Value] = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
        if not self.values:
            raise ValueError("values must hold at least one value; got none")
        self.strategy = TsallisINF() if strategy is None else strategy
        if not isinstance(self.strategy, Strategy):
            raise TypeError(f"strategy must be such as kutta.algebra.TsallisINF(); got {strategy!r}")
        checked_count("seed", seed, 0)
        self.seed, self.rounds = seed, 0
        self._state = self.strategy.begin(len(self.values))
        self._waiting: dict[str, Any] | None = None

    def suggest(self, context: Any = None) -> Value:
        """The value to solve the next system with.

        Args:
            context: a number that says what system comes, for strategies with a context.

        Raises:
            RuntimeError: before the cost of the last suggestion was reported.
            ValueError, TypeError: for a context that is missing, not asked for, outside its interval or no number.
        """
        if self._waiting is not None:
            raise RuntimeError("suggest() was called twice: report() the cost of the last suggestion first")
        context = self.strategy.checked(context)
        p = self._probabilities(context)
        drawn = np.random.default_rng((self.seed, self.rounds)).random()
        choice = min(int(np.searchsorted(p.cumsum(), drawn, side="right")), len(p) - 1)
        self._waiting = {"choice": choice, "probability": float(p[choice]), "context": context}
        return self.values[choice]

    def report(self, cost: Any) -> None:
        """Say what the last suggestion cost; the less the better.

        Args:
            cost: a number, such as iterations, seconds or an error.

        Raises:
            RuntimeError: without a suggestion.
            ValueError, TypeError: for a cost that is no finite number, beyond 1e150, or below what the strategy was
                told; the suggestion keeps waiting for one.
        """
        if self._waiting is None:
            raise RuntimeError("report() needs a suggestion: call suggest() first, and report its cost once")
        if isinstance(cost, Tensor) and cost.numel() != 1:
            raise ValueError(
                f"cost must be one number; got a tensor of shape {tuple(cost.shape)}: report such as its mean()"
            )
        number = checked_number("cost", cost)
        if abs(number) > LARGEST_COST:
            raise ValueError(f"cost must lie between -1e150 and 1e150, so that costs add up; got {number:g}")
        play = Play(**self._waiting, cost=number)
        self._state = self.strategy.learn(self._state, play)
        self._waiting, self.rounds = None, self.rounds + 1

    def probabilities(self, context: Any = None) -> Tensor:
        """With which each value would be suggested now, ``(values,)``, float64."""
        return torch.from_numpy(self._probabilities(self.strategy.checked(context)))

    def favourite(self, context: Any = None) -> Value:
        """The value that would most probably be suggested now."""
        return self.values[int(self.probabilities(context).argmax())]

    def state_dict(self) -> dict[str, Any]:
        """All that was learned, in numbers, strings, lists and dictionaries, which JSON can hold."""
        state = {"seed": self.seed, "rounds": self.rounds, "waiting": self._waiting, "learned": self._state}
        return copy.deepcopy({**self._identity(), **state})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError, TypeError: for the state of a tuner with another strategy or other values, and for what is no
                state; the tuner is then as it was.
        """
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dictionary such as state_dict() gives; got {type(state).__name__}")
        missing = self.state_dict().keys() - state.keys()
        if missing:
            raise ValueError(f"state must be such as state_dict() gives; it lacks {', '.join(sorted(missing))}")
        for name, own in self._identity().items():
            if state[name] != own:
                raise ValueError(f"the state is that of another tuner: its {name} is {state[name]!r}, here {own!r}")
        state = copy.deepcopy(state)
        for name in ("seed", "rounds"):
            checked_count(f"{name} of the state", state[name], 0)
        self.strategy.check_state(state["learned"], len(self.values))
        self._check_waiting(state["waiting"])
        self.seed, self.rounds = state["seed"], state["rounds"]
        self._waiting, self._state = state["waiting"], state["learned"]

    def _check_waiting(self, waiting: Any) -> None:
        """Refuse what is no suggestion of this tuner that waits for its cost."""
        if waiting is None:
            return
        check_alike("waiting", waiting, {"choice": 0, "probability": 0.0, "context": None})
        if waiting["choice"] >= len(self.values) or not 0.0 < waiting["probability"] <= 1.0:
            raise ValueError(
                f"waiting must name one of {len(self.values)} choices and a probability above 0, up to 1; got {waiting}"
            )
        self.strategy.checked(waiting["context"])

    def _identity(self) -> dict[str, Any]:
        """What two tuners have in common that go on from each other; of values that are no data, their kinds."""
        values = [one if isinstance(one, int | float | str) else type(one).__name__ for one in self.values]
        return {"strategy": repr(self.strategy), "values": values}

    def _probabilities(self, context: float | None) -> Array:
        return self.strategy.probabilities(self._state, context)
