"""What users give as a linear operator."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.linear_operator import LinearOperator


def operator_for(linear: Any, y: Tensor) -> LinearOperator:
    """`linear` as an operator on states like `y`.

    Raises:
        TypeError, ValueError: for what is no operator and no matrix, or acts on other states.
    """
    if isinstance(linear, Tensor):
        linear = _matrix(linear, y)
    if not isinstance(linear, LinearOperator):
        raise TypeError(
            f"linear must be a LinearOperator or a matrix; got {type(linear).__name__}: "
            "for a function write kutta.algebra.MatrixFree(function)"
        )
    try:
        image = linear.apply(y.detach())
    except (RuntimeError, IndexError) as problem:
        raise ValueError(f"linear cannot be applied to a state of shape {tuple(y.shape)}: {problem}") from problem
    if (image.shape, image.dtype, image.device) != (y.shape, y.dtype, y.device):
        raise ValueError(
            f"linear must map states to their like, shape {tuple(y.shape)}, {y.dtype} on {y.device}; "
            f"got shape {tuple(image.shape)}, {image.dtype} on {image.device}"
        )
    return linear


def _matrix(matrix: Tensor, y: Tensor) -> Dense:
    size = y.shape[-1] if y.dim() else 0
    if matrix.shape != (size, size) or matrix.dtype != y.dtype:
        raise ValueError(
            f"linear must be a matrix of shape {(size, size)} and dtype {y.dtype} for this state; "
            f"got shape {tuple(matrix.shape)} and {matrix.dtype}"
        )
    return Dense(matrix)
