"""Some of the samples of a problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from kutta.operators.scope import parts_of, varying
from kutta.pde.problem import PDEProblem


def lead_of(problem: Any) -> tuple[int, ...]:
    """The axes of samples of a problem's solutions."""
    equation, grid = parts_of(problem)
    if isinstance(problem, PDEProblem):
        return tuple(problem.u0.shape[: problem.u0.dim() - grid.dim - (len(equation.components) > 1)])
    shapes = [one.shape[: one.dim() - grid.dim] for one in (problem.b, *varying(equation, grid.dim + 1).values())]
    return tuple(max(shapes, key=len))


def chosen(problem: Any, rows: Tensor) -> Any:
    """The problem of some samples, along one axis.

    Args:
        problem: a batch.
        rows: which, ``(n,)`` of truth values.
    """
    equation, grid = parts_of(problem)
    parts = {name: one[rows] if len(one) == len(rows) else one for name, one in varying(equation, grid.dim + 1).items()}
    equation = replace(equation, **parts) if parts else equation
    if isinstance(problem, PDEProblem):
        return replace(problem, equation=equation, u0=problem.u0[rows])
    source = problem.source
    return equation.problem(grid, source[rows] if source.dim() > grid.dim else source)
