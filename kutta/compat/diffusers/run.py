"""A plan cut at the evaluations of the model, to be run from one to the next.

`kutta.solvers.diffusion.plans.states.states` calls the model. Here whoever calls the model comes with its output, again
and again; what is known in between is in one object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from kutta.solvers.diffusion.levels.conversions import Pair, factors
from kutta.solvers.diffusion.plans.folding import folded
from kutta.solvers.diffusion.plans.plan import Level, Move, Plan
from kutta.solvers.diffusion.plans.states import kinds_by_state, last_uses
from kutta.solvers.diffusion.plans.sums import weighted_sum


@dataclass(frozen=True)
class Stretch:
    """What is done between one evaluation of the model and the next.

    Attributes:
        state: the number of the state at which the model was evaluated.
        level: its level.
        to_data: factors of state and output in the prediction of the data, where that takes the place of the output.
        kinds: factors of state and output in the predictions that are used later; ``None`` for the output itself.
        moves: those up to the next evaluation, with their numbers.
        forgotten: the states that nothing uses any more.
        reached: the number of the state for the next evaluation, or of the last one.
    """

    state: int
    level: Level
    to_data: Pair | None
    kinds: dict[str, Pair | None]
    moves: tuple[tuple[int, Move], ...]
    forgotten: tuple[int, ...]
    reached: int


def stretches(plan: Plan, prediction: str, limited: bool) -> tuple[Stretch, ...]:
    """A plan with Python numbers, cut.

    Args:
        plan: what is done; the model is evaluated at the initial state first.
        prediction: what the model returns.
        limited: whether the prediction of the data is changed before it is used.
    """
    used = "data" if limited else prediction
    plan = folded(plan, used)
    stops, levels, kinds, last = plan.evaluated, plan.levels, kinds_by_state(plan), last_uses(plan)
    found, before = [], 0
    for state, after in zip(stops, (*stops[1:], plan.outputs[-1]), strict=True):
        level = levels[state]
        found.append(
            Stretch(
                state,
                level,
                factors(prediction, "data", level.alpha, level.sigma) if limited else None,
                {kind: _factors(used, kind, level) for kind in kinds[state]},
                tuple(enumerate(plan.moves[before:after], before + 1)),
                tuple(one for one, number in enumerate(last) if before < number <= after),
                after,
            )
        )
        before = after
    return tuple(found)


def _factors(prediction: str, kind: str, level: Level) -> Pair | None:
    return None if kind == "output" else factors(prediction, kind, level.alpha, level.sigma)


@dataclass
class Run:
    """All that changes while a plan is run.

    Attributes:
        path: the plan, cut.
        limit: changes the predictions of the data, or ``None``.
        first: the place of the first evaluation among all.
        place: the number of evaluations that have been used.
        states: those that are still needed, by number.
        predictions: likewise, by state and kind.
    """

    path: tuple[Stretch, ...]
    limit: Callable[[Tensor], Tensor] | None = None
    first: int = 0
    place: int = 0
    states: dict[int, Tensor] = field(default_factory=dict)
    predictions: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def go(self, x: Tensor, output: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
        """The state for the next evaluation.

        Args:
            x: the state at which the model was evaluated.
            output: what it returned, of the same dtype.
            noise: standard normal numbers like a state.
        """
        stretch = self.path[self.place]
        self.states[stretch.state] = x
        self.predictions[stretch.state] = self._predicted(stretch, x, output)
        for number, move in stretch.moves:
            self.states[number] = weighted_sum(self._terms(move, x, noise), x)
        found = self.states[stretch.reached]
        for state in stretch.forgotten:
            self.states.pop(state, None)
            self.predictions.pop(state, None)
        self.place += 1
        return found

    def _predicted(self, stretch: Stretch, x: Tensor, output: Tensor) -> dict[str, Tensor]:
        if self.limit is not None and stretch.to_data is not None:
            output = self.limit(_combined(stretch.to_data, x, output))
        kinds = stretch.kinds.items()
        return {kind: output if pair is None else _combined(pair, x, output) for kind, pair in kinds}

    def _terms(self, move: Move, x: Tensor, noise: Callable[[Tensor], Tensor]) -> list[tuple[Any, Tensor]]:
        terms = move.terms(self.states.__getitem__, lambda kind, state: self.predictions[state][kind])
        return terms if move.noise == 0.0 else [*terms, (move.noise, noise(x))]


def _combined(pair: Pair, x: Tensor, output: Tensor) -> Tensor:
    return weighted_sum([(weight, one) for weight, one in zip(pair, (x, output), strict=True) if weight != 0.0], x)
