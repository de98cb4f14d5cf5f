"""What the states of a solved equation are: names of the unknowns, on a grid."""

from __future__ import annotations

from dataclasses import dataclass

from kutta.pde.grid import Grid


@dataclass(frozen=True, eq=False)
class Space:
    """Where a solution lives.

    Attributes:
        grid: its points and sides.
        components: the names of the unknowns; a single one has no axis of its own.
        equation: the name of the equation.
    """

    grid: Grid
    components: tuple[str, ...]
    equation: str
