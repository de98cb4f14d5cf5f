"""The functions of a linear operator that an exponential method sums with.

A sum of the method is ``exp(c z) y + h sum_j a_j(z) N_j`` with ``z = h L``. Where ``L`` is diagonal in a transform, the
functions are numbers there, and the state and the slopes are transformed, not the operator; where it is a matrix, or
one for each wave of a system, they are matrices. Of any other operator only products with vectors are known, which
`kutta.solvers.exponential.krylov` makes do with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch
from typing import Any, Protocol

import torch
from torch import Tensor

from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal, as_blocks, as_matrices, blocks_times
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.exponential.krylov import Krylov, KrylovSums
from kutta.solvers.exponential.phi import in_double, matrix_phis, phis
from kutta.solvers.tableaus.exponential import ExponentialTableau, Weight


class Sums(Protocol):
    """What forms the sums of a step."""

    def enter(self, y: Tensor, /) -> Tensor:
        """A state or a slope as the sums take it."""
        ...

    def leave(self, value: Tensor, /) -> Tensor:
        """A sum as a state."""
        ...

    def combined(self, node: Fraction | None, row: Sequence[Weight], start: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """``exp(node z) start + h sum_j row_j(z) slopes_j``; without a node the second part alone."""
        ...


def sums_of(field: Any, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    """What forms the sums of a step of size `dt`."""
    return field.kept_for(dt, (tableau, krylov), lambda: _sums(field.linear, tableau, krylov, dt, y))


@singledispatch
def _sums(linear: LinearOperator, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    return KrylovSums(linear, krylov, dt)


@_sums.register
def _(linear: Diagonal, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    dtype = linear.forward(y.detach()).dtype
    weights = weights_of(tableau, dt, in_double(linear.symbols), phis, dtype)
    return WeightedSums(weights, torch.mul, torch.addcmul, linear.forward, linear.backward)


@_sums.register
def _(linear: Dense, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    weights = weights_of(tableau, dt, in_double(linear.matrix), matrix_phis, y.dtype)
    return WeightedSums(weights, _times, _plus_times, _same, _same)


@_sums.register
def _(linear: BlockDiagonal, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    dtype = linear.forward(y.detach()).dtype
    weights = weights_of(tableau, dt, in_double(linear.blocks), _phis_of_blocks, dtype)
    return WeightedSums(weights, blocks_times, _plus_blocks_times, linear.forward, linear.backward)


def _phis_of_blocks(blocks: Tensor, last: int) -> list[Tensor]:
    return [as_blocks(value) for value in matrix_phis(as_matrices(blocks), last)]


def _plus_blocks_times(total: Tensor, blocks: Tensor, vector: Tensor) -> Tensor:
    return total + blocks_times(blocks, vector)


def _times(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


def _plus_times(total: Tensor, matrix: Tensor, vector: Tensor) -> Tensor:
    return total + _times(matrix, vector)


def _same(y: Tensor) -> Tensor:
    return y


def weights_of(
    tableau: ExponentialTableau,
    dt: float,
    linear: Tensor,
    functions: Callable[[Tensor, int], list[Tensor]],
    dtype: torch.dtype,
) -> dict[Any, Tensor]:
    """The exponentials ``exp(c z)`` by their nodes ``c``, and ``h`` times the weights of a table by what they are."""
    nodes = {node for node in tableau.nodes if node}
    weights = {weight for row in (*tableau.a, tableau.error or ()) for weight in row if weight}
    points = nodes | {c for weight in weights for _, _, c in weight}
    values = {c: functions(float(c) * dt * linear, tableau.highest) for c in points}
    found: dict[Any, Tensor] = {node: values[node][0] for node in nodes}
    for weight in weights:
        found[weight] = dt * sum((float(part) * values[c][k] for part, k, c in weight), torch.zeros_like(linear))
    return {key: value.to(dtype) for key, value in found.items()}


@dataclass(frozen=True)
class WeightedSums:
    """Sums whose functions have been computed: numbers in the space of a transform, or matrices.

    Attributes:
        weights: the functions, see `weights_of`.
        product: of a function and a vector.
        plus: a vector and such a product.
        forward: the transform.
        backward: its inverse.
    """

    weights: dict[Any, Tensor]
    product: Callable[[Tensor, Tensor], Tensor]
    plus: Callable[[Tensor, Tensor, Tensor], Tensor]
    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor], Tensor]

    def enter(self, y: Tensor) -> Tensor:
        """The state in the space of the transform."""
        return self.forward(y)

    def leave(self, value: Tensor) -> Tensor:
        """Back from there."""
        return self.backward(value)

    def combined(self, node: Fraction | None, row: Sequence[Weight], start: Tensor, slopes: Sequence[Tensor]) -> Tensor:
        """See `Sums`."""
        pairs = [(self.weights[weight], slope) for weight, slope in zip(row, slopes, strict=True) if weight]
        if node is not None:
            pairs.insert(0, (self.weights[node], start))
        total = self.product(*pairs[0])
        for weight, slope in pairs[1:]:
            total = self.plus(total, weight, slope)
        return total
