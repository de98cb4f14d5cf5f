"""A plan as rows of numbers, for a loop that knows nothing of samplers.

There is a memory with places for a few states, and for what the model returned at them. A row says: evaluate the model
at the state in one place, then write a weighted sum of all that is remembered to another. A state that nothing needs
any more leaves its place to the next, so that the memory is as small as the history of the sampler is short.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kutta.solvers.diffusion.plans.plan import Level, Move, Plan, Terms, log_snr_of
from kutta.solvers.diffusion.plans.states import first_uses, last_uses


@dataclass(frozen=True)
class Table:
    """A plan, row by row.

    Attributes:
        size: the number of places; one more, behind them, is for what is not wanted.
        places: of each row, where the model is evaluated, where the sum goes, and the node that is reached, which is
            the number of nodes where it is none: ``(rows, 3)``.
        evaluates: of each row, whether the model is evaluated: 1 or 0.
        levels: of each row, what the model is told, and ``log(alpha / sigma)``: ``(rows, 2)``.
        states: of each row, the weights of the states: ``(rows, size)``.
        outputs: those of what the model returned.
        free: those of what it returned without guidance.
        noise: of each row, the weight of fresh noise.
        last: where the last state is.
    """

    size: int
    places: Tensor
    evaluates: Tensor
    levels: Tensor
    states: Tensor
    outputs: Tensor
    free: Tensor
    noise: Tensor
    last: int


class _Row(NamedTuple):
    at: int | None  # the state at which the model is evaluated
    to: int | None  # the state that is made
    move: Move


def table(plan: Plan) -> Table:
    """The rows of a plan with Python numbers, all of whose predictions are outputs of the model (see `folded`)."""
    rows, homes = _rows(plan), _homes(plan)
    size = 2 * math.ceil((max(homes) + 1) / 2)  # of few different sizes, for each of which a loop is compiled
    nodes: dict[int | None, int] = {state: node for node, state in enumerate(plan.outputs)}

    def place(state: int | None, otherwise: int) -> int:
        return otherwise if state is None else homes[state]

    def weights(kind: str) -> Tensor:
        return _matrix([row.move.predictions.get(kind, {}) for row in rows], homes, size)

    return Table(
        size,
        torch.tensor([(place(row.at, 0), place(row.to, size), nodes.get(row.to, len(nodes))) for row in rows]),
        _numbers([float(row.at is not None) for row in rows]),
        _numbers([_told(plan.levels[row.at or 0]) for row in rows]),
        _matrix([row.move.states for row in rows], homes, size),
        weights("output"),
        weights("free output"),
        _numbers([row.move.noise for row in rows]),
        homes[plan.outputs[-1]],
    )


def _rows(plan: Plan) -> list[_Row]:
    nothing, rows = Move(plan.first, {}, {}), []
    for number, (move, evaluated) in enumerate(zip(plan.moves, first_uses(plan)[1:], strict=True), 1):
        rows += [_Row(state, None, nothing) for state in evaluated[:-1]]
        rows.append(_Row(evaluated[-1] if evaluated else None, number, move))
    return rows


def _homes(plan: Plan) -> list[int]:
    """The place of each state: one that no state needs any more."""
    last, homes, free, most = last_uses(plan), [0], set(), 1
    for number in range(1, len(last)):
        free |= {homes[state] for state in range(number) if max(last[state], state + 1) == number}
        if not free:
            free, most = {most}, most + 1
        homes.append(min(free))
        free.remove(homes[-1])
    return homes


def _told(level: Level) -> tuple[float, float]:
    return float(level.model_t), log_snr_of(level)


def _numbers(values: Sequence[object]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _matrix(terms: Sequence[Terms], homes: Sequence[int], size: int) -> Tensor:
    found = torch.zeros(len(terms), size, dtype=torch.float64)
    for row, weights in enumerate(terms):
        for state, weight in weights.items():
            found[row, homes[state]] = weight
    return found
