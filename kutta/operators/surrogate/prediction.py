"""What models say, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.operators.surrogate.calibration import Calibration
from kutta.operators.surrogate.question import Question


def predict(
    members: Sequence[Any], question: Question, calibration: Calibration | None
) -> tuple[Tensor, Tensor | None]:
    """States at the wanted times and their band, ``(T, n, o, *shape)``.

    Args:
        members: of an ensemble, or one model.
        question: what is asked.
        calibration: of the band.
    """
    said = torch.stack([rollout(one, question) for one in members])
    spread = 2.0 * said.std(0) if len(members) > 1 else None
    states = said.mean(0)
    return states, spread if calibration is None else calibration.band(states, spread)


def rollout(model: Any, question: Question) -> Tensor:
    """The states that one model leads to, call after call."""
    a = question.a.to(next(iter(model.parameters()), question.a))
    count = len(question.scope.components)
    states = {0: a[:, :count]}
    for number in range(1, question.steps + 1):
        state = model(a, question.grid)
        if number in question.kept:
            states[number] = state
        if number < question.steps:
            a = torch.cat([state, a[:, count:]], 1)
    return torch.stack([states[number] for number in question.kept]).to(question.a)
