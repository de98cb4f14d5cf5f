"""Random problems of one kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from kutta.pde.problem import PDEProblem
from kutta.pde.steady import SteadyProblem

Problem = PDEProblem | SteadyProblem


@dataclass(frozen=True)
class Family:
    """What a surrogate is trained on, and what it is tried on.

    Attributes:
        draw: ``draw(count, generator)`` makes a batch of problems along a leading axis of its fields.
        inputs: what varies, and a model reads; see `kutta.operators.Scope`.
        method: how they are solved; by default as `kutta.solve` does.
        options: of `kutta.solve`, such as tolerances.
        times: steps that the time span of evolution equations is divided into. With more than one, a sample is a step
            of a trajectory, and a model is called again and again.
        name: for manifests and cards.

    Example:
        >>> import torch, kutta as kt
        >>> def draw(count, generator):
        ...     grid = kt.pde.Grid(32)
        ...     u0 = kt.operators.data.GaussianField(2.0, 5.0, 25.0).draw(grid, count, generator)
        ...     return kt.pde.Heat(0.01).problem(grid, u0, (0.0, 1.0))
        >>> family = kt.operators.data.Family(draw, ("u0",), name="heat")
        >>> kt.operators.data.generate(family, 6, seed=0).outputs.shape
        torch.Size([6, 1, 32])
    """

    draw: Callable[[int, torch.Generator], Problem]
    inputs: tuple[str, ...]
    method: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    times: int = 1
    name: str = ""
