"""Equations without time on a grid: linear systems whose solutions are fields."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.pde.grids.finite import check_finite
from kutta.pde.grids.given import filled
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.padding import check_field
from kutta.pde.grids.space import Space, in_words
from kutta.problems import LinearProblem
from kutta.solution import Solution, SolveError
from kutta.solvers.algebra.method import LinearMethod
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.solving import solve_linear


@dataclass(frozen=True)
class SteadyProblem(LinearProblem):
    """A linear system on a grid, made by equations such as ``kutta.pde.Poisson().problem(grid, source)``.

    Its solution has the boundary's values at nodes where those are given, and ``sol.space``.

    Attributes:
        grid: where its states live.
        equation: that it is of.
        method: the one that is taken when none is named; by default what `kutta.algebra.default_method` says.
        source: ``f`` at the points of the grid, without the data of the boundary.
    """

    grid: Grid | None = None
    equation: Steady | None = None
    method: LinearMethod | None = None
    source: Tensor | None = None


class Steady:
    """``A u = f`` with boundary conditions.

    An equation derives from this, is a frozen record of its coefficients, and makes the operator and the right-hand
    side.

    Attributes:
        components: the name of the unknown.
    """

    components: ClassVar[tuple[str, ...]] = ("u",)

    def system(self, grid: Grid, f: Tensor) -> tuple[LinearOperator, Tensor]:
        """``A`` and ``b``, which holds the source `f` and the data of the boundary."""
        raise NotImplementedError

    def like(self) -> Tensor:
        """A tensor with the dtype and on the device of the coefficients, for sources that are numbers or functions."""
        return torch.zeros((), dtype=torch.float64)

    def method(self, grid: Grid) -> LinearMethod | None:
        """The method for a grid, where no general one will do."""
        return None

    def problem(self, grid: Grid, source: Any = 0.0, guess: Any = None) -> SteadyProblem:
        """The equation on a grid.

        Args:
            grid: with its boundary conditions, whose functions of ``(x, t)`` are called with ``t = 0``.
            source: ``f``: a number, a tensor ``(..., *grid.shape)``, or a function of the coordinates ``(d, *shape)``.
                A tensor says the dtype and the device; else the coefficients do, and where they are numbers it is
                float64.
            guess: where iterations begin.

        Raises:
            TypeError, ValueError: for what does not fit together.
        """
        if not isinstance(grid, Grid):
            raise TypeError(f"grid must be a kutta.pde.Grid; got {type(grid).__name__}")
        f = _field("source", source, grid, self.like())
        operator, b = self.system(grid, f)
        return SteadyProblem(operator, b, guess, grid, self, self.method(grid), f)


def field_of(name: str, value: Any, grid: Grid, like: Tensor | None = None) -> Any:
    """A coefficient: functions as their values at the points, and all else as it is.

    Args:
        name: of the coefficient.
        value: of it.
        grid: where the field lives.
        like: a tensor of whose precision the coordinates are, such as a source; by default they are float64.
    """
    like = torch.zeros((), dtype=torch.float64) if like is None else like.detach().real
    return _field(name, value, grid, like) if callable(value) else value


def _field(name: str, value: Any, grid: Grid, like: Tensor) -> Tensor:
    if callable(value):
        value = value(grid.points(like.dtype.to_real(), like.device))
    if isinstance(value, bool) or not isinstance(value, int | float | complex | Tensor):
        raise TypeError(f"{name} must be a number, a tensor or a function of the coordinates; got {value!r}")
    if not isinstance(value, Tensor):
        dtype = like.dtype.to_complex() if isinstance(value, complex) else like.dtype
        value = torch.as_tensor(value, dtype=dtype, device=like.device)
    value = value.expand(grid.shape) if value.dim() == 0 else value
    check_field(name, value, grid)
    if not (value.is_floating_point() or value.is_complex()):
        raise TypeError(f"{name} must have a floating-point dtype; got {value.dtype}")
    check_finite(name, value)
    return value


def like_of(*coefficients: Any) -> Tensor:
    """The first tensor among coefficients, or one of float64."""
    return next((one for one in coefficients if isinstance(one, Tensor)), torch.zeros((), dtype=torch.float64))


def solve_steady(problem: SteadyProblem, method: Any, given: dict[str, Any]) -> Solution:
    """Solve a steady equation, and return a field.

    Args:
        problem: as an equation made it.
        method: how; by default what the problem says.
        given: the arguments of `kutta.solve` that are not at their defaults.
    """
    try:
        solution = solve_linear(problem, problem.method if method is None else method, given)
    except SolveError as failure:
        if failure.solution is not None:
            failure.solution = _shown(problem, failure.solution)
        raise
    return _shown(problem, solution)


def _shown(problem: SteadyProblem, solution: Solution) -> Solution:
    grid, equation = problem.grid, problem.equation
    assert grid is not None and equation is not None
    y1 = filled(grid, solution.y1, 0.0)
    settings = {"equation": in_words(equation)}
    space = Space(grid, equation.components, type(equation).__name__, settings)
    return replace(solution, y1=y1, ys=y1.unsqueeze(0), space=space)
