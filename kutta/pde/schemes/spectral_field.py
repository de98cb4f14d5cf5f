"""A field that is known by its values, by its coefficients, or by both, and turns one into the other when it must.

Derivatives and sums are taken of coefficients, products of values. So an equation that is written as for tensors takes
no transform twice, and none that it does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kutta.pde.grids.values import check_real, is_number
from kutta.pde.waves.kinds import EVEN, ODD, PERIODIC, product_of_kinds

Kinds = tuple[str, ...]


class SpectralField:
    """A field in a space of waves; see `kutta.pde.schemes.pseudo_spectral.WaveSpace`.

    What a product is made of, and the product itself, are without the waves that would be mistaken for others. Data,
    such as a source, and what is made of data alone, are no product: all of their waves count, but where they multiply
    a field.

    Attributes:
        space: what it is a sum of.
        kinds: periodic, even or odd, along each axis.
        given: whether the values are data.
    """

    def __init__(
        self,
        space: Any,
        kinds: Kinds,
        values: Tensor | None = None,
        coefficients: Tensor | None = None,
        given: bool = False,
    ):
        if values is not None and not space.dtype.is_complex:
            check_real(values, space.dtype)
        self.space, self.kinds, self._values, self._coefficients = space, kinds, values, coefficients
        self.given, self._factor = given, None

    @property
    def dtype(self) -> torch.dtype:
        """Of the values."""
        return self.space.dtype

    @property
    def device(self) -> torch.device:
        """Likewise."""
        return self.space.device

    @property
    def values(self) -> Tensor:
        """At the points of the grid."""
        if self._values is None:
            self._values = self.space.basis(self.kinds).backward(self.space.kept(self.kinds, self._coefficients))
        return self._values

    @property
    def factor(self) -> Tensor:
        """The values in a product with a field."""
        if self._factor is None:
            self._factor = self.space.dealiased(self.kinds, self._values) if self.given else self.values
        return self._factor

    @property
    def coefficients(self) -> Tensor:
        """Of the waves."""
        if self._coefficients is None:
            found = self.space.basis(self.kinds).forward(self._values)
            self._coefficients = found if self.given else self.space.kept(self.kinds, found)
        return self._coefficients

    def scaled(self, symbol: Any, kinds: Kinds | None = None) -> SpectralField:
        """The field whose coefficients are multiplied with `symbol`."""
        return SpectralField(self.space, kinds or self.kinds, coefficients=symbol * self.coefficients)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> SpectralField:
        """The field whose components are chosen or put in order by a function of tensors."""
        if self._coefficients is None:
            return SpectralField(self.space, self.kinds, values=function(self.values), given=self.given)
        return SpectralField(self.space, self.kinds, coefficients=function(self._coefficients))

    def __neg__(self) -> SpectralField:
        return self * -1.0

    def __pos__(self) -> SpectralField:
        return self

    def __add__(self, other: Any) -> SpectralField:
        if is_number(other) and self._coefficients is None and ODD not in self.kinds:
            return self.mapped(lambda values: values + other)
        other = self._as_field(other)
        if other.kinds != self.kinds:
            raise ValueError(
                f"PseudoSpectral cannot add a field that is {_named(other.kinds)} to one that is {_named(self.kinds)} "
                "at its walls; use kutta.pde.FiniteDifference()"
            )
        if self._coefficients is None and other._coefficients is None and self.given == other.given:
            return SpectralField(self.space, self.kinds, values=self.values + other.values, given=self.given)
        return SpectralField(self.space, self.kinds, coefficients=self.coefficients + other.coefficients)

    __radd__ = __add__

    def __sub__(self, other: Any) -> SpectralField:
        return self + (-other)

    def __rsub__(self, other: Any) -> SpectralField:
        return -self + other

    def __mul__(self, other: Any) -> SpectralField:
        if is_number(other):
            return self._times(other)
        other = self._as_field(other)
        kinds = product_of_kinds(self.kinds, other.kinds)
        if self.given and other.given:
            return SpectralField(self.space, kinds, values=self.values * other.values, given=True)
        return SpectralField(self.space, kinds, values=self.factor * other.factor)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> SpectralField:
        return self * (1.0 / other)

    def __rtruediv__(self, other: Any) -> SpectralField:
        return self._even("division").pointwise(lambda values: other / values)

    def __pow__(self, power: Any) -> SpectralField:
        if not (isinstance(power, int) and power > 0):
            return self._even("a power").pointwise(lambda values: values**power)
        kinds = self.kinds if power % 2 else product_of_kinds(self.kinds, self.kinds)
        return SpectralField(self.space, kinds, values=self.values**power, given=self.given)

    def pointwise(self, function: Callable[[Tensor], Tensor]) -> SpectralField:
        """A function of the values at each point."""
        return SpectralField(self.space, self.kinds, values=function(self.values), given=self.given)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> SpectralField:
        """Functions of PyTorch, point by point, and sums and products whose first part is a tensor."""
        if function in _REFLECTED and isinstance(args[1], SpectralField):
            return _REFLECTED[function](args[1], args[0])
        name, kwargs = getattr(function, "__name__", repr(function)), kwargs or {}
        fields = [one._even(name) for one in (*args, *kwargs.values()) if isinstance(one, SpectralField)]
        if not fields:  # but in a list
            raise TypeError(f"{name} does not take lists of fields of PseudoSpectral(); {_INSTEAD}")
        values = function(*map(_values_of, args), **{key: _values_of(one) for key, one in kwargs.items()})
        grid = fields[0].space.grid
        if not isinstance(values, Tensor) or values.shape[-grid.dim :] != grid.shape:
            raise TypeError(f"{name} of a field of PseudoSpectral() must have a value at each point; {_INSTEAD}")
        return SpectralField(fields[0].space, fields[0].kinds, values=values, given=all(one.given for one in fields))

    def __abs__(self) -> SpectralField:
        return torch.abs(self)  # type: ignore[arg-type,return-value]

    def __getattr__(self, name: str) -> Any:
        """What tensors have and fields do not, with the way to write it."""
        if name.startswith("_") or not hasattr(Tensor, name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        way = f"write torch.{name}(u) for u.{name}(), if it has a value at each point, or " * hasattr(torch, name)
        raise AttributeError(f"a field of PseudoSpectral() is no tensor, and has no {name}: {way}{_INSTEAD}")

    def __lt__(self, other: Any) -> Any:
        return _no_comparison("<", "lt")

    def __le__(self, other: Any) -> Any:
        return _no_comparison("<=", "le")

    def __gt__(self, other: Any) -> Any:
        return _no_comparison(">", "gt")

    def __ge__(self, other: Any) -> Any:
        return _no_comparison(">=", "ge")

    def __getitem__(self, key: Any) -> Any:
        raise TypeError(f"a field of PseudoSpectral() has no entries: components are ops.split(u), or {_INSTEAD}")

    def __bool__(self) -> bool:
        raise TypeError(
            f"a field of PseudoSpectral() is neither true nor false: choose with torch.where, or {_INSTEAD}"
        )

    def _times(self, number: Any) -> SpectralField:
        if not self.dtype.is_complex:
            check_real(number, self.dtype)
        if self._coefficients is None:
            return self.mapped(lambda values: number * values)
        return self.scaled(number)

    def _even(self, what: str) -> SpectralField:
        """Itself, if functions of it keep its symmetry at walls, which those of odd fields need not."""
        if all(kind in (PERIODIC, EVEN) for kind in self.kinds):
            return self
        raise ValueError(
            f"PseudoSpectral cannot take {what} of a field that vanishes at walls; use kutta.pde.FiniteDifference()"
        )

    def _as_field(self, other: Any) -> SpectralField:
        """A field; of data, values at the points, which are even at walls."""
        return other if isinstance(other, SpectralField) else self.space.data(other, self)


_INSTEAD = "use the scheme kutta.pde.FiniteDifference(), whose fields are tensors"


def _values_of(argument: Any) -> Any:
    return argument.values if isinstance(argument, SpectralField) else argument


def _no_comparison(sign: str, name: str) -> Any:
    raise TypeError(
        f"fields of PseudoSpectral() are not compared by {sign}: write torch.where(torch.{name}(u, v), ...), or "
        f"{_INSTEAD}"
    )


# What Python makes of ``tensor * field`` and the like.
_REFLECTED: dict[Any, Callable[[SpectralField, Any], SpectralField]] = {
    Tensor.add: SpectralField.__radd__,
    Tensor.sub: SpectralField.__rsub__,
    Tensor.mul: SpectralField.__rmul__,
    Tensor.div: SpectralField.__rtruediv__,
}


def _named(kinds: Kinds) -> str:
    return " and ".join(kind for kind in kinds if kind != PERIODIC) or "periodic"
