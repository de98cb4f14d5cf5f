"""A problem with other fields in the place of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from kutta.operators.scope import parts_of, varying
from kutta.pde.grids.grid import Grid
from kutta.pde.problem import PDEProblem


def with_fields(problem: Any, grid: Grid, other: Callable[[Tensor], Tensor]) -> Any:
    """A problem whose initial state or source, and whose coefficients that are fields, are changed.

    Args:
        problem: in time, or steady.
        grid: of the changed fields.
        other: the field in the place of one.
    """
    equation, own = parts_of(problem)
    parts = {name: other(one) for name, one in varying(equation, own.dim).items()}
    equation = replace(equation, **parts) if parts else equation
    if isinstance(problem, PDEProblem):
        return replace(problem, equation=equation, grid=grid, u0=other(problem.u0))
    return equation.problem(grid, other(problem.source))
