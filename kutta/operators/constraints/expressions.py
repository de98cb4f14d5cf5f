"""What an equation makes of a field, written down instead of computed.

An equation is called once, with an unknown in place of a field. What is linear in the unknown, such as its derivatives,
are *images* of it, known by what has been done to it. All else is computed point by point from images and data, so that
its derivatives follow from the chain rule,

    d f(a, b, ...) / dx = f_a da/dx + f_b db/dx + ...

The expression can then be evaluated at any points, again and again, and differentiated in the images.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

# Of expressions, these are sums.
_SUMS = (operator.add, operator.sub, operator.neg)

# What PyTorch computes point by point, by name.
# fmt: off
_POINTWISE = (
    "abs", "acos", "acosh", "add", "arctan", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "clamp", "clip",
    "cos", "cosh", "div", "divide", "elu", "erf", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gelu", "gt",
    "heaviside", "hypot", "le", "leaky_relu", "lerp", "lgamma", "log", "log10", "log1p", "log2", "logaddexp",
    "logit", "lt", "maximum", "minimum", "mul", "multiply", "nan_to_num", "neg", "negative", "positive", "pow",
    "reciprocal", "relu", "rsqrt", "sgn", "sigmoid", "sign", "silu", "sin", "sinc", "sinh", "softplus", "sqrt",
    "square", "sub", "subtract", "tan", "tanh", "true_divide", "where", "xlogy",
)
# fmt: on

# What something linear is known by: what has been done to the unknown, one operation after the other.
Path = tuple[Any, ...]


class Expression:
    """A field of which it is known how it is computed: with numbers, tensors and other expressions as any tensor is."""

    def values(self, of: Callable[[Leaf], Tensor]) -> Tensor:
        """Its values, given those of its leaves."""
        raise NotImplementedError

    def derivative(self, of: Callable[[Leaf], Expression]) -> Expression:
        """Its derivative along an axis, given those of its leaves."""
        raise NotImplementedError

    def mapped(self, of: Callable[[Leaf], Expression]) -> Expression:
        """The same of other leaves."""
        raise NotImplementedError

    def linear(self, of: Callable[[Expression], Expression | None]) -> Expression | None:
        """What a linear operation makes of it, given what it makes of parts, if it is a sum of multiples of these."""
        return None

    def leaves(self) -> Iterator[Leaf]:
        """What it is made of, in the order of its writing."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Expression:
        return Pointwise(operator.add, (self, other))

    def __radd__(self, other: Any) -> Expression:
        return Pointwise(operator.add, (other, self))

    def __sub__(self, other: Any) -> Expression:
        return Pointwise(operator.sub, (self, other))

    def __rsub__(self, other: Any) -> Expression:
        return Pointwise(operator.sub, (other, self))

    def __mul__(self, other: Any) -> Expression:
        return Pointwise(operator.mul, (self, other))

    def __rmul__(self, other: Any) -> Expression:
        return Pointwise(operator.mul, (other, self))

    def __truediv__(self, other: Any) -> Expression:
        return Pointwise(operator.truediv, (self, other))

    def __rtruediv__(self, other: Any) -> Expression:
        return Pointwise(operator.truediv, (other, self))

    def __pow__(self, power: Any) -> Expression:
        return Pointwise(operator.pow, (self, power))

    def __neg__(self) -> Expression:
        return Pointwise(operator.neg, (self,))

    def __pos__(self) -> Expression:
        return self

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Expression:
        """Functions of PyTorch that are computed point by point."""
        name = getattr(function, "__name__", str(function))
        if name not in _POINTWISE:
            raise NotImplementedError(
                f"constraints need equations that are computed point by point from derivatives; got torch.{name}: take "
                f"one of {', '.join(_POINTWISE)}"
            )
        return Pointwise(function, tuple(args), kwargs)


class Leaf(Expression):
    """What is not computed from other expressions."""

    def values(self, of: Callable[[Leaf], Tensor]) -> Tensor:
        return of(self)

    def derivative(self, of: Callable[[Leaf], Expression]) -> Expression:
        return of(self)

    def mapped(self, of: Callable[[Leaf], Expression]) -> Expression:
        return of(self)

    def leaves(self) -> Iterator[Leaf]:
        yield self


class Image(Leaf):
    """Something linear in the unknown.

    Attributes:
        path: what has been done to the unknown; nothing for the unknown itself.
    """

    def __init__(self, path: Path = ()):
        self.path = path


class Given(Leaf):
    """Data: a tensor at the points of the grid.

    Attributes:
        tensor: ``(..., *shape)``.
    """

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


class Pointwise(Expression):
    """A function of other expressions, tensors and numbers, at each point.

    Attributes:
        function: of tensors.
        arguments: of which tensors with axes are data at the points of the grid.
        options: further arguments, by name.
    """

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any], options: Any = None):
        self.function, self.options = function, options or {}
        self.arguments = tuple(_as_expression(one) for one in arguments)

    @property
    def fields(self) -> list[Expression]:
        """The expressions among the arguments."""
        return [one for one in self.arguments if isinstance(one, Expression)]

    def values(self, of: Callable[[Leaf], Tensor]) -> Tensor:
        return self._applied(*(one.values(of) for one in self.fields))

    def derivative(self, of: Callable[[Leaf], Expression]) -> Expression:
        return Pointwise(self._change, (*self.fields, *(one.derivative(of) for one in self.fields)))

    def mapped(self, of: Callable[[Leaf], Expression]) -> Expression:
        return Pointwise(self.function, self._with(one.mapped(of) for one in self.fields), self.options)

    def linear(self, of: Callable[[Expression], Expression | None]) -> Expression | None:
        is_sum = self.function in _SUMS and len(self.fields) == len(self.arguments)
        is_multiple = self.function is operator.mul and len(self.fields) == 1
        if not (is_sum or is_multiple):
            return None
        parts = [of(one) for one in self.fields]
        return None if any(part is None for part in parts) else Pointwise(self.function, self._with(parts))

    def leaves(self) -> Iterator[Leaf]:
        for one in self.fields:
            yield from one.leaves()

    def _with(self, values: Iterable[Any]) -> list[Any]:
        """The arguments with something else in place of each expression."""
        left = iter(values)
        return [next(left) if isinstance(one, Expression) else one for one in self.arguments]

    def _applied(self, *values: Tensor) -> Tensor:
        """The function of the values of the expressions."""
        return self.function(*self._with(values), **self.options)

    def _change(self, *fields: Tensor) -> Tensor:
        """Of the values of the expressions, and of their derivatives."""
        half = len(fields) // 2
        fields = torch.broadcast_tensors(*fields)  # type: ignore[assignment]
        return torch.func.jvp(self._applied, fields[:half], fields[half:])[1]  # type: ignore[return-value]


def _as_expression(argument: Any) -> Any:
    return Given(argument) if isinstance(argument, Tensor) and argument.dim() else argument
