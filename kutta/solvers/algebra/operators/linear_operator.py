"""Linear operators: what can be applied to a state, and what is made of such."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

# What a shift or a multiple may be: a number, or a 0-dimensional tensor.
Scalar = Any
Inverse = Callable[[Tensor], Tensor]


class LinearOperator:
    """A square linear operator, ``x -> A x``, for states with any leading batch axes.

    An operator of one's own derives from this and gives `apply`, written with differentiable operations; gradients of
    a solve then reach whatever it depends on. All else has a default.

    Attributes:
        axes: how many trailing axes of ``x`` make one state; ``None`` for all of them, so that there is no batch.
        batch: leading axes of the operator itself, where it differs from sample to sample.
        symmetric: whether ``A`` is its own conjugate transpose.
        definite: whether it is moreover positive definite, or negative definite.
    """

    axes: int | None = None
    batch: torch.Size = torch.Size()
    symmetric: bool = False
    definite: bool = False

    def apply(self, x: Tensor) -> Tensor:
        """``A x``, of the shape of `x`."""
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Refuse a state that this operator cannot be applied to."""

    def check_right(self, b: Tensor) -> None:
        """Refuse a right-hand side that no state has as its image."""

    def compatible(self, b: Tensor) -> Tensor:
        """What of a right-hand side some state has as its image: all of it, unless the operator is singular."""
        return b

    def transposed(self) -> LinearOperator:
        """``A^T``, without conjugation."""
        return Transposed(self)

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        """``shift I + scale A``, of the same structure where it has one."""
        return Shifted(self, shift, scale)

    def diagonal(self, like: Tensor) -> Tensor:
        """The diagonal, of the shape of one state, for states such as `like`."""
        shape = self.state_shape(like)
        return torch.diagonal(self.dense(like), dim1=-2, dim2=-1).reshape(*self.batch, *shape)

    def dense(self, like: Tensor) -> Tensor:
        """The matrix, ``(*batch, n, n)``, on flattened states such as `like`; by default column by column."""
        shape = self.state_shape(like)
        n = shape.numel()
        units = torch.eye(n, dtype=like.dtype, device=like.device).reshape(n, *[1] * len(self.batch), *shape)
        if self.axes is None:
            columns = torch.stack([self.apply(unit) for unit in units])
        else:
            units = units.expand(n, *self.batch, *shape)
            columns = checked_image("operator", self.apply(units), units)
        return columns.reshape(n, *self.batch, n).movedim(0, -1)

    def inverse(self) -> Inverse | None:
        """``x -> A^-1 x`` where there is an exact and cheap one."""
        return None

    def regular(self) -> LinearOperator:
        """One that can be inverted and has the same solutions, with what is `compatible`, where that is known."""
        return self

    def of_stand_ins(self, stand_in: Callable[[Any], Any]) -> LinearOperator:
        """An equal operator, in which ``stand_in(tensor)``, of equal values, replaces each tensor that it holds."""

        def replaced(part: Any) -> Any:
            return part.of_stand_ins(stand_in) if isinstance(part, LinearOperator) else stand_in(part)

        other = copy.copy(self)
        other.__dict__.update(pytree.tree_map(replaced, self.__dict__))
        return other

    def state_shape(self, x: Tensor) -> torch.Size:
        """The shape of one state of the batch `x`."""
        return x.shape if self.axes is None else x.shape[x.dim() - self.axes :]

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return Sum((self, other)) if isinstance(other, LinearOperator) else NotImplemented

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return Sum((self, -other)) if isinstance(other, LinearOperator) else NotImplemented

    def __neg__(self) -> LinearOperator:
        return self.shifted(0.0, -1.0)

    def __mul__(self, scale: Scalar) -> LinearOperator:
        return self.shifted(0.0, scale)

    __rmul__ = __mul__


