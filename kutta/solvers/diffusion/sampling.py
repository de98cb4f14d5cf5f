"""One loop for all samplers: go through a plan, evaluate the model where it is needed, add up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.problems import DiffusionProblem
from kutta.solution import Result, Solution, SolveError, Stats
from kutta.solvers.diffusion.denoiser import Denoiser
from kutta.solvers.diffusion.noise import Noise
from kutta.solvers.diffusion.plan import Plan

Evaluate = Callable[[Tensor, Any, Iterable[str]], dict[str, Tensor]]


def states(plan: Plan, evaluate: Evaluate, x: Tensor, noise: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """The states of a plan from the first move on, one after the other.

    Args:
        plan: what is done.
        evaluate: predictions of some kinds at a state and its level.
        x: the initial state.
        noise: standard normal numbers like a state.
    """
    levels, kinds, last = plan.levels, kinds_by_state(plan), last_uses(plan)
    known: dict[int, Tensor] = {0: x}
    predicted: dict[int, dict[str, Tensor]] = {}
    for number, move in enumerate(plan.moves, 1):
        for state in sorted({state for terms in move.predictions.values() for state in terms} - predicted.keys()):
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
        yield known[number]
        for state in [one for one in known if last[one] <= number]:
            known.pop(state)
            predicted.pop(state, None)


def kinds_by_state(plan: Plan) -> dict[int, tuple[str, ...]]:
    """The kinds of predictions that are used of each state."""
    found: dict[int, tuple[str, ...]] = {}
    for move in plan.moves:
        for kind, terms in move.predictions.items():
            for state in terms:
                found[state] = tuple(dict.fromkeys((*found.get(state, ()), kind)))
    return found


def last_uses(plan: Plan) -> list[int]:
    """The last move that uses each state or a prediction there; its own if none does."""
    last = list(range(len(plan.moves) + 1))
    for number, move in enumerate(plan.moves, 1):
        for terms in (move.states, *move.predictions.values()):
            for state in terms:
                last[state] = number
    return last


def weighted_sum(terms: Sequence[tuple[Any, Tensor]], like: Tensor) -> Tensor:
    """``sum_i w_i x_i``; weights are Python numbers, or tensors of one number or one a sample."""
    if not terms:
        return torch.zeros_like(like)
    (weight, tensor), *others = terms
    total = tensor * _along(weight, tensor)
    in_place = not torch.is_grad_enabled()
    for weight, tensor in others:
        if isinstance(weight, Tensor):
            total = total + _along(weight, tensor) * tensor
        else:
            total = total.add_(tensor, alpha=weight) if in_place else torch.add(total, tensor, alpha=weight)
    return total


def _along(weight: Any, x: Tensor) -> Any:
    if not isinstance(weight, Tensor):
        return weight
    return weight.to(x) if weight.dim() == 0 else weight.to(x).reshape(-1, *[1] * (x.dim() - 1))


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
    wanted, kept, state = set(plan.outputs), [x], x
    for number, state in enumerate(states(plan, denoiser, x, noise), 1):
        if number in wanted:
            watch(plan.levels[number].t)
            kept = [*kept, state] if every else kept
    kept = kept if every else [state]
    outputs = plan.outputs if every else plan.outputs[-1:]
    ts = torch.tensor([plan.levels[one].t for one in outputs], dtype=torch.float64)
    ys = torch.stack(kept).to(problem.x.dtype)
    finite = bool(torch.isfinite(ys[-1]).all())
    steps = len(plan.outputs) - 1
    solution = Solution(
        ts=ts,
        ys=ys,
        y1=ys[-1],
        t1=ts[-1],
        stats=Stats(steps, steps, 0, denoiser.evaluations),
        result=Result.SUCCESS if finite else Result.NON_FINITE,
    )
    if not finite and throw:
        t0, t1 = (plan.levels[one].t for one in plan.outputs[-2:])
        raise SolveError(Result.NON_FINITE, t1, t1 - t0, solution=solution)
    return solution
