"""Right-hand sides whose linear part is diagonal in a transform, as exponential methods take them.

The functions of the linear part belong to one step size. They are computed before the loop and given to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from typing import Any, cast

import torch
from torch import Tensor

from kutta.problems import SplitODEProblem
from kutta.solvers.algebra.operators.diagonal import Diagonal, unchanged
from kutta.solvers.engines.compiled.build import Tensors
from kutta.solvers.engines.compiled.graph import Field, RightHandSide, right_hand_side, traced
from kutta.solvers.engines.compiled.transforms import parts
from kutta.solvers.exponential.functions import WeightedSums, diagonal_weights, needed, weight_dtype
from kutta.solvers.tableaus.exponential import ExponentialTableau
from kutta.state import Layout, layout_of

Product = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class SplitRightHandSide:
    """The remainder, the transform and its inverse, each with the tensors that it uses in this solve.

    Attributes:
        functions: these three; ``None`` for a transform that changes nothing.
        keys: which functions of the linear part are given.
        product: of such a function and a vector.
    """

    functions: tuple[RightHandSide | None, ...]
    keys: tuple[Any, ...]
    product: Product

    @property
    def text(self) -> str:
        """All of them in words; equal texts compute the same."""
        return "\n".join("-" if one is None else one.text for one in self.functions)

    @property
    def inputs(self) -> Tensors:
        """Their tensors, as gradients know them."""
        return tuple(tensor for one in self.functions if one is not None for tensor in one.inputs)

    def before(self, *inputs: Tensor) -> Tensors:
        """What is computed of the inputs and of `constants` before the loop."""
        sizes = [0 if one is None else len(one.inputs) for one in self.functions]
        *given, constants = _cut(inputs, sizes)
        made = [one.before(*own) for one, own in zip(self.functions, given, strict=True) if one is not None]
        return *(tensor for some in made for tensor in some), *constants

    def field(self, kept: Sequence[Tensor]) -> SplitField:
        """The right-hand side as methods see it, given what was computed before the loop."""
        sizes = [0 if one is None else one.kept for one in self.functions]
        *given, (constants,) = _cut(kept, sizes)
        fields = [None if one is None else one.field(own) for one, own in zip(self.functions, given, strict=True)]
        symbols, *weights = constants.unbind()
        remainder, forward, backward = fields
        weights = dict(zip(self.keys, weights, strict=True))
        return SplitField(cast(Field, remainder), forward, backward, symbols, weights, self.product)

    def values_alone(self) -> SplitRightHandSide:
        """The same for one who wants no gradients."""
        functions = tuple(None if one is None else one.values_alone() for one in self.functions)
        return replace(self, functions=functions)


def _cut(tensors: Sequence[Tensor], sizes: Sequence[int]) -> list[Sequence[Tensor]]:
    """Parts of these sizes, and the rest."""
    ends = [0, *accumulate(sizes)]
    return [*(tensors[first:last] for first, last in pairwise(ends)), tensors[ends[-1] :]]


@dataclass(frozen=True)
class SplitField:
    """A traced remainder, with what forms the sums of exponential methods.

    Attributes:
        remainder, forward, backward: `f`, the transform and its inverse.
        symbols: of the linear part.
        weights: the functions of it.
        product: of one of these and a vector.
    """

    remainder: Field
    forward: Field | None
    backward: Field | None
    symbols: Tensor
    weights: dict[Any, Tensor]
    product: Product

    def derivative(self, t: Tensor, y: Tensor) -> Tensor:
        """``f(t, y)``."""
        return self.remainder.derivative(t, y)

    def linear(self, y: Tensor) -> Tensor:
        """``L y``."""
        sums = self.sums
        return sums.leave(self.product(self.symbols, sums.enter(y)))

    @property
    def sums(self) -> WeightedSums:
        """What forms the sums of a step."""
        plus = partial(_plus, self.product)
        return WeightedSums(self.weights, self.product, plus, _along(self.forward), _along(self.backward))


def _along(transform: Field | None) -> Callable[[Tensor], Tensor]:
    return unchanged if transform is None else lambda y: transform.derivative(y.new_zeros(()), y)


def _plus(product: Product, total: Tensor, weight: Tensor, vector: Tensor) -> Tensor:
    return total + product(weight, vector)


def product_of_parts(weight: Tensor, vector: Tensor) -> Tensor:
    """The product of two complex tensors given as their parts."""
    (a, b), (x, y) = weight.unbind(), vector.unbind()
    return torch.stack([a * x - b * y, a * y + b * x])


def split_right_hand_side(
    problem: SplitODEProblem, tableau: ExponentialTableau, layout: Layout, y: Tensor
) -> SplitRightHandSide:
    """What the parts of a problem do now.

    Args:
        problem: with a `Diagonal` linear part.
        tableau: tells which functions of that a step needs.
        layout: of the states.
        y: a state.

    Raises:
        NotCompilable: for what PyTorch's compiler cannot follow.
    """
    linear: Diagonal = problem.linear
    there = linear.forward(y.detach())
    functions = (
        right_hand_side(problem, layout, y),
        _transform(linear.forward, y, there),
        _transform(linear.backward, there, y),
    )
    product = product_of_parts if linear.symbols.is_complex() else torch.mul
    return SplitRightHandSide(functions, needed(tableau), product)


def _transform(function: Callable[[Tensor], Tensor], y: Tensor, like: Tensor) -> RightHandSide | None:
    if function is unchanged:
        return None
    t = torch.zeros((), dtype=y.real.dtype)
    return traced(_without_time(function), (), t, y, layout_of(y, False), like, function)


def _without_time(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda t, y: function(y)


def constants(linear: Diagonal, tableau: ExponentialTableau, dt: float, y: Tensor) -> Tensor:
    """What the loop is given of the linear part: its symbols, and their functions for steps of size `dt`, stacked."""
    like = linear.forward(y.detach())
    symbols, weights = linear.symbols.detach(), diagonal_weights(linear, tableau, dt, like)
    values = torch.stack([symbols.to(weight_dtype(linear, like)), *weights.values()])
    return parts(values).transpose(0, 1).contiguous() if values.is_complex() else values
