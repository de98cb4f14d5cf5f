"""Arrays of nodes, and what the operations of PyTorch do with them.

A tensor that depends on time, state or parameters becomes an array of nodes of the builder, one for
each entry; so shapes, views and broadcasting are NumPy's, and only the arithmetic has to be written
down. Tensors that depend on nothing stay tensors, and PyTorch itself computes with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kutta.solvers.engines.tracing.program import Builder

Array = np.ndarray  # of node numbers, dtype object


class Symbols:
    """The rules, each a method or entry named like the operation of PyTorch.

    Args:
        builder: what the nodes belong to.
        dtype: of the real numbers.
    """

    def __init__(self, builder: Builder, dtype: torch.dtype = torch.float64):
        self.builder, self.dtype = builder, dtype
        self.rules: dict[str, Callable[..., Any]] = self._elementwise() | self._shaping() | self._reducing()

    def array(self, value: Any) -> Array:
        """Nodes for a symbol, a tensor or a number."""
        if isinstance(value, np.ndarray) and value.dtype == object:
            return value
        value = np.asarray(value.tolist() if isinstance(value, Tensor) else value)
        return _array(np.frompyfunc(self.builder.const, 1, 1)(value))

    def each(self, operation: str, *values: Any) -> Array:
        """An operation on every entry, with broadcasting."""
        arrays = [self.array(value) for value in values]
        apply = np.frompyfunc(lambda *nodes: self.builder.apply(operation, *nodes), len(arrays), 1)
        with np.errstate(all="ignore"):  # constants may overflow on the way
            return _array(apply(*arrays))

    def real(self, value: Any) -> Array:
        """Zero and one for truth values, anything else as it is."""
        return _array(np.frompyfunc(self._real, 1, 1)(self.array(value)))

    def truth(self, value: Any) -> Array:
        """Whether each entry is not zero."""
        return _array(np.frompyfunc(self._truth, 1, 1)(self.array(value)))

    def all_truths(self, *values: Any) -> bool:
        """Whether all entries are truth values."""
        return all(self.builder.is_truth(node) for value in values for node in self.array(value).flat)

    def alike(self, *values: Any) -> list[Array]:
        """All as truth values, or all as real ones."""
        change = self.array if self.all_truths(*values) else self.real
        return [change(value) for value in values]

    def _real(self, node: int) -> int:
        b = self.builder
        return b.where(node, b.const(1.0), b.const(0.0)) if b.is_truth(node) else node

    def _truth(self, node: int) -> int:
        return node if self.builder.is_truth(node) else self.builder.apply("ne", node, self.builder.const(0.0))

    def _arithmetic(self, operation: str) -> Callable[..., Array]:
        return lambda *values: self.each(operation, *map(self.real, values))

    def _elementwise(self) -> dict[str, Callable[..., Any]]:
        same = {
            name: self._arithmetic(name)
            for name in [
                "exp",
                "expm1",
                "log",
                "log1p",
                "sin",
                "cos",
                "tan",
                "asin",
                "acos",
                "atan",
                "sinh",
                "cosh",
                "tanh",
                "sqrt",
                "erf",
                "abs",
                "sign",
                "floor",
                "ceil",
                "trunc",
                "round",
                "neg",
                "mul",
                "lt",
                "le",
                "gt",
                "ge",
                "eq",
                "ne",
                "pow",
                "atan2",
            ]
        }
        names = ("and", "or", "not")
        logical = {
            f"logical_{name}": lambda *values, name=name: self.each(name, *map(self.truth, values)) for name in names
        } | {f"bitwise_{name}": lambda *values, name=name: self._bitwise(name, *values) for name in names}
        return same | logical | {
            "maximum": self._arithmetic("max"),
            "minimum": self._arithmetic("min"),
            "sgn": same["sign"],
            "add": lambda x, y, alpha=1: same_add(self, x, y, alpha),
            "sub": lambda x, y, alpha=1: same_add(self, x, y, -alpha),
            "rsub": lambda x, y, alpha=1: same_add(self, y, x, -alpha),
            "div": self._div,
            "reciprocal": lambda x: self.each("div", 1.0, self.real(x)),
            "rsqrt": lambda x: self.each("div", 1.0, self.each("sqrt", self.real(x))),
            "square": lambda x: self.each("mul", self.real(x), self.real(x)),
            "exp2": lambda x: self.each("exp", self.each("mul", x, math.log(2.0))),
            "log2": lambda x: self.each("mul", self.each("log", x), 1.0 / math.log(2.0)),
            "log10": lambda x: self.each("mul", self.each("log", x), 1.0 / math.log(10.0)),
            "sigmoid": lambda x: self.each("div", 1.0, self._one_plus_exp(x)),
            "relu": lambda x: self.each("where", self.each("le", x, 0.0), 0.0, x),
            "where": lambda c, x, y: self.each("where", self.truth(c), self.real(x), self.real(y)),
            "clamp": self._clamp,
            "hardtanh": self._hardtanh,
            "clamp_min": lambda x, low: self._clamp(x, low, None),
            "clamp_max": lambda x, high: self._clamp(x, None, high),
            "remainder": self._remainder,
            "fmod": self._arithmetic("fmod"),
            "silu": lambda x: self.each("div", x, self._one_plus_exp(x)),
            "softplus": self._softplus,
            "leaky_relu": self._leaky,
            "elu": self._elu,
            "mish": lambda x: self.each("mul", x, self.each("tanh", self._softplus(x))),
            "masked_fill": lambda x, mask, value: self.each("where", self.truth(mask), self.real(value), self.real(x)),
            "addcmul": lambda x, a, b, value=1: same_add(self, x, self.each("mul", a, b), value),
            "gelu": self._gelu,
            "hypot": lambda x, y: self.each("sqrt", same_add(self, self.each("mul", x, x), self.each("mul", y, y), 1)),
            "lerp": lambda x, y, w: same_add(self, x, self.each("mul", w, same_add(self, y, x, -1)), 1),
        }  # fmt: skip

    def _bitwise(self, operation: str, *values: Any) -> Array:
        if not self.all_truths(*values):
            raise NotImplementedError(f"bitwise_{operation} of numbers")
        return self.each(operation, *values)

    def _div(self, x: Any, y: Any, rounding_mode: str | None = None) -> Array:
        quotient = self.each("div", self.real(x), self.real(y))
        return quotient if rounding_mode is None else self.each(rounding_mode, quotient)

    def _clamp(self, x: Any, low: Any = None, high: Any = None) -> Array:
        # At the ends the slope is one, as in PyTorch; that of a maximum would be a half.
        x = self.real(x)
        x = x if low is None else self.each("where", self.each("lt", x, low), low, x)
        return x if high is None else self.each("where", self.each("gt", x, high), high, x)

    def _hardtanh(self, x: Any, low: float = -1.0, high: float = 1.0) -> Array:
        inside = self.each("where", self.each("ge", x, high), high, x)
        return self.each("where", self.each("le", x, low), low, inside)

    def _one_plus_exp(self, x: Array) -> Array:
        """``1 + exp(-x)``, without overflow, of which the derivative of a quotient would be NaN."""
        largest = 88.0 if self.dtype == torch.float32 else 709.0
        return self.each("add", 1.0, self.each("exp", self._clamp(self.each("neg", x), high=largest)))

    def _remainder(self, x: Any, y: Any) -> Array:
        """What is left has the sign of the divisor."""
        rest = self.each("fmod", self.real(x), self.real(y))
        against = self.each("ne", self.each("lt", rest, 0.0), self.each("lt", y, 0.0))
        return self.each(
            "where", self.each("and", self.each("ne", rest, 0.0), against), same_add(self, rest, y, 1), rest
        )

    def _leaky(self, x: Array, slope: float = 0.01) -> Array:
        return self.each("where", self.each("gt", x, 0.0), x, self.each("mul", x, slope))

    def _elu(self, x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Array:
        # Both branches are computed: of the exponential only the side that is used, which cannot overflow.
        below = self.each("expm1", self.each("mul", self._clamp(x, high=0.0), float(input_scale)))
        chosen = self.each("where", self.each("gt", x, 0.0), x, self.each("mul", below, float(alpha)))
        return self.each("mul", chosen, float(scale))

    def _softplus(self, x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
        scaled = self.each("mul", x, float(beta))
        soft = self.each("div", self.each("log1p", self.each("exp", self._clamp(scaled, high=threshold))), float(beta))
        return self.each("where", self.each("gt", scaled, threshold), x, soft)

    def _gelu(self, x: Array, approximate: str = "none") -> Array:
        if approximate == "tanh":
            cubic = self.each("add", x, self.each("mul", 0.044715, self.each("pow", x, 3.0)))
            bell = self.each("tanh", self.each("mul", math.sqrt(2.0 / math.pi), cubic))
        else:
            bell = self.each("erf", self.each("mul", x, math.sqrt(0.5)))
        return self.each("mul", self.each("mul", 0.5, x), self.each("add", 1.0, bell))

    def _shaping(self) -> dict[str, Callable[..., Any]]:
        views = {
            "view": lambda x, shape: x.reshape(shape),
            "select": lambda x, dim, index: _array(np.take(x, index, axis=dim)),
            "slice": _slice,
            "unsqueeze": lambda x, dim: np.expand_dims(x, dim if dim >= 0 else dim + x.ndim + 1),
            "squeeze": _squeeze,
            "expand": _expand,
            "permute": lambda x, dims: x.transpose(dims),
            "transpose": lambda x, a, b: x.swapaxes(a, b),
            "t": lambda x: x.T,
            "diagonal": lambda x, offset=0, dim1=0, dim2=1: x.diagonal(offset, dim1, dim2),
            "alias": lambda x: x,
            "detach": lambda x: x,
            "unbind": lambda x, dim=0: [_array(np.take(x, i, axis=dim)) for i in range(x.shape[dim])],
            "split": lambda x, size, dim=0: np.split(x, list(range(size, x.shape[dim], size)), dim),
            "split_with_sizes": lambda x, sizes, dim=0: np.split(x, np.cumsum(sizes)[:-1], dim),
        }
        copies = {f"{name}{ending}": rule for name, rule in views.items() for ending in ("_copy", "_")}
        return views | copies | {
            "_unsafe_view": views["view"],
            "reshape": views["view"],
            "clone": lambda x, **_: x,
            "_to_copy": lambda x, dtype=None, **_: self._cast(x, dtype),
            "lift_fresh_copy": views["alias"],
            "copy": self._copy,
            "fill": lambda x, value: np.broadcast_to(self.array(value), x.shape),
            "cat": self._cat,
            "stack": lambda tensors, dim=0: np.stack(self.alike(*tensors), dim),
            "flip": lambda x, dims: np.flip(x, dims),
            "repeat": lambda x, repeats: np.tile(x, repeats),
            "roll": lambda x, shifts, dims=(): np.roll(x, shifts, tuple(dims) if dims else None),
            "index_select": lambda x, dim, index: np.take(x, index.tolist(), axis=dim),
            "index": lambda x, indices: _array(x[tuple(slice(None) if i is None else i.numpy() for i in indices)]),
            "gather": _gather,
            "constant_pad_nd": self._pad,
            "full_like": lambda x, value, **_: self.array(np.full(x.shape, value)),
            "empty_like": lambda x, **_: self.array(np.full(x.shape, np.nan)),
            "new_empty": lambda x, size, **_: self.array(np.full(size, np.nan)),
            "new_zeros": lambda x, size, **_: self.array(np.zeros(size)),
            "new_ones": lambda x, size, **_: self.array(np.ones(size)),
            "new_full": lambda x, size, value, **_: self.array(np.full(size, value)),
            "zeros_like": lambda x, **_: self.array(np.zeros(x.shape)),
            "ones_like": lambda x, **_: self.array(np.ones(x.shape)),
            "select_scatter": self._select_scatter,
            "slice_scatter": self._slice_scatter,
        }  # fmt: skip

    def _cat(self, tensors: Sequence[Any], dim: int = 0) -> Array:
        # An empty tensor of one axis may be joined to anything.
        return np.concatenate([one for one in self.alike(*tensors) if one.shape != (0,)], dim)

    def _copy(self, x: Any, source: Any, *_: Any) -> Array:
        source = self._cast(self.array(source), x.dtype if isinstance(x, Tensor) else None, source)
        return np.broadcast_to(source, tuple(x.shape))

    def _cast(self, x: Array, dtype: torch.dtype | None, before: Any = None) -> Array:
        if dtype is None or (isinstance(before, Tensor) and before.dtype == dtype):
            return x
        if dtype in (torch.float32, torch.float64) and self.dtype in (dtype, torch.float32):
            return self.real(x)
        if dtype == torch.bool:
            return self.truth(x)
        raise NotImplementedError(f"a cast of what depends on the state from {self.dtype} to {dtype}")

    def _pad(self, x: Array, pad: Sequence[int], value: float = 0.0) -> Array:
        pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
        if min(pad) < 0:
            raise NotImplementedError("constant_pad_nd with negative widths")
        return np.pad(x, pairs, constant_values=self.builder.const(value))

    def _select_scatter(self, x: Any, source: Any, dim: int, index: int) -> Array:
        x, source = self.alike(x, source)
        result = x.copy()
        np.moveaxis(result, dim, 0)[index] = source[()]
        return result

    def _slice_scatter(
        self, x: Any, source: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
    ) -> Array:
        x, source = self.alike(x, source)
        result = x.copy()
        np.moveaxis(result, dim, 0)[slice(start, end, step)] = np.moveaxis(source, dim, 0)
        return result

    def _reducing(self) -> dict[str, Callable[..., Any]]:
        return {
            "sum": lambda x, dim=None, keepdim=False, dtype=None: self._total("add", x, dim, keepdim, dtype, 0.0),
            "prod": lambda x, dim=None, keepdim=False, dtype=None: self._total("mul", x, dim, keepdim, dtype, 1.0),
            "mean": self._mean,
            "amax": lambda x, dim=None, keepdim=False: self.fold("max", self.real(x), dim, keepdim),
            "amin": lambda x, dim=None, keepdim=False: self.fold("min", self.real(x), dim, keepdim),
            "max": lambda x, *dim: self._extreme("max", x, *dim),
            "min": lambda x, *dim: self._extreme("min", x, *dim),
            "any": lambda x, dim=None, keepdim=False: self.fold("or", self.truth(x), dim, keepdim, False),
            "all": lambda x, dim=None, keepdim=False: self.fold("and", self.truth(x), dim, keepdim, True),
            "cumsum": self._cumsum,
            "linalg_vector_norm": self._norm,
            "mm": self.matmul,
            "mv": self.matmul,
            "bmm": self.matmul,
            "dot": self.matmul,
            "addmm": lambda c, a, b, beta=1, alpha=1: same_add(
                self, self.each("mul", beta, c), self.matmul(a, b), alpha
            ),
            "_softmax": lambda x, dim, half: self._softmax(x, dim),
        }

    def _total(self, operation: str, x: Array, dim: Any, keepdim: bool, dtype: Any, start: float) -> Array:
        return self.fold(operation, self.real(self._cast(x, dtype)), dim, keepdim, start)

    def fold(self, operation: str, x: Array, dim: Any, keepdim: bool, start: Any = None) -> Array:
        """A reduction over some axes, all of them for ``None`` or none given."""
        dims = tuple(range(x.ndim)) if dim is None or dim == [] else tuple(np.atleast_1d(dim) % max(x.ndim, 1))
        kept = [axis for axis in range(x.ndim) if axis not in dims]
        dims = tuple(axis for axis in dims if axis < x.ndim)  # of no axes, the last one may still be named
        flat = x.transpose((*kept, *dims)).reshape(*(x.shape[axis] for axis in kept), -1)
        lead = flat.shape[:-1]
        result = np.empty(lead, dtype=object)
        for place in np.ndindex(*lead):
            nodes = list(flat[place])
            nodes = nodes if nodes or start is None else [self.builder.const(start)]
            result[place] = reduce(lambda a, b: self.builder.apply(operation, a, b), nodes)
        shape = [1 if axis in dims else size for axis, size in enumerate(x.shape)]
        return result.reshape(shape) if keepdim else result

    def _mean(self, x: Array, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        total = self.fold("add", self.real(x), dim, keepdim, 0.0)
        return self.each("div", total, float(x.size // max(total.size, 1)))

    def _extreme(self, operation: str, x: Array, *dim: Any) -> Array:
        if dim:
            raise NotImplementedError(f"{operation} with a dimension, which also returns places: use a{operation}")
        return self.fold(operation, x, None, False)

    def _cumsum(self, x: Array, dim: int, **_: Any) -> Array:
        result = self.real(x).copy()
        rows = np.moveaxis(result, dim, 0)
        for row in range(1, len(rows)):
            rows[row] = self.each("add", rows[row - 1 : row], rows[row : row + 1])[0]
        return result

    def _norm(self, x: Array, ord: float = 2, dim: Any = None, keepdim: bool = False, **_: Any) -> Array:
        if ord == 2:
            return self.each("sqrt", self.fold("add", self.each("mul", x, x), dim, keepdim, 0.0))
        size = self.each("abs", x)
        if ord == 0:
            raise NotImplementedError("linalg_vector_norm of order 0")
        if ord in (math.inf, -math.inf):
            return self.fold("max" if ord > 0 else "min", size, dim, keepdim)
        power = self.fold("add", self.each("pow", size, float(ord)), dim, keepdim, 0.0)
        return self.each("pow", power, 1.0 / ord)

    def _softmax(self, x: Array, dim: int) -> Array:
        weights = self.each("exp", self.each("sub", x, self.fold("max", x, dim, True)))
        return self.each("div", weights, self.fold("add", weights, dim, True))

    def matmul(self, a: Any, b: Any) -> Array:
        """The product of matrices, vectors, or stacks of matrices."""
        a, b = self.array(a), self.array(b)
        if b.ndim == 1:
            return self.fold("add", self.each("mul", a, b), -1, False, 0.0)
        return self.fold(
            "add", self.each("mul", a[..., :, None, :], b.swapaxes(-1, -2)[..., None, :, :]), -1, False, 0.0
        )


def same_add(symbols: Symbols, x: Any, y: Any, factor: float) -> Array:
    """``x + factor y``; of two truth values, whether one of them holds."""
    if factor == 1 and symbols.all_truths(x, y):
        return symbols.each("or", x, y)
    x, y = symbols.real(x), symbols.real(y)
    if factor in (1, -1):
        return symbols.each("add" if factor == 1 else "sub", x, y)
    return symbols.each("add", x, symbols.each("mul", float(factor), y))


def _array(value: Any) -> Array:
    """NumPy hands out the object itself where an array without axes is meant."""
    if isinstance(value, np.ndarray):
        return value
    result = np.empty((), dtype=object)
    result[()] = value
    return result


def _gather(x: Array, dim: int, index: Tensor, sparse_grad: bool = False) -> Array:
    # Along the other axes the index may be shorter.
    dim = dim % x.ndim
    room = tuple(slice(None) if axis == dim else slice(0, size) for axis, size in enumerate(index.shape))
    return np.take_along_axis(x[room], index.numpy(), dim)


def _slice(x: Array, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Array:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def _squeeze(x: Array, dim: Any = None) -> Array:
    dims = range(x.ndim) if dim is None else np.atleast_1d(dim)
    return x.squeeze(tuple(int(one) for one in dims if x.shape[one] == 1))


def _expand(x: Array, shape: Sequence[int], **_: Any) -> Array:
    lead = len(shape) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if size == -1 else size for i, size in enumerate(shape)])
