"""Momentum: a velocity takes the place of the prediction that a step is made with.

The step of a deterministic sampler is ``x_{n+1} = a_n x_n + g_n F_n``, where `F_n` is a weighted average of
predictions of one kind and the gain `g_n` the sum of their weights. With momentum it is

    x_{n+1} = a_n x_n + g_n u_n,    u_n = sum_{k >= 1} r_k u_{n-k} + sum_{j >= 0} w_j F_{n-j},

a recursion whose weights sum to 1. No velocity is stored, for ``u_n = (x_{n+1} - a_n x_n) / g_n``: momentum changes
nothing but the weights of a plan. Before the first step all velocities and averages are taken to be `F_0`, so that
step is the one without momentum.

Predictors and correctors, which lead to the same node, have a velocity each. Nodes that serve as stages of a longer
step have one like all nodes; stages between two nodes are left as they are, and so are steps from a state without data
or to one without noise; the velocity starts after the first of those, and anew where the kind of the predictions
changes. Euler's step is the same with both kinds, so it is taken for one of the kind of the others.

Source: Wizadwongsa et al., Diffusion sampling with momentum for mitigating divergence artifacts, 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kutta.solvers.diffusion.levels.conversions import factors
from kutta.solvers.diffusion.plans.plan import Level, Move, Plan, Terms, Weight

# The weights of earlier velocities and those of averages, newest first, for the last of the steps between some levels.
Recursion = Callable[[Sequence[Level]], tuple[Sequence[Weight], Sequence[Weight]]]


@dataclass(frozen=True)
class Increment:
    """A step taken apart: ``x_number = factor x_state + gain F``.

    Attributes:
        number: of the new state.
        state: of the one that it starts from.
        factor: of that one.
        gain: the sum of the weights of the predictions.
        kind: of the predictions.
        average: their weights, divided by the gain.
        start: the level that the step starts from.
        level: that it leads to.
    """

    number: int
    state: int
    factor: Weight
    gain: Weight
    kind: str
    average: Terms
    start: Level
    level: Level

    @property
    def is_euler(self) -> bool:
        """Whether the only prediction is that at the state where the step starts."""
        return set(self.average) == {self.state}

    def in_kind(self, kind: str) -> Increment:
        """The same step by predictions of another kind, where it is Euler's; otherwise as it is."""
        if kind == self.kind or not self.is_euler or {kind, self.kind} != {"data", "noise"}:
            return self
        p, q = factors("epsilon" if kind == "noise" else "data", self.kind, self.start.alpha, self.start.sigma)
        return replace(self, factor=self.factor + self.gain * p, gain=self.gain * q, kind=kind)


def with_momentum(plan: Plan, recursion: Recursion, base: Any) -> Plan:
    """The plan with velocities in place of averaged predictions.

    Args:
        plan: that of a sampler without momentum.
        recursion: makes the velocities.
        base: the sampler, for the errors.

    Raises:
        ValueError: where noise is added, or a step is no factor of one state and an average of one kind.
    """
    if plan.stochastic:
        raise _unfit(base, "adds noise: use it without")
    tracks: dict[int, list[Increment]] = {}
    moves = list(plan.moves)
    for role, step in _increments(plan, base):
        track = tracks.setdefault(role, [])
        if track and track[-1].kind != step.kind:
            track.clear()
        track.append(step)
        moves[step.number - 1] = _driven(track, recursion)
    return replace(plan, moves=tuple(moves))


def _increments(plan: Plan, base: Any) -> list[tuple[int, Increment]]:
    """The steps that have a velocity, with their roles; Euler's steps in the kind of the others."""
    levels = plan.levels
    found = [
        (role, _taken_apart(number, move, levels, base))
        for number, (role, move) in enumerate(zip(_roles(plan), plan.moves, strict=True), 1)
        if role is not None and not _is_extreme(move.level)
    ]
    found = [(role, step) for role, step in found if not _is_extreme(step.start)]
    kinds = {role: step.kind for role, step in reversed(found) if not step.is_euler}
    return [(role, step.in_kind(kinds.get(role, step.kind))) for role, step in found]


def _roles(plan: Plan) -> Iterator[int | None]:
    """For each move: 0 for the first that leads to a node of the grid, 1 for its correction; or None for a stage."""
    for before, after in zip(plan.outputs[:-1], plan.outputs[1:], strict=True):
        node, role = plan.levels[after], 0
        for move in plan.moves[before:after]:
            arrives = bool(move.level.t == node.t and move.level.sigma == node.sigma)
            yield role if arrives else None
            role += arrives


def _taken_apart(number: int, move: Move, levels: Sequence[Level], base: Any) -> Increment:
    states = _present(move.states)
    kinds = {kind: kept for kind, terms in move.predictions.items() if (kept := _present(terms))}
    if len(states) != 1:
        raise _unfit(base, "adds up several states, as momentum itself does: apply momentum once")
    if len(kinds) != 1:
        raise _unfit(base, "adds up predictions of several kinds")
    ((state, factor),), ((kind, terms),) = states.items(), kinds.items()
    gain = sum(terms.values())
    average = {one: weight / gain for one, weight in terms.items()}
    return Increment(number, state, factor, gain, kind, average, levels[state], move.level)


def _unfit(base: Any, reason: str) -> ValueError:
    return ValueError(
        "base must be a sampler whose every step is a factor of one state and an average of predictions of one kind, "
        f"such as kutta.DDIM(); {base!r} {reason}"
    )


def _present(terms: Terms) -> dict[int, Weight]:
    return {key: weight for key, weight in terms.items() if bool(weight != 0.0)}


def _is_extreme(level: Level) -> bool:
    """Whether there is no data, or no noise."""
    return bool(level.alpha == 0.0) or bool(level.sigma == 0.0)


def _driven(track: Sequence[Increment], recursion: Recursion) -> Move:
    """The last step of a track, moved by its velocity."""
    step, past = track[-1], track[-2::-1]
    velocities, averages = recursion([track[0].start, *(one.level for one in track)])
    states, predictions = {step.state: step.factor}, {}
    for k, weight in enumerate(velocities):
        if k < len(past):
            share = step.gain * weight / past[k].gain
            _add(states, {past[k].number: 1.0, past[k].state: -past[k].factor}, share)
        else:
            _add(predictions, track[0].average, step.gain * weight)
    for j, weight in enumerate(averages):
        _add(predictions, track[max(len(track) - 1 - j, 0)].average, step.gain * weight)
    return Move(step.level, _present(states), {step.kind: _present(predictions)})


def _add(total: dict[int, Weight], terms: Terms, weight: Weight) -> None:
    for key, one in terms.items():
        total[key] = total.get(key, 0.0) + weight * one
