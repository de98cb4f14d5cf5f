"""The linear part of a split problem, as methods need it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kutta.solvers.algebra.checking import as_operator
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


def operator_for(linear: Any, y: Tensor) -> LinearOperator:
    """`linear` as an operator on states like `y`.

    Raises:
        TypeError, ValueError: for what is no operator and no matrix, or acts on other states.
    """
    if not isinstance(linear, LinearOperator | Tensor):
        raise TypeError(
            f"linear must be a matrix or a linear operator; got {type(linear).__name__}: "
            "for a function write kutta.algebra.MatrixFree(function)"
        )
    operator = as_operator(linear)
    operator.check(y)
    try:
        image = operator.apply(y.detach())
    except (RuntimeError, IndexError) as problem:
        raise ValueError(f"linear cannot be applied to a state of shape {tuple(y.shape)}: {problem}") from problem
    if (image.shape, image.dtype, image.device) != (y.shape, y.dtype, y.device):
        raise ValueError(
            f"linear must map states to their like, shape {tuple(y.shape)}, {y.dtype} on {y.device}; "
            f"got shape {tuple(image.shape)}, {image.dtype} on {image.device}"
        )
    return operator
