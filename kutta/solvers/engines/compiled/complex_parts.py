"""Complex numbers in a right-hand side as pairs of real ones.

PyTorch's compiler fuses operations on real tensors, and hands complex ones over one by one. So a graph with complex
tensors in it becomes one in which each is two real tensors, the parts. A state that is complex is given and returned as
one tensor with the parts on its first axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter
from torch.fx.experimental.proxy_tensor import make_fx

from kutta.solvers.engines.compiled.transforms import parts_to_parts, parts_to_real, real_to_parts, suits

aten = torch.ops.aten


@dataclass(frozen=True)
class Pair:
    """A complex tensor; a part that is zero for every value is ``None``, never both of them."""

    real: Tensor | None
    imag: Tensor | None

    @property
    def like(self) -> Tensor:
        """A tensor of its shape."""
        return self.real if self.real is not None else self.imag  # type: ignore[return-value]

    @property
    def parts(self) -> tuple[Tensor, Tensor]:
        """Both, zeros written out."""
        real = torch.zeros_like(self.like) if self.real is None else self.real
        return real, torch.zeros_like(self.like) if self.imag is None else self.imag

    def stacked(self) -> Tensor:
        """The parts on a first axis."""
        return torch.stack([part.contiguous() for part in self.parts])

    def each(self, function: Callable[[Tensor], Tensor]) -> Pair:
        """A real linear function of it."""
        return Pair(*(None if part is None else function(part) for part in (self.real, self.imag)))


@dataclass(frozen=True)
class _LastAxis:
    """A complex tensor seen as real numbers, its parts on a last axis."""

    pair: Pair


def has_complex(graph: GraphModule) -> bool:
    """Whether some tensor of a graph is complex."""
    values = [node.meta.get("val") for node in graph.graph.nodes]
    return any(isinstance(value, Tensor) and value.is_complex() for value in values)


def in_parts(graph: GraphModule, varying: int) -> GraphModule:
    """The same function of real tensors.

    Args:
        graph: a function of ``varying`` tensors that vary, given as parts where they are complex, and of others, given
            as they are.
        varying: how many these are.
    """
    values = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    interpreter = _InParts(graph)

    def run(*tensors: Tensor) -> Tensor:
        given = []
        for place, (tensor, value) in enumerate(zip(tensors, values, strict=True)):
            if not value.is_complex():
                given.append(tensor)
            elif place < varying:
                given.append(Pair(tensor[0], tensor[1]))
            else:  # copies, which are made once
                given.append(Pair(tensor.real.clone(), tensor.imag.clone()))
        result = interpreter.run(*given)
        return result.stacked() if isinstance(result, Pair) else result

    def example(place: int, value: Tensor) -> Tensor:
        parts = value.is_complex() and place < varying
        shape, dtype = ((2, *value.shape), value.real.dtype) if parts else (value.shape, value.dtype)
        return torch.empty(shape, dtype=dtype) if parts else torch.empty_like(value, device="cpu", dtype=dtype)

    examples = [example(place, value) for place, value in enumerate(values)]
    return make_fx(run, tracing_mode="fake")(*examples)


class _InParts(Interpreter):
    """Runs a graph with `Pair` for complex tensors."""

    def run_node(self, n: Any) -> Any:
        self.value = n.meta.get("val")
        return super().run_node(n)

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = [*_flat(args), *_flat(kwargs.values())]
        if any(isinstance(one, _LastAxis) for one in given):
            return _of_last_axis(target, args, kwargs)
        makes = isinstance(self.value, Tensor) and self.value.is_complex()
        if not makes and not any(isinstance(one, Pair | complex) for one in given):
            return super().call_function(target, args, kwargs)
        rule = _RULES.get(target)
        if target in _ARITHMETIC and makes:
            args = _mapped(self._promoted, args)
        found = NotImplemented if rule is None else rule(*args, **kwargs)
        if found is NotImplemented:
            return _as_it_is(target, args, kwargs)
        return found.each(self._promoted) if makes and isinstance(found, Pair) else found

    def _promoted(self, value: Any) -> Any:
        """Real tensors with the precision of what is computed: whole numbers as such have no halves."""
        return value.to(self.value.dtype.to_real()) if isinstance(value, Tensor) else value


def _flat(values: Any) -> list[Any]:
    return [one for value in values for one in (_flat(value) if isinstance(value, list | tuple) else [value])]


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_mapped(function, one) for one in value)
    return function(value)


def _as_it_is(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation without a rule, on complex tensors."""

    def joined(value: Any) -> Any:
        return torch.complex(*value.parts) if isinstance(value, Pair) else value

    found = target(*_mapped(joined, args), **{key: _mapped(joined, value) for key, value in kwargs.items()})

    def parted(value: Any) -> Any:
        return Pair(value.real, value.imag) if isinstance(value, Tensor) and value.is_complex() else value

    return _mapped(parted, found)


