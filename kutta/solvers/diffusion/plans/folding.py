"""A plan in terms of what the model returns: conversions become weights, and cost no operation of their own.

A prediction is ``F = p x + q output`` with two numbers (`kutta.solvers.diffusion.levels.conversions`), so that

    x_new = ... + b F_j   is   ... + (b p) x_j + (b q) output_j

One that is used often is better converted once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kutta.solvers.diffusion.levels.conversions import factors
from kutta.solvers.diffusion.plans.plan import Level, Move, Plan, is_free

# A conversion takes two operations, and each use of one that is folded into the weights at most one more.
MOST_USES = 2


def folded(plan: Plan, prediction: str, most_uses: float = MOST_USES) -> Plan:
    """The same plan, with predictions that are used rarely as outputs of the model.

    Args:
        plan: with Python numbers for weights.
        prediction: what the model returns.
        most_uses: what is rare.
    """
    uses = Counter((kind, state) for move in plan.moves for kind, terms in move.predictions.items() for state in terms)
    rare = {use for use, count in uses.items() if count <= most_uses}
    return replace(plan, moves=tuple(_folded(move, plan.levels, rare, prediction) for move in plan.moves))


def _folded(move: Move, levels: tuple[Level, ...], rare: set[tuple[str, int]], prediction: str) -> Move:
    states = defaultdict(float, move.states)
    predictions: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for kind, state, weight in _terms(move.predictions):
        if (kind, state) not in rare:
            predictions[kind][state] += weight
            continue
        p, q = factors(prediction, kind.split()[-1], levels[state].alpha, levels[state].sigma)
        states[state] += weight * p
        predictions["free output" if is_free(kind) else "output"][state] += weight * q
    return replace(
        move, states=_nonzero(states), predictions={kind: _nonzero(terms) for kind, terms in predictions.items()}
    )


def _terms(predictions: Mapping[str, Mapping[int, Any]]) -> list[tuple[str, int, Any]]:
    return [(kind, state, weight) for kind, terms in predictions.items() for state, weight in terms.items()]


def _nonzero(terms: Mapping[int, float]) -> dict[int, float]:
    return {state: weight for state, weight in terms.items() if weight != 0.0}
