"""A `LinearProblem` and its options as methods need them, or what does not fit."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kutta.problems import LinearProblem
from kutta.solvers.algebra.method import Goal, LinearMethod, state_axes
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.algebra.operators.sparse import Sparse

_FOR_ALL = ("throw", "engine")
_FOR_ITERATIONS = ("rtol", "atol", "max_steps", "progress")


def checked(problem: LinearProblem) -> LinearProblem:
    """The problem with a linear operator, and tensors of one shape.

    Raises:
        TypeError, ValueError: for what does not fit.
    """
    b, operator = _tensor("b", problem.b), as_operator(problem.operator)
    if not (b.is_floating_point() or b.is_complex()):
        raise TypeError(f"b must have a floating-point or complex dtype; got {b.dtype}: try b.to(torch.float64)")
    if b.dim() == 0 or b.numel() == 0:
        raise ValueError(f"b must be a state with at least one axis and one entry; got shape {tuple(b.shape)}")
    operator.check(b)
    axes = state_axes(operator, b)
    if b.dim() < axes:
        raise ValueError(f"a state of this operator has {axes} axes; got b of shape {tuple(b.shape)}")
    cut = b.dim() - axes
    try:
        lead = torch.broadcast_shapes(operator.batch, b.shape[:cut])
    except RuntimeError:
        raise ValueError(
            f"b must have the batch of the operator, {tuple(operator.batch)}, or one that broadcasts with it; "
            f"got b of shape {tuple(b.shape)}"
        ) from None
    b = b.expand(*lead, *b.shape[cut:])
    operator.check_right(b)
    return replace(problem, operator=operator, b=b, guess=_checked_guess(problem.guess, b))


def as_operator(given: Any) -> LinearOperator:
    """A matrix as an operator; operators as they are. Matrices of SciPy's sparse formats keep their dtype.

    Raises:
        TypeError, ValueError: for what is neither.
    """
    if isinstance(given, LinearOperator):
        return given
    if isinstance(given, Tensor):
        return Dense(given) if given.layout == torch.strided else Sparse(given)
    if hasattr(given, "tocsr"):
        return Sparse(_of_scipy(given))
    if callable(given):
        raise TypeError("operator must be a matrix or a linear operator; got a function: write MatrixFree(function)")
    try:
        return Dense(torch.as_tensor(given))
    except (TypeError, ValueError, RuntimeError) as wrong:
        raise TypeError(f"operator must be a matrix or a linear operator: {wrong}") from None


def _of_scipy(matrix: Any) -> Tensor:
    """A matrix of any of SciPy's sparse formats as a sparse tensor of its own memory."""
    if len(matrix.shape) != 2:
        raise ValueError(f"operator must be a square matrix, of shape (n, n); got shape {matrix.shape}")
    rows = matrix.tocsr(copy=True)
    rows.sum_duplicates()  # which also sorts each row by its columns
    try:
        values = torch.from_numpy(rows.data)
    except TypeError as wrong:
        raise TypeError(f"operator must have a dtype that PyTorch knows; got {rows.dtype}: {wrong}") from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        starts, columns = torch.from_numpy(rows.indptr).long(), torch.from_numpy(rows.indices).long()
        return torch.sparse_csr_tensor(starts, columns, values, rows.shape, check_invariants=True)


def _tensor(name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must be a tensor; got {type(value).__name__}") from None


def _checked_guess(guess: Any, b: Tensor) -> Tensor | None:
    if guess is None:
        return None
    guess = _tensor("guess", guess).detach()
    if guess.dtype != b.dtype:
        raise TypeError(f"guess must have the dtype of b, {b.dtype}; got {guess.dtype}")
    try:
        return guess.expand(b.shape)
    except RuntimeError:
        raise ValueError(f"guess must have the shape of b, {tuple(b.shape)}; got {tuple(guess.shape)}") from None


def checked_method(method: Any, problem: LinearProblem) -> LinearMethod:
    """The method, after refusing what is none, or does not suit the problem."""
    if isinstance(method, type) and issubclass(method, LinearMethod):
        raise TypeError(f"method must be an instance: write {method.__name__}() with its parentheses")
    if not isinstance(method, LinearMethod):
        raise TypeError(f"method for a LinearProblem must be such as kutta.CG() or kutta.LU(); got {method!r}")
    method.check(problem.operator, problem.b)
    if method.direct and problem.guess is not None:
        raise ValueError(f"guess means nothing to {type(method).__name__}, which does not iterate; leave it out")
    return method


def goal_of(method: LinearMethod, given: dict[str, Any], chosen: bool) -> Goal:
    """When the solve ends; refuses options that mean nothing here.

    Args:
        method: of the solve.
        given: its options.
        chosen: whether the method is the library's choice; one without iterations then fulfils any tolerance.
    """
    name, direct = type(method).__name__, method.direct and not chosen
    what = f"{name}, which solves without iterations" if direct else f"{name} and linear systems"
    for option in given:
        if option not in _FOR_ALL + (() if direct else _FOR_ITERATIONS):
            raise ValueError(f"{option} means nothing to {what}; leave it out")
    max_steps = checked_max_steps(given, Goal.max_steps)
    tolerances = {one: _tolerance(one, given.get(one, getattr(Goal, one))) for one in ("rtol", "atol")}
    return Goal(**tolerances, max_steps=max_steps)


def checked_max_steps(given: dict[str, Any], default: int) -> int:
    """The largest number of iterations, or what there is if it is not given."""
    max_steps = given.get("max_steps", default)
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps must be a positive whole number; got {max_steps!r}")
    return max_steps


def _tolerance(name: str, value: Any) -> float:
    number = value.item() if isinstance(value, Tensor) and value.dim() == 0 else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0.0 <= number < math.inf:
        raise ValueError(f"{name} must be a number of at least 0 for a linear system; got {value!r}")
    return float(number)
