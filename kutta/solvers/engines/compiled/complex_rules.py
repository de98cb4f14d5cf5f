"""What PyTorch's operations on complex tensors do to pairs of real ones; ``NotImplemented`` where that is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kutta.solvers.engines.compiled.complex_pairs import LastAxis, Pair, flat, pair_of
from kutta.solvers.engines.compiled.complex_transforms import complex_transform, inverse_of_real, real_transform

aten = torch.ops.aten


def _written(value: Any, like: Tensor) -> Pair:
    """A number, too, as a tensor of a shape."""
    if isinstance(value, Pair | Tensor):
        return pair_of(value)
    return Pair(torch.full_like(like, value.real), torch.full_like(like, value.imag) if value.imag else None)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _difference(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return a if b is None else -b if a is None else a - b


def _product(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a * b


def _numbers(value: Any) -> tuple[Any, Any]:
    """The parts of a tensor or of a number, ``None`` for zero."""
    if isinstance(value, Pair):
        return value.real, value.imag
    if isinstance(value, complex):
        return value.real or None, value.imag or None
    return value, None


def _multiplied(a: Any, b: Any) -> Any:
    (ar, ai), (br, bi) = _numbers(a), _numbers(b)
    real = _difference(_product(ar, br), _product(ai, bi))
    imag = _sum(_product(ar, bi), _product(ai, br))
    if real is None and imag is None:
        return NotImplemented
    return _of_one_shape(real, imag)


def _of_one_shape(real: Tensor | None, imag: Tensor | None) -> Pair:
    """Parts that may have been broadcast differently."""
    if real is not None and imag is not None and real.shape != imag.shape:
        real, imag = torch.broadcast_tensors(real, imag)
    return Pair(real, imag)


def _divided(a: Any, b: Any) -> Any:
    if isinstance(b, complex):
        return _multiplied(a, 1.0 / b)
    if not isinstance(b, Pair):
        return a.each(lambda part: part / b) if isinstance(a, Pair) else NotImplemented
    return _multiplied(a, _reciprocal(b))


def _reciprocal(z: Pair) -> Pair:
    real, imag = z.parts
    size = real * real + imag * imag
    return Pair(real / size, -imag / size)


def _added(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    a, b = pair_of(a), _written(b, pair_of(a).like)
    if alpha != 1:
        b = _multiplied(b, alpha)
    shape = torch.broadcast_shapes(a.like.shape, b.like.shape)
    a, b = (one.each(lambda part: part.expand(shape)) for one in (a, b))
    return Pair(_sum(a.real, b.real), _sum(a.imag, b.imag))


def _subtracted(a: Any, b: Any, *, alpha: Any = 1) -> Any:
    return _added(a, b, alpha=-alpha)


def _conjugate(z: Pair) -> Pair:
    return Pair(z.real, None if z.imag is None else -z.imag)


def _magnitude(z: Pair) -> Tensor:
    if z.real is None or z.imag is None:
        return z.like.abs()
    zero = (z.real == 0.0) & (z.imag == 0.0)  # where the slope is taken for zero
    return torch.where(zero, 0.0, torch.hypot(torch.where(zero, 1.0, z.real), z.imag))


def _exponential(z: Pair) -> Pair:
    size, (_, angle) = None if z.real is None else z.real.exp(), z.parts
    real, imag = angle.cos(), angle.sin()
    return Pair(real, imag) if size is None else Pair(size * real, size * imag)


def _power(z: Any, exponent: Any) -> Any:
    if not isinstance(z, Pair) or exponent not in (2, 3):
        return NotImplemented
    square = _multiplied(z, z)
    return square if exponent == 2 else _multiplied(square, z)


def _structural(target: Any) -> Callable[..., Any]:
    """A rule for what is the same for both parts."""

    def rule(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(first, Pair) or any(isinstance(one, Pair | complex) for one in flat(args)):
            return NotImplemented
        return first.each(lambda part: target(part, *args, **kwargs))

    return rule


def _padded(z: Any, widths: Sequence[int], value: Any = 0.0) -> Any:
    value = complex(value)
    parts = zip(pair_of(z).parts, (value.real, value.imag), strict=True)
    return Pair(*(aten.constant_pad_nd.default(part, widths, filling) for part, filling in parts))


def _joined(target: Any) -> Callable[..., Any]:
    """A rule for what puts a list of tensors together."""

    def rule(tensors: Sequence[Any], *args: Any) -> Pair:
        pairs = [pair_of(one).parts for one in tensors]
        return Pair(*(target([pair[part] for pair in pairs], *args) for part in (0, 1)))

    return rule


def _scattered(whole: Any, part: Any, *where: int) -> Pair:
    parts = zip(pair_of(whole).parts, pair_of(part).parts, strict=True)
    return Pair(*(aten.slice_scatter.default(*one, *where) for one in parts))


def _chosen(which: Tensor, a: Any, b: Any) -> Any:
    (ar, ai), (br, bi) = pair_of(a).parts, pair_of(b).parts
    return Pair(torch.where(which, ar, br), torch.where(which, ai, bi))


def _converted(x: Any, *, dtype: Any = None, **options: Any) -> Any:
    if dtype is None or not dtype.is_complex:
        return NotImplemented
    real = torch.empty((), dtype=dtype, device="cpu").real.dtype
    return pair_of(x).each(lambda part: part.to(real))


def _made(x: Tensor, y: Tensor) -> Pair:
    return _of_one_shape(x, y)


ARITHMETIC = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
_SAME_FOR_BOTH = [
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape.default,
    aten.expand.default,
    aten.permute.default,
    aten.t.default,
    aten.transpose.int,
    aten.squeeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.slice.Tensor,
    aten.select.int,
    aten.index.Tensor,
    aten.index_select.default,
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.lift_fresh_copy.default,
    aten.neg.default,
    aten.roll.default,
    aten.flip.default,
    aten.sum.default,
    aten.sum.dim_IntList,
    aten.mean.default,
    aten.mean.dim,
    aten.zeros_like.default,
]
RULES: dict[Any, Callable[..., Any]] = {
    **{target: _structural(target) for target in _SAME_FOR_BOTH},
    aten.constant_pad_nd.default: _padded,
    aten.cat.default: _joined(torch.cat),
    aten.stack.default: _joined(torch.stack),
    aten.slice_scatter.default: _scattered,
    aten.add.Tensor: _added,
    aten.sub.Tensor: _subtracted,
    aten.mul.Tensor: _multiplied,
    aten.mul.Scalar: _multiplied,
    aten.div.Tensor: _divided,
    aten.div.Scalar: _divided,
    aten.reciprocal.default: _reciprocal,
    aten.where.self: _chosen,
    aten.abs.default: _magnitude,
    aten.exp.default: _exponential,
    aten.pow.Tensor_Scalar: _power,
    aten._conj.default: _conjugate,
    aten.conj_physical.default: _conjugate,
    aten.resolve_conj.default: lambda z: z,
    aten.resolve_neg.default: lambda z: z,
    aten.complex.default: _made,
    aten.view_as_real.default: LastAxis,
    aten.view_as_complex.default: lambda x: Pair(*x.unbind(-1)),
    aten._to_copy.default: _converted,
    aten._fft_r2c.default: real_transform,
    aten._fft_c2r.default: inverse_of_real,
    aten._fft_c2c.default: complex_transform,
}
