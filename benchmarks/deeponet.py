"""DeepONet on the problems it was published with: errors after minutes of training, and the time of a step."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import kutta as kt
from benchmarks._measure import Spread, measure, ratio
from benchmarks._report import Report, arguments, finish, verdict

data = kt.operators.data
SENSORS, PLACES, WIDTH, TRAINED, TESTED, BATCH = 100, 100, 128, 10_000, 10_000, 256
PUBLISHED, ORDER = 9.3e-7, 1e-5  # mean squared errors: of the antiderivative, and of the pendulum at T = 1
PEER = "DeepXDE"


@dataclass(frozen=True)
class Case:
    """An operator that is learned.

    Attributes:
        name: of it.
        problem: the driven equation.
        bar: for the mean squared error, where one is published.
    """

    name: str
    problem: Any
    bar: float | None


CASES = (
    Case("antiderivative", data.antiderivative(), PUBLISHED),
    Case("pendulum, T = 1", data.pendulum(1.0), ORDER),
    Case("pendulum, T = 3", data.pendulum(3.0), None),
    Case("pendulum, T = 5", data.pendulum(5.0), None),
)


def samples(case: Case, count: int, places: Tensor, scale: float, seed: int) -> tuple[Tensor, Tensor]:
    """Functions at the sensors ``(n, m)`` and their solutions, the first component, at places ``(n, P)``."""
    end = case.problem.end
    sensors = end * torch.linspace(0.0, 1.0, SENSORS, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    u = data.random_functions(count, scale, right=end, generator=generator)
    return u(sensors).float(), case.problem.solve(u)(end * places)[..., 0].float()


def network(periods: None = None) -> torch.nn.Module:
    """With smooth activations, and a solution that starts at zero."""
    torch.manual_seed(0)
    return kt.operators.DeepONet(
        SENSORS, 1, 1, WIDTH, (WIDTH, WIDTH), (WIDTH, WIDTH), nonlinearity="silu", transform=lambda u, y, s: y * s.mT
    )
