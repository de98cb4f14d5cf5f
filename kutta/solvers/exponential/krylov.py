"""The exponential of an operator that is known by its products with vectors only.

It is taken on the Krylov space of the vector: with the orthonormal basis ``W_m`` and ``H_m = W_m^* B W_m`` of Arnoldi's
process,

    exp(tau B) b = |b| W_{m+1} exp(tau [[H_m, 0], [h e_m^T, 0]]) e_1,      error about its last entry

(Saad, Analysis of some Krylov subspace approximations to the matrix exponential operator, SIAM J. Numer. Anal. 29,
1992).
Where the largest space does not suffice, the same space serves a shorter time ``tau``, and the rest follows.

Derivatives are those of the exponential, and not those of Arnoldi's process, which divides by rounding where the space
is nearly invariant, as that of an eigenvector is. With ``z(s) = exp(s B) b``,

    d(exp(B) b) = exp(B) db + int_0^1 exp((1 - s) B) dB z(s) ds.

As ``z(s) = W c(s)`` with ``c' = H c``, the two terms are again the first part of one exponential, of
``[[B, dB W], [0, H]]`` times ``[db; c(0)]``; and backwards of products with the functions of ``B^H``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kutta.autodiff import carries_gradient, in_forward_mode, read, under_transform
from kutta.solvers.algebra.implicit import undifferentiated
from kutta.solvers.exponential.krylov_space import Product, Space
from kutta.solvers.magnitude import magnitude


@dataclass(frozen=True)
class Krylov:
    """How well products with functions of an operator are computed.

    Attributes:
        tolerance: of their error, relative to the norm of the vector: that of the whole state, with all of its batch.
            In single precision it is at least 1e-6.
        largest: dimension of the Krylov space, the memory being so many states. Where it does not suffice, a step
            is gone in parts.
    """

    tolerance: float = 1e-11
    largest: int = 40

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance < 1.0:
            raise ValueError(f"tolerance must lie between 0 and 1; got {self.tolerance!r}")
        if not isinstance(self.largest, int) or self.largest < 2:
            raise ValueError(f"largest must be a whole number, 2 at least; got {self.largest!r}")


DEFAULT = Krylov()


def enlarged_times(
    product: Product, columns: Tensor, corner: Tensor, head: Tensor, tail: Tensor, krylov: Krylov
) -> Tensor:
    """The first part of ``exp([[B, V], [0, J]]) [x; y]``.

    Args:
        product: with ``B``.
        columns: ``V``, ``(n, p)``.
        corner: ``J``, ``(p, p)``.
        head: ``x``, of the size of 1.
        tail: ``y``, likewise.
        krylov: the tolerance, and the dimension of the space.
    """
    # Both parts of the vector of the size of what comes of them, or the basis would be taken up by the smaller one.
    size = read(columns.detach().abs().sum(0).amax())
    scale = 2.0 ** math.frexp(size)[1] if 0.0 < size < math.inf else 1.0
    n = len(head)

    def enlarged(x: Tensor) -> Tensor:
        return torch.cat([product(x[:n]) + columns @ x[n:] / scale, corner @ x[n:]])

    return exponential_times(enlarged, torch.cat([head, scale * tail]), krylov)[:n]


def exponential_times(product: Product, vector: Tensor, krylov: Krylov) -> Tensor:
    """``exp(B) b``, given ``B``'s product with a vector, with its first derivatives.

    Args:
        product: ``x -> B x`` for vectors ``(n,)``, written with differentiable operations.
        vector: ``b``, ``(n,)``.
        krylov: the tolerance, and the dimension of the space.
    """
    for part in _parts(product, vector.detach(), krylov):
        vector = _differentiable(part, product, vector, krylov)
    return vector


class _Part(NamedTuple):
    """A part of the way from ``b`` to ``exp(B) b``.

    Attributes:
        space: the Krylov space of the vector at its beginning.
        size: of the part, of a whole of 1.
        end: the vector at its end.
    """

    space: Space
    size: float
    end: Tensor


def _parts(product: Product, vector: Tensor, krylov: Krylov) -> Iterator[_Part]:
    """The way from ``b`` to ``exp(B) b``, without derivatives."""
    gone, size = 0.0, 1.0
    while gone < 1.0:
        with undifferentiated():
            part = _part(product, vector, min(2.0 * size, 1.0 - gone), krylov)
        gone, size, vector = gone + part.size, part.size, part.end
        yield part


def _part(product: Product, vector: Tensor, size: float, krylov: Krylov) -> _Part:
    """The largest part, up to `size`, for which a space suffices."""
    tolerance = max(krylov.tolerance, 8.0 * torch.finfo(vector.dtype).eps)
    space = Space(product, vector)
    while True:
        weights = space.exponential(size)
        error = read(weights[-1].abs())
        if error <= tolerance or error != error:
            return _Part(space, size, space.combined(weights))
        if space.dimension < min(krylov.largest, vector.numel()):
            space.extend()
        else:
            size = 0.5 * size


def _differentiable(part: _Part, product: Product, vector: Tensor, krylov: Krylov) -> Tensor:
    """The end of a part, with the derivatives in the vector and in what the product depends on."""
    if not (torch.is_grad_enabled() or in_forward_mode() or under_transform()):
        return part.end
    first, *others = part.space.basis
    image = product(first)
    if not (carries_gradient((vector, image)) or under_transform()):
        return part.end
    images = torch.stack([image, *(product(other) for other in others)], -1)
    change, images = vector - vector.detach(), images - images.detach()
    return part.end + _Exponential.apply(change, images, product, part, krylov)  # type: ignore[operator]


class _Exponential(torch.autograd.Function):
    """Zero, with the derivatives of ``exp(B) b``.

    Arguments: zeros that carry ``db``; zeros that carry ``dB W``, ``(n, m + 1)``; the product with ``B``; the part;
    the tolerance and the dimension of spaces.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(change: Tensor, images: Tensor, *others: Any) -> Tensor:
        return torch.zeros_like(change)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        change, images, ctx.product, ctx.part, ctx.krylov = inputs
        ctx.save_for_backward(change, images)
        ctx.save_for_forward(change, images)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        space, size = ctx.part.space, ctx.part.size
        unit = magnitude(cotangent)
        _, pull = torch.func.vjp(ctx.product, torch.zeros_like(cotangent))  # pyright: ignore[reportAssignmentType]
        images = torch.zeros_like(torch.stack(space.basis, -1))
        gone, end = 0.0, cotangent / unit
        for back in _parts(lambda x: size * pull(x)[0], end, ctx.krylov):
            gone, end = gone + back.size, back.end
            weights = space.norm * space.exponential(size * (1.0 - gone))
            images = images + size * back.space.integral(back.size, weights, size * space.matrix())
        roots = (cotangent, *ctx.saved_tensors)
        return _Once.apply(unit * end, *roots), _Once.apply(unit * images, *roots), None, None, None

    @staticmethod
    def jvp(ctx: Any, change: Tensor, images: Tensor, *others: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        space, size = ctx.part.space, ctx.part.size
        unit = magnitude(torch.cat([change, (space.norm * images).flatten()]))
        start = torch.eye(space.dimension + 1, dtype=change.dtype, device=change.device)[0]
        found = unit * enlarged_times(
            lambda x: size * ctx.product(x),
            size * space.norm * images / unit,
            size * space.matrix(),
            change / unit,
            start,
            ctx.krylov,
        )
        return _Once.apply(found, *ctx.saved_tensors)  # type: ignore[return-value]


class _Once(torch.autograd.Function):
    """A first derivative, which is not that of a function of what it was computed from."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, *roots: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(_TWICE)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise NotImplementedError(_TWICE)


_TWICE = (
    "second derivatives of products with functions of an operator are not computed in Krylov spaces: give the linear "
    "part as a matrix, kutta.algebra.Diagonal or kutta.algebra.BlockDiagonal"
)
