"""One loop for all samplers: go through a plan, evaluate the model where it is needed, add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import Tensor

from kutta.solvers.diffusion.plans.plan import Plan
from kutta.solvers.diffusion.plans.sums import weighted_sum

Evaluate = Callable[[Tensor, Any, Iterable[str]], dict[str, Tensor]]


def states(plan: Plan, evaluate: Evaluate, x: Tensor, noise: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """The states of a plan from the first move on, one after the other.

    Args:
        plan: what is done.
        evaluate: predictions of some kinds at a state and its level.
        x: the initial state.
        noise: standard normal numbers like a state.
    """
    levels, kinds, first = plan.levels, kinds_by_state(plan), first_uses(plan)
    last_states, last = last_states_of(plan), last_uses(plan)
    known: dict[int, Tensor] = {0: x}
    predicted: dict[int, dict[str, Tensor]] = {}
    for number, move in enumerate(plan.moves, 1):
        for state in first[number]:
            predicted[state] = evaluate(known[state], levels[state], kinds[state])
        terms = move.terms(known.__getitem__, lambda kind, state: predicted[state][kind])
        if not isinstance(move.noise, float) or move.noise != 0.0:
            terms.append((move.noise, noise(x)))
        known[number] = weighted_sum(terms, x)
        del terms
        yield known[number]
        for state in [one for one in known if last_states[one] <= number]:
            known.pop(state)
        for state in [one for one in predicted if last[one] <= number]:
            predicted.pop(state)


def kinds_by_state(plan: Plan) -> dict[int, tuple[str, ...]]:
    """The kinds of predictions that are used of each state."""
    found: dict[int, tuple[str, ...]] = {}
    for move in plan.moves:
        for kind, terms in move.predictions.items():
            for state in terms:
                found[state] = tuple(dict.fromkeys((*found.get(state, ()), kind)))
    return found


def first_uses(plan: Plan) -> list[list[int]]:
    """For each move the states at which the model is evaluated, as it is the first to use what comes of that."""
    found, known = [[]], set()
    for move in plan.moves:
        found.append(sorted(move.predicted_at - known))
        known.update(found[-1])
    return found


def last_states_of(plan: Plan) -> list[int]:
    """The last move that needs each state itself, to add it or to evaluate the model there; its own if none does."""
    last = list(range(len(plan.moves) + 1))
    for number, (move, evaluated) in enumerate(zip(plan.moves, first_uses(plan)[1:], strict=True), 1):
        for state in (*move.states, *evaluated):
            last[state] = number
    return last


def last_uses(plan: Plan) -> list[int]:
    """The last move that uses each state or a prediction there; its own if none does."""
    last = list(range(len(plan.moves) + 1))
    for number, move in enumerate(plan.moves, 1):
        for state in move.used:
            last[state] = number
    return last
