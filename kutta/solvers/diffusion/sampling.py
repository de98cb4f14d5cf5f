"""One loop for all samplers: go through a plan, evaluate the model where it is needed, add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.diffusion.denoiser import Denoiser
from kutta.solvers.diffusion.folding import folded
from kutta.solvers.diffusion.noise import Noise
from kutta.solvers.diffusion.plan import Plan
from kutta.solvers.diffusion.sums import weighted_sum

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
        terms = [(weight, known[state]) for state, weight in move.states.items()]
        terms += [
            (weight, predicted[state][kind])
            for kind, weights in move.predictions.items()
            for state, weight in weights.items()
        ]
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
        found.append(sorted({state for terms in move.predictions.values() for state in terms} - known))
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
        for terms in (move.states, *move.predictions.values()):
            for state in terms:
                last[state] = number
    return last


def follow(
    problem: DiffusionProblem, plan: Plan, *, every: bool, generator: Any, watch: Callable[[float], None], throw: bool
) -> Solution:
    """Go through a plan.

    Args:
        problem: what is sampled; its state is checked.
        plan: what is done, with Python numbers.
        every: whether the states at all nodes are returned, and not only the last one.
        generator: of the noise; see `Noise`.
        watch: called with the time after every step of the grid.
        throw: raise `SolveError` where the samples are not finite.
    """
    x = problem.x.to(torch.promote_types(problem.x.dtype, torch.float32))
    denoiser, noise = Denoiser(problem, x.dtype), Noise(generator)
    times = [plan.levels[one].t for one in plan.outputs]
    wanted, kept, sums, state = set(plan.outputs), [x], [x.detach().sum()], x
    for number, state in enumerate(states(folded(plan, problem.prediction), denoiser, x, noise), 1):
        if number in wanted:
            watch(plan.levels[number].t)
            sums.append(state.detach().sum())
            kept = [*kept, state] if every else kept
    ts = torch.tensor(times if every else times[-1:], dtype=torch.float64)
    ys = torch.stack(kept if every else [state]).to(problem.x.dtype)
    broken = _first_broken(sums, ys[-1])
    solution = Solution(
        ts=ts,
        ys=ys,
        y1=ys[-1],
        t1=ts[-1],
        stats=Stats(len(times) - 1, len(times) - 1, 0, denoiser.evaluations),
        result=Result.SUCCESS if broken is None else Result.NON_FINITE,
    )
    if broken is not None and throw:
        raise SolveError(Result.NON_FINITE, times[broken - 1], times[broken] - times[broken - 1], solution=solution)
    return solution


def _first_broken(sums: Sequence[Tensor], y1: Tensor) -> int | None:
    """The first node at which the state is infinite or NaN, if the last one is: the only time that the host waits.

    Args:
        sums: of the entries of the states at the nodes. One that is infinite though the entries are finite, as they are
            huge, means nothing.
        y1: the last state.
    """
    finite = torch.isfinite(torch.stack([*sums, y1.detach().sum()])).tolist()
    if finite[-1] or bool(torch.isfinite(y1.detach()).all()):
        return None
    return next((node for node in range(1, len(sums)) if not finite[node]), len(sums) - 1)
