"""A sampler as a table of numbers: which states and predictions are added up, and with which weights.

Every sampler here, whatever its order, its momentum or its noise, arrives at each new state by a sum

    x_new = sum_i a_i x_i + sum_j b_j F_j + s z

over earlier states ``x_i``, predictions ``F_j`` of the model at earlier states, and fresh noise ``z``. The weights
depend on the noise levels alone; so they are computed once, before the first evaluation of the model, in float64
on the host, and what is left is one loop (`kutta.solvers.diffusion.sampling`).

States are numbered, the initial one 0. One that is only a stage on the way, a prediction before its correction, or
a state with noise added is a state like any other. The model is evaluated at a state when a prediction there is
first used, and so not at all where none is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.diffusion.grids import Nodes

# What a model can be asked for: data and noise, and both without guidance.
KINDS = ("data", "noise", "free data", "free noise")
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

    @property
    def levels(self) -> tuple[Level, ...]:
        """The level of each state."""
        return (self.first, *(move.level for move in self.moves))

    @property
    def evaluated(self) -> tuple[int, ...]:
        """The states at which the model is evaluated, in order."""
        used = {state for move in self.moves for terms in move.predictions.values() for state in terms}
        return tuple(sorted(used))

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


def detached(nodes: Nodes) -> Nodes:
    """Nodes that carry no gradients."""
    names = ("t", "alpha", "sigma", "log_snr", "model_t")
    return Nodes(**{name: getattr(nodes, name).detach() for name in names})


def is_finite(value: Weight) -> bool:
    """Whether a number is neither infinite nor NaN."""
    return bool(torch.isfinite(torch.as_tensor(value)))


__all__ = ["KINDS", "Draft", "Level", "Move", "Plan", "Tensor", "Terms", "Weight", "detached", "is_finite"]
