"""What Fourier transforms do to pairs: they are handed to the native ones, where those suit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kutta.solvers.engines.compiled.complex_pairs import Pair, pair_of
from kutta.solvers.engines.compiled.transforms import parts_to_parts, parts_to_real, real_to_parts, suits


def _placed(x: Tensor, dims: Sequence[int]) -> tuple[list[int], list[int]]:
    """The order of axes in which those of a transform are last, the halved one at the very end; and the way back."""
    dims = [axis % x.dim() for axis in dims]
    order = [axis for axis in range(x.dim()) if axis not in dims] + sorted(dims[:-1]) + dims[-1:]
    return order, [order.index(axis) for axis in range(x.dim())]


def _scale(norm: int, sizes: Sequence[int]) -> float:
    return (1.0, math.prod(sizes) ** -0.5, 1.0 / math.prod(sizes))[norm]


def _permuted(x: Tensor, order: list[int]) -> Tensor:
    return x if order == sorted(order) else x.permute(order)


def _returned(parts: Tensor, back: list[int]) -> Pair:
    return Pair(_permuted(parts[0], back), _permuted(parts[1], back))


def real_transform(x: Tensor, dims: Sequence[int], norm: int, onesided: bool) -> Any:
    """Of a real tensor: half of the coefficients, or all."""
    if not onesided:
        return complex_transform(x, dims, norm, True)
    order, back = _placed(x, dims)
    sizes = [x.shape[axis] for axis in order[-len(dims) :]]
    if not suits(sizes, x.dtype):
        return NotImplemented
    found = real_to_parts(_permuted(x, order).contiguous(), len(dims), _scale(norm, sizes))
    return _returned(found, back)


def inverse_of_real(z: Pair, dims: Sequence[int], norm: int, size: int) -> Any:
    """The real tensor of half of the coefficients."""
    order, back = _placed(z.like, dims)
    sizes = [*(z.like.shape[axis] for axis in order[-len(dims) : -1]), size]
    if not suits(sizes, z.like.dtype):
        return NotImplemented
    return _permuted(parts_to_real(_ordered(z, order), len(dims), size, _scale(norm, sizes)), back)


def complex_transform(z: Any, dims: Sequence[int], norm: int, forward: bool) -> Any:
    """Of a complex tensor, or back."""
    z = pair_of(z)
    order, back = _placed(z.like, dims)
    sizes = [z.like.shape[axis] for axis in order[-len(dims) :]]
    if not suits(sizes, z.like.dtype):
        return NotImplemented
    found = parts_to_parts(_ordered(z, order), len(dims), bool(forward), _scale(norm, sizes))
    return _returned(found, back)


def _ordered(z: Pair, order: list[int]) -> Tensor:
    return z.each(lambda part: _permuted(part, order)).stacked()