def transpose(function: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
    """``A^T y`` for a linear function ``x -> A x`` written with differentiable operations."""
    _, pull = torch.func.vjp(function, torch.zeros_like(y))  # pyright: ignore[reportAssignmentType]
    (found,) = pull(y.conj())
    return found.conj().resolve_conj()


class Transposed(LinearOperator):
    """``A^T`` of any operator, by reverse differentiation; ``A^T y = conj(A conj(y))`` where ``A`` is symmetric.

    Attributes:
        operator: ``A``.
    """

    def __init__(self, operator: LinearOperator):
        self.operator = operator
        self.axes, self.batch = operator.axes, operator.batch
        self.symmetric, self.definite = operator.symmetric, operator.definite

    def apply(self, x: Tensor) -> Tensor:
        return self._through(self.operator.apply, x)

    def check(self, x: Tensor) -> None:
        self.operator.check(x)

    def transposed(self) -> LinearOperator:
        return self.operator

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        return self.operator.shifted(shift, scale).transposed()

    def diagonal(self, like: Tensor) -> Tensor:
        return self.operator.diagonal(like)

    def dense(self, like: Tensor) -> Tensor:
        return self.operator.dense(like).mT

    def regular(self) -> LinearOperator:
        return self.operator.regular().transposed()

    def inverse(self) -> Inverse | None:
        inverse = self.operator.inverse()
        return None if inverse is None else lambda x: self._through(inverse, x)

    def _through(self, function: Inverse, x: Tensor) -> Tensor:
        if self.symmetric:
            return function(x.conj().resolve_conj()).conj().resolve_conj()
        return transpose(function, x)


class Shifted(LinearOperator):
    """``shift I + scale A``: what `LinearOperator.shifted` is without structure, and a multiple with ``shift = 0``.

    Attributes:
        operator: ``A``.
        shift, scale: numbers, or 0-dimensional tensors.
    """

    def __init__(self, operator: LinearOperator, shift: Scalar, scale: Scalar):
        self.operator, self.shift, self.scale = operator, shift, scale
        self.axes, self.batch = operator.axes, operator.batch
        self.symmetric = operator.symmetric and is_real(shift, scale)
        self.definite = stays_definite(operator, shift, scale)

    def apply(self, x: Tensor) -> Tensor:
        image = self.scale * self.operator.apply(x)
        return image if is_zero(self.shift) else image + self.shift * x

    def check(self, x: Tensor) -> None:
        self.operator.check(x)

    def transposed(self) -> LinearOperator:
        return Shifted(self.operator.transposed(), self.shift, self.scale)

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        return self.operator.shifted(shift + scale * self.shift, scale * self.scale)

    def diagonal(self, like: Tensor) -> Tensor:
        return self.shift + self.scale * self.operator.diagonal(like)


class Sum(LinearOperator):
    """``A_1 + A_2 + ...``.

    Attributes:
        parts: the operators, which act on the same states.
    """

    def __init__(self, parts: tuple[LinearOperator, ...]):
        axes = {part.axes for part in parts}
        if len(axes) > 1:
            raise ValueError(f"the parts of a sum must have the same number of axes; got {sorted(map(str, axes))}")
        self.parts = parts
        self.axes = parts[0].axes
        self.batch = torch.broadcast_shapes(*(part.batch for part in parts))
        self.symmetric = all(part.symmetric for part in parts)

    def apply(self, x: Tensor) -> Tensor:
        total = self.parts[0].apply(x)
        for part in self.parts[1:]:
            total = total + part.apply(x)
        return total

    def check(self, x: Tensor) -> None:
        for part in self.parts:
            part.check(x)

    def transposed(self) -> LinearOperator:
        return Sum(tuple(part.transposed() for part in self.parts))

    def shifted(self, shift: Scalar, scale: Scalar) -> LinearOperator:
        first, *others = self.parts
        return Sum((first.shifted(shift, scale), *(part.shifted(0.0, scale) for part in others)))

    def diagonal(self, like: Tensor) -> Tensor:
        total = self.parts[0].diagonal(like)
        for part in self.parts[1:]:
            total = total + part.diagonal(like)
        return total


def is_zero(value: Scalar) -> bool:
    """Whether it is the number zero; a tensor, whose value is not read, never is."""
    return not isinstance(value, Tensor) and value == 0


def is_real(*values: Scalar) -> bool:
    """Whether all are real numbers or tensors."""
    return not any(value.is_complex() if isinstance(value, Tensor) else isinstance(value, complex) for value in values)


def stays_definite(operator: LinearOperator, shift: Scalar, scale: Scalar) -> bool:
    """Whether ``shift I + scale A`` is known to be definite, which is so of real multiples of definite operators."""
    return operator.definite and is_zero(shift) and is_real(scale) and not is_zero(scale)


def checked_image(what: str, image: Tensor, x: Tensor) -> Tensor:
    """What came of a state, if it is like the state."""
    if image.dtype != x.dtype or image.shape != x.shape:
        raise TypeError(
            f"the {what} turns {x.dtype} of shape {tuple(x.shape)} into {image.dtype} of shape {tuple(image.shape)}; "
            "give it the dtype and the shape of the right-hand side"
        )
    return image


def check_size(name: str, n: int, dtype: torch.dtype, x: Tensor) -> None:
    """Refuse vectors of other than `n` entries, or of another dtype than a matrix."""
    if x.dim() < 1 or x.shape[-1] != n:
        raise ValueError(f"{name} acts on vectors of shape (..., {n}); got shape {tuple(x.shape)}")
    if x.dtype != dtype:
        raise TypeError(f"{name} has dtype {dtype} and cannot act on {x.dtype}: convert one of them")
