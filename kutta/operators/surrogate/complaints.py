"""What of a problem is not as it was in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.operators.scope import Scope, difference, parts_of, sides_with_data
from kutta.operators.surrogate.question import Question


@dataclass(frozen=True)
class Complaint:
    """One way in which a problem is outside a scope.

    Attributes:
        what: in words.
        rows: which samples, ``(n,)``.
    """

    what: str
    rows: Tensor


def complaints(question: Question, margin: float) -> list[Complaint]:
    """All ways in which a problem is not of those that a model was trained on.

    Args:
        question: what the model is asked.
        margin: by how much of its range in training a channel may leave it.
    """
    scope, a = question.scope, question.a
    everywhere = torch.ones(len(a), dtype=torch.bool, device=a.device)
    found = [Complaint(what, everywhere) for what in _of_kind(question.problem, scope, question.steps)]
    for channel, (name, low, high) in enumerate(zip(scope.channels, scope.lowest, scope.highest, strict=True)):
        values, slack = a[:, channel].flatten(1), margin * (high - low) + 1e-6 * max(abs(low), abs(high))
        beyond = ~((values >= low - slack) & (values <= high + slack)).all(1)
        if read(beyond.any()):
            least, most = (float(read(one)) for one in (values.amin(), values.amax()))
            what = f"{name} from {least:.4g} to {most:.4g}, and in training from {low:.4g} to {high:.4g}"
            found.append(Complaint(what, beyond))
    return found


def _of_kind(problem: Any, scope: Scope, steps: int) -> list[str]:
    equation, grid = parts_of(problem)
    found = []
    if type(equation).__name__ != scope.equation:
        found.append(f"the equation {type(equation).__name__}, and in training {scope.equation}")
    if other := difference(grid, scope.grid):
        found.append(f"the grid has {other} as in training")
    if sides_with_data(grid):
        found.append("data at the sides of the grid that are no numbers")
    for name, value in scope.fixed.items():
        given = getattr(equation, name, None)
        if not _is_number(given, value):
            found.append(f"{name} = {given!r}, and in training {value:g}")
    if steps > scope.times:
        found.append(f"{steps} steps, and in training {scope.times}")
    return found


def _is_number(given: Any, value: float) -> bool:
    if isinstance(given, Tensor):
        given = float(read(given)) if given.numel() == 1 else None
    return isinstance(given, int | float) and abs(given - value) <= 1e-6 * abs(value)
