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
from functools import lru_cache, singledispatch
from typing import Any, Protocol

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, under_transform
from kutta.solvers.algebra.operators.block_diagonal import BlockDiagonal, as_blocks, as_matrices, blocks_times
from kutta.solvers.algebra.operators.dense import Dense
from kutta.solvers.algebra.operators.diagonal import Diagonal
from kutta.solvers.algebra.operators.linear_operator import LinearOperator
from kutta.solvers.exponential.krylov import Krylov
from kutta.solvers.exponential.krylov_sums import KrylovSums
from kutta.solvers.exponential.phi import in_double, matrix_phis, phis
from kutta.solvers.tableaus.exponential import ExponentialTableau, Weight

# The functions of numbers that were computed last are kept, up to so many bytes: many solves have one linear part.
KEPT_BYTES = 2**26
MOST_KEPT = 64


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
    return field.kept_for(dt, (tableau, krylov), lambda: new_sums(field.linear, tableau, krylov, dt, y))


@dataclass(frozen=True)
class Stages:
    """What a step of an exponential method goes through.

    Attributes:
        state: the last one, the new state.
        remainder: that at its end.
        start: the first state as the sums take it.
        slopes: all remainders, likewise.
    """

    state: Tensor
    remainder: Tensor
    start: Tensor
    slopes: list[Tensor]


def stages(
    table: ExponentialTableau,
    sums: Sums,
    remainder: Callable[[Any, Tensor], Tensor],
    t: Any,
    y: Tensor,
    dt: Any,
    slope: Tensor,
) -> Stages:
    """A step of size `dt`, given the remainder `slope` at its start."""
    start, state, end, slopes = sums.enter(y), y, slope, [sums.enter(slope)]
    for node, row in zip(table.nodes[1:], table.a[1:], strict=True):
        state = sums.leave(sums.combined(node, row, start, slopes))
        end = remainder(t + float(node) * dt, state)
        slopes.append(sums.enter(end))
    return Stages(state, end, start, slopes)


@singledispatch
def new_sums(linear: LinearOperator, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    """What forms the sums of one step of size `dt`, with states like `y`."""
    return KrylovSums(linear, krylov, dt)


@new_sums.register
def _(linear: Diagonal, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    like = linear.forward(y.detach())
    weights = diagonal_weights(linear, tableau, dt, like)
    if not like.is_complex() or linear.symbols.is_complex():
        return WeightedSums(weights, torch.mul, _adding(), linear.forward, linear.backward)
    # Real functions of complex numbers: those numbers as pairs of real ones, with half of the multiplications.
    weights = {key: torch.stack([value, value], -1) for key, value in weights.items()}
    return WeightedSums(
        weights,
        torch.mul,
        _adding(),
        lambda y: torch.view_as_real(linear.forward(y).resolve_conj()),
        lambda pairs: linear.backward(torch.view_as_complex(pairs)),
    )


def _adding() -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A sum and a product more, in the memory of the sum unless a transformation forbids it."""
    return torch.addcmul if under_transform() else Tensor.addcmul_


def diagonal_weights(linear: Diagonal, tableau: ExponentialTableau, dt: float, like: Tensor) -> dict[Any, Tensor]:
    """The functions of numbers that a step needs, for transformed states like this one; see `weights_of`."""
    symbols, dtype = linear.symbols, weight_dtype(linear, like)
    if carries_gradient(symbols) or under_transform():
        return weights_of(tableau, dt, in_double(symbols), phis, dtype)
    key = tableau, dt, dtype
    for one in _kept:
        if one.key == key and _equal(one.symbols, symbols):
            return one.weights
    with torch.inference_mode(False):  # later solves may have gradients
        symbols = symbols.detach().clone()
        found = Kept(key, symbols, weights_of(tableau, dt, in_double(symbols), phis, dtype))
    _kept.append(found)
    while len(_kept) > MOST_KEPT or (len(_kept) > 1 and sum(one.size for one in _kept) > KEPT_BYTES):
        _kept.pop(0)
    return found.weights


@dataclass(frozen=True)
class Kept:
    """Functions that were computed before.

    Attributes:
        key: the table, the step size and the dtype.
        symbols: of what.
        weights: the functions.
    """

    key: Any
    symbols: Tensor
    weights: dict[Any, Tensor]

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(one.numel() * one.element_size() for one in (self.symbols, *self.weights.values()))


_kept: list[Kept] = []


def _equal(kept: Tensor, symbols: Tensor) -> bool:
    alike = (kept.dtype, kept.device) == (symbols.dtype, symbols.device)
    return alike and torch.equal(kept, symbols)


def weight_dtype(linear: Diagonal, like: Tensor) -> torch.dtype:
    """The dtype of functions of the symbols: real where these are."""
    return like.dtype if linear.symbols.is_complex() else like.real.dtype


@new_sums.register
def _(linear: Dense, tableau: ExponentialTableau, krylov: Krylov, dt: float, y: Tensor) -> Sums:
    weights = weights_of(tableau, dt, in_double(linear.matrix), matrix_phis, y.dtype)
    return WeightedSums(weights, _times, _plus_times, _same, _same)


@new_sums.register
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
    keys = needed(tableau)
    points = {c for key in keys for _, _, c in _terms(key)}
    values = {c: functions(float(c) * dt * linear, tableau.highest) for c in points}
    found = {}
    for key in keys:
        size = dt if isinstance(key, tuple) else 1.0
        found[key] = size * sum((float(part) * values[c][k] for part, k, c in _terms(key)), torch.zeros_like(linear))
    return {key: value.to(dtype) for key, value in found.items()}


@lru_cache
def needed(tableau: ExponentialTableau) -> tuple[Any, ...]:
    """What a step of a method multiplies with: nodes, for the exponentials there, and weights, each once."""
    rows = (*tableau.a, tableau.error or ())
    keys = [*(node for node in tableau.nodes if node), *(weight for row in rows for weight in row if weight)]
    return tuple(dict.fromkeys(keys))


def _terms(key: Any) -> Weight:
    return key if isinstance(key, tuple) else ((Fraction(1), 0, key),)


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
