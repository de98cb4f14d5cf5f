"""A sampler as a table of numbers: which states and predictions are added up, and with which weights.

Every sampler here, whatever its order, its momentum or its noise, arrives at each new state by a sum

    x_new = sum_i a_i x_i + sum_j b_j F_j + s z

over earlier states ``x_i``, predictions ``F_j`` of the model at earlier states, and fresh noise ``z``. The weights
depend on the noise levels alone; so they are computed once, before the first evaluation of the model, in float64
on the host, and what is left is one loop (`kutta.solvers.diffusion.plans.states`).

States are numbered, the initial one 0. One that is only a stage on the way, a prediction before its correction, or
a state with noise added is a state like any other. The model is evaluated at a state when a prediction there is
first used, and so not at all where none is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.levels.grids import Nodes

# What a model can be asked for: data and noise, what it returns as it is, and all that without guidance.
KINDS = ("data", "noise", "output", "free data", "free noise", "free output")


def is_free(kind: str) -> bool:
    """Whether a kind of prediction is one without guidance."""
    return kind.startswith("free")


Weight = Any  # a number, or a 0-dimensional tensor where it is differentiated
Terms = Mapping[int, Weight]


@dataclass(frozen=True)
class Level:
    """The noise level of a state.

    Attributes:
        t: the time.
        alpha, sigma: factors of data and noise.
        model_t: what the model is told.
    """

    t: Weight
    alpha: Weight
    sigma: Weight
    model_t: Weight


def log_snr_of(level: Level) -> Any:
    """``log(alpha / sigma)`` of a level."""
    if isinstance(level.alpha, Tensor):
        return torch.log(level.alpha) - torch.log(level.sigma)
    if level.alpha == 0.0 or level.sigma == 0.0:
        return math.inf if level.alpha else -math.inf
    return math.log(level.alpha / level.sigma)


@dataclass(frozen=True)
class Move:
    """How a state comes about.

    Attributes:
        level: where it lies.
        states: weights of earlier states.
        predictions: weights of predictions, by kind and by the state at which they were made.
        noise: weight of fresh noise.
    """

    level: Level
    states: Terms
    predictions: Mapping[str, Terms]
    noise: Weight = 0.0

    def terms(
        self, state: Callable[[int], Tensor], prediction: Callable[[str, int], Tensor]
    ) -> list[tuple[Weight, Tensor]]:
        """What is added up, with its weights: all but the noise.

        Args:
            state: the state of a number.
            prediction: of a kind, at the state of a number.
        """
        terms = [(weight, state(number)) for number, weight in self.states.items()]
        for kind, weights in self.predictions.items():
            terms += [(weight, prediction(kind, number)) for number, weight in weights.items()]
        return terms

    @property
    def used(self) -> set[int]:
        """The states that it uses, or predictions made there."""
        return {*self.states, *self.predicted_at}

    @property
    def predicted_at(self) -> set[int]:
        """The states whose predictions it uses."""
        return {number for weights in self.predictions.values() for number in weights}


@dataclass(frozen=True)
class Plan:
    """All that a sampler does.

    Attributes:
        first: the level of the initial state.
        moves: how states 1, 2, ... come about.
        outputs: the state at each node of the grid.
    """

    first: Level
    moves: tuple[Move, ...]
    outputs: tuple[int, ...]

    @cached_property
    def levels(self) -> tuple[Level, ...]:
        """The level of each state."""
        return (self.first, *(move.level for move in self.moves))

    @cached_property
    def evaluated(self) -> tuple[int, ...]:
        """The states at which the model is evaluated, in order."""
        return tuple(sorted({state for move in self.moves for state in move.predicted_at}))

    @property
    def evaluations(self) -> int:
        """How often the model is evaluated."""
        return len(self.evaluated)

    @property
    def stochastic(self) -> bool:
        """Whether noise is added."""
        return any(bool(move.noise != 0.0) for move in self.moves)

    def fixed(self) -> Plan:
        """The same with Python numbers for weights, and without those that are zero."""
        moves = [
            Move(
                _fixed_level(move.level),
                _fixed(move.states),
                {kind: kept for kind, terms in move.predictions.items() if (kept := _fixed(terms))},
                float(move.noise),
            )
            for move in self.moves
        ]
        return replace(self, first=_fixed_level(self.first), moves=tuple(moves))


def _fixed(terms: Terms) -> dict[int, float]:
    return {key: number for key, weight in terms.items() if (number := float(weight)) != 0.0}


def _fixed_level(level: Level) -> Level:
    return Level(float(level.t), float(level.alpha), float(level.sigma), float(level.model_t))


@dataclass
class Draft:
    """A plan being written, along the nodes of a grid.

    Attributes:
        nodes: the grid.
        moves: those so far.
        outputs: the states at the nodes so far.
    """

    nodes: Nodes
    moves: list[Move] = field(default_factory=list)
    outputs: list[int] = field(default_factory=lambda: [0])

    def level(self, node: int) -> Level:
        """The level of a node."""
        nodes = self.nodes
        return Level(nodes.t[node], nodes.alpha[node], nodes.sigma[node], nodes.model_t[node])

    def level_of(self, state: int) -> Level:
        """The level of a state."""
        return self.moves[state - 1].level if state else self.level(0)

    def between(self, t: Weight) -> Level:
        """The level of a time that is no node."""
        schedule = self.nodes.schedule
        return Level(t, schedule.alpha(t), schedule.sigma(t), schedule.model_time(t))

    def add(
        self, level: Level, states: Terms, predictions: Mapping[str, Terms] | None = None, noise: Weight = 0.0
    ) -> int:
        """Write down a state that is none of the grid's, and return its number."""
        self.moves.append(Move(level, dict(states), dict(predictions or {}), noise))
        return len(self.moves)

    def arrive(
        self, node: int, states: Terms, predictions: Mapping[str, Terms] | None = None, noise: Weight = 0.0
    ) -> int:
        """Write down the state at the next node of the grid, and return its number."""
        assert node == len(self.outputs), (node, self.outputs)
        self.outputs.append(self.add(self.level(node), states, predictions, noise))
        return self.outputs[-1]

    def plan(self) -> Plan:
        """What has been written."""
        assert len(self.outputs) == self.nodes.steps + 1, (self.outputs, self.nodes.steps)
        return Plan(self.level(0), tuple(self.moves), tuple(self.outputs))
