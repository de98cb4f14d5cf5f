"""What a surrogate is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.operators.operator import Operator
from kutta.operators.scope import SOURCE, STATE, Scope, parts_of, read_inputs, scope_of
from kutta.operators.surrogate.samples import lead_of
from kutta.pde.grids.grid import Grid
from kutta.pde.problem import PDEProblem


@dataclass(frozen=True, eq=False)
class Question:
    """A problem as a model sees it.

    Attributes:
        problem: as the user wrote it.
        scope: of the model.
        lead: the axes of its samples.
        a: what the model reads, ``(n, channels, *shape)``.
        steps: calls to the final time.
        kept: after how many calls states are wanted.
        start: the initial time; 0 for equations without time.
    """

    problem: Any
    scope: Scope
    lead: tuple[int, ...]
    a: Tensor
    steps: int
    kept: tuple[int, ...]
    start: float

    @classmethod
    def of(cls, problem: Any, model: Any, save_at: Any) -> Question:
        """What a problem asks a model.

        Raises:
            TypeError, ValueError: for a problem that the model cannot be asked.
        """
        parts_of(problem)
        scope = _scope_of_any(problem, model) if isinstance(model, Operator) else model.scope
        lead, steps = lead_of(problem), steps_of(problem, scope)
        a = read_inputs(problem, scope.inputs)
        if a.is_complex():
            raise TypeError(f"a surrogate reads real fields; got {a.dtype}")
        if 0 in lead:
            raise ValueError(f"the problem must have at least one sample; its axes of samples are {lead}")
        each = a.shape[a.dim() - problem.grid.dim - 1 :]
        start = float(problem.t_span[0]) if isinstance(problem, PDEProblem) else 0.0
        kept = kept_steps(save_at, start, scope, steps)
        return cls(problem, scope, lead, a.expand(*lead, *each).reshape(-1, *each), steps, kept, start)

    @property
    def grid(self) -> Grid:
        """Of the problem."""
        return self.problem.grid

    @property
    def times(self) -> Tensor:
        """Of the states that are wanted."""
        calls = torch.tensor(self.kept, dtype=torch.float64, device=self.a.device)
        return self.start + (self.scope.step or 0.0) * calls

    def shaped(self, states: Tensor) -> Tensor:
        """``(T, n, o, *shape)`` as the user has states: with the axes of samples, and none for a single component."""
        states = states.squeeze(2) if len(self.scope.components) == 1 else states
        return states.reshape(len(states), *self.lead, *states.shape[2:])


def _scope_of_any(problem: Any, network: Operator) -> Scope:
    """That of a network of which nothing is known: the problem itself."""
    inputs = (STATE,)
    if not isinstance(problem, PDEProblem):
        inputs = ("coefficient",) if hasattr(problem.equation, "coefficient") else (SOURCE,)
    a = read_inputs(problem, inputs)
    return scope_of(problem, inputs, a.reshape(-1, *a.shape[a.dim() - problem.grid.dim - 1 :]))


def steps_of(problem: Any, scope: Scope) -> int:
    """How many calls lead to the final time; one for equations without time.

    Raises:
        ValueError: for a problem of another kind, and a time span that is no whole number of steps.
    """
    timed = isinstance(problem, PDEProblem)
    if timed != (scope.step is not None):
        kinds = ("an equation without time", "one that evolves in time")
        raise ValueError(f"the surrogate was trained for {kinds[not timed]}; got {kinds[timed]}")
    if scope.step is None:
        return 1
    start, end = (float(one) for one in problem.t_span)
    count = round((end - start) / scope.step)
    if count < 1 or abs(start + count * scope.step - end) > 1e-6 * abs(scope.step):
        raise ValueError(
            f"t_span must be a whole number of steps of {scope.step:g}, by which the surrogate advances; got "
            f"{problem.t_span!r}"
        )
    return count


def kept_steps(save_at: Any, start: float, scope: Scope, steps: int) -> tuple[int, ...]:
    """After how many calls states are kept.

    Raises:
        ValueError: for times between them.
    """
    if scope.step is None or save_at is None:
        return (steps,)
    if isinstance(save_at, str):
        if save_at != "steps":
            raise ValueError(f'save_at must hold times, or be "steps"; got {save_at!r}')
        return tuple(range(steps + 1))
    numbers = (torch.as_tensor(save_at, dtype=torch.float64).reshape(-1) - start) / scope.step
    whole: Sequence[int] = numbers.round().long().tolist()
    between = (numbers - numbers.round()).abs() > 1e-6
    if bool(between.any()) or min(whole, default=-1) < 0 or max(whole) > steps:
        raise ValueError(
            f"save_at must hold times after whole steps of {scope.step:g} from {start:g} on; got {save_at!r}"
        )
    return tuple(whole)