def _of_last_axis(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An operation on a complex tensor seen as real numbers: most often one of the parts is taken."""
    if target == aten.select.int and isinstance(args[0], _LastAxis) and args[1] in (-1, args[0].pair.like.dim()):
        return args[0].pair.parts[args[2]]

    def written(value: Any) -> Any:
        return torch.stack(value.pair.parts, -1) if isinstance(value, _LastAxis) else value

    return target(*_mapped(written, args), **{key: _mapped(written, value) for key, value in kwargs.items()})


def _pair(value: Pair | Tensor) -> Pair:
    """A real tensor as what it is among complex ones."""
    return value if isinstance(value, Pair) else Pair(value, None)


def _written(value: Any, like: Tensor) -> Pair:
    """A number, too, as a tensor of a shape."""
    if isinstance(value, Pair | Tensor):
        return _pair(value)
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
    a, b = _pair(a), _written(b, _pair(a).like)
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
        if not isinstance(first, Pair) or any(isinstance(one, Pair | complex) for one in _flat(args)):
            return NotImplemented
        return first.each(lambda part: target(part, *args, **kwargs))

    return rule


def _padded(z: Any, widths: Sequence[int], value: Any = 0.0) -> Any:
    value = complex(value)
    parts = zip(_pair(z).parts, (value.real, value.imag), strict=True)
    return Pair(*(aten.constant_pad_nd.default(part, widths, filling) for part, filling in parts))


def _joined(target: Any) -> Callable[..., Any]:
    """A rule for what puts a list of tensors together."""

    def rule(tensors: Sequence[Any], *args: Any) -> Pair:
        pairs = [_pair(one).parts for one in tensors]
        return Pair(*(target([pair[part] for pair in pairs], *args) for part in (0, 1)))

    return rule


def _scattered(whole: Any, part: Any, *where: int) -> Pair:
    parts = zip(_pair(whole).parts, _pair(part).parts, strict=True)
    return Pair(*(aten.slice_scatter.default(*one, *where) for one in parts))


def _chosen(which: Tensor, a: Any, b: Any) -> Any:
    (ar, ai), (br, bi) = _pair(a).parts, _pair(b).parts
    return Pair(torch.where(which, ar, br), torch.where(which, ai, bi))


def _converted(x: Any, *, dtype: Any = None, **options: Any) -> Any:
    if dtype is None or not dtype.is_complex:
        return NotImplemented
    real = torch.empty((), dtype=dtype, device="cpu").real.dtype
    return _pair(x).each(lambda part: part.to(real))


def _made(x: Tensor, y: Tensor) -> Pair:
    return _of_one_shape(x, y)


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


def _real_transform(x: Tensor, dims: Sequence[int], norm: int, onesided: bool) -> Any:
    if not onesided:
        return _complex_transform(x, dims, norm, True)
    order, back = _placed(x, dims)
    sizes = [x.shape[axis] for axis in order[-len(dims) :]]
    if not suits(sizes, x.dtype):
        return NotImplemented
    found = real_to_parts(_permuted(x, order).contiguous(), len(dims), _scale(norm, sizes))
    return _returned(found, back)


def _inverse_of_real(z: Pair, dims: Sequence[int], norm: int, size: int) -> Any:
    order, back = _placed(z.like, dims)
    sizes = [*(z.like.shape[axis] for axis in order[-len(dims) : -1]), size]
    if not suits(sizes, z.like.dtype):
        return NotImplemented
    return _permuted(parts_to_real(_ordered(z, order), len(dims), size, _scale(norm, sizes)), back)


def _complex_transform(z: Any, dims: Sequence[int], norm: int, forward: bool) -> Any:
    z = _pair(z)
    order, back = _placed(z.like, dims)
    sizes = [z.like.shape[axis] for axis in order[-len(dims) :]]
    if not suits(sizes, z.like.dtype):
        return NotImplemented
    found = parts_to_parts(_ordered(z, order), len(dims), bool(forward), _scale(norm, sizes))
    return _returned(found, back)


def _ordered(z: Pair, order: list[int]) -> Tensor:
    return z.each(lambda part: _permuted(part, order)).stacked()


_ARITHMETIC = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}
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
_RULES: dict[Any, Callable[..., Any]] = {
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
    aten.view_as_real.default: _LastAxis,
    aten.view_as_complex.default: lambda x: Pair(*x.unbind(-1)),
    aten._to_copy.default: _converted,
    aten._fft_r2c.default: _real_transform,
    aten._fft_c2r.default: _inverse_of_real,
    aten._fft_c2c.default: _complex_transform,
}
