"""What models say, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kutta.operators.ensemble import Band, Ensemble
from kutta.operators.surrogate.calibration import Calibration
from kutta.operators.surrogate.question import Question


def predict(models: Sequence[Any], question: Question, calibration: Calibration | None) -> tuple[Tensor, Tensor | None]:
    """States at the wanted times and their band, ``(T, n, o, *shape)``.

    Args:
        models: one, or several whose mean and spread are meant.
        question: what is asked.
        calibration: of the band.
    """
    said = [_said(one, question) for one in models]
    together = said[0] if len(said) == 1 else torch.cat(said)
    states, spread = together[0], None
    if len(together) > 1:
        band = Band.of(together)
        states, spread = band.mean, band.width
    return states, spread if calibration is None else calibration.band(states, spread)


def unasked(question: Question, banded: bool) -> tuple[Tensor, Tensor | None]:
    """The same without a call, all zero, where nothing of it is used.

    Args:
        question: likewise.
        banded: whether there would be a band.
    """
    shape = (len(question.kept), len(question.a), len(question.scope.components), *question.grid.shape)
    states = question.a.new_zeros(shape)
    return states, torch.zeros_like(states) if banded else None


def _said(model: Any, question: Question) -> Tensor:
    """The states that each member of a model leads to, ``(K, T, n, o, *shape)``; any model but an `Ensemble` is one."""
    if isinstance(model, Ensemble):
        return model.each(partial(rollout, question=question))
    return rollout(model, question)[None]


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
