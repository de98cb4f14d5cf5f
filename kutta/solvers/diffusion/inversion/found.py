"""How an inversion iterates, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Iteration(NamedTuple):
    """Rules of an iteration; see `kutta.solvers.diffusion.inversion.fixed_point`."""

    memory: int
    tolerance: float
    most: int


@dataclass(frozen=True)
class Found:
    """States from the data to the noise, and how well they solve the equations.

    Attributes:
        states: at the nodes, the data first.
        residuals: of the equations.
        iterations: for each of the fixed points.
        converged: whether the residuals are small enough.
    """

    states: list[Tensor]
    residuals: list[float]
    iterations: list[int]
    converged: bool
