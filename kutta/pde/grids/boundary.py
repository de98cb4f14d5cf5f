"""Boundary conditions: what holds at one side of one axis of a grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from kutta.pde.grids.finite import check_finite

# A number, a tensor on the face, or a function of ``(x, t)`` with the places of the face, ``(d, *face)``.
Value = float | Tensor | Callable[[Tensor, Any], Any]


class Boundary:
    """What holds at a side of an axis."""


@dataclass(frozen=True)
class Periodic(Boundary):
    """The two sides of an axis are one place. It holds at both of them, or at none."""


class Condition(Boundary):
    """``a u + b du/dn = g`` with the derivative along the outward normal.

    Attributes:
        a, b: numbers.
        g: a number; a tensor of the shape of the face, or ``(*leading, *face)`` where it differs between samples or
            components, with axes of 1 for all places, such as ``(2, 1)`` at the sides of a plane; or a function of
            ``(x, t)``, called with the places of the face, ``(d, *face)``, and the time.
    """

    a: float
    b: float
    g: Value

    def __post_init__(self) -> None:
        if isinstance(self.g, bool) or not (isinstance(self.g, int | float | Tensor) or callable(self.g)):
            raise TypeError(f"g must be a number, a tensor or a function of (x, t); got {self.g!r}")
        if isinstance(self.g, int | float | Tensor):
            check_finite("g", self.g)

    def value(self, x: Tensor, t: Any) -> float | Tensor:
        """``g`` at the places of a face; what functions return has their precision, and stays complex where it is."""
        if isinstance(self.g, int | float | Tensor):
            return self.g
        found = self.g(x, t)
        dtype = x.dtype.to_complex() if torch.as_tensor(found).is_complex() else x.dtype
        return torch.as_tensor(found, dtype=dtype, device=x.device)


@dataclass(frozen=True, eq=False)
class Dirichlet(Condition):
    """``u = g``: the value at the boundary."""

    g: Value = 0.0
    a: ClassVar[float] = 1.0
    b: ClassVar[float] = 0.0


@dataclass(frozen=True, eq=False)
class Neumann(Condition):
    """``du/dn = g``: the slope along the outward normal, which for diffusion is what flows in."""

    g: Value = 0.0
    a: ClassVar[float] = 0.0
    b: ClassVar[float] = 1.0


@dataclass(frozen=True, eq=False)
class Robin(Condition):
    """``a u + b du/dn = g``: a mixture of the two, such as cooling, ``du/dn = -h (u - u_outside)``."""

    a: float  # type: ignore[misc]
    b: float  # type: ignore[misc]
    g: Value = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("a", "b"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number; got {value!r}")
        if self.b == 0.0:
            raise ValueError("b must not be zero; for a value at the boundary use Dirichlet")


@dataclass(frozen=True, eq=False)
class Wall(Neumann):
    """A wall that mirrors: beyond it, all is as before it, but flows across it are turned around.

    So nothing passes. What points across the wall, as the components of a velocity or a momentum that an equation names
    in its `directions`, vanishes at it; all else has slope zero, and a single field is under `Neumann()`.

    Schemes have their order where the image continues the solution smoothly, as it does when all that drives it is
    even. Where a third derivative across the wall is other than zero, they are of order 2: `Neumann` has no such limit.
    """

    g: Value = field(default=0.0, init=False)


# All kinds by name: what files may say of a side.
KINDS: dict[str, type[Boundary]] = {one.__name__: one for one in (Periodic, Dirichlet, Neumann, Robin, Wall)}


def has_data(one: Boundary) -> bool:
    """Whether something is given at a side that is other than the number zero."""
    return isinstance(one, Condition) and not (isinstance(one.g, int | float) and one.g == 0)


def without_data(boundary: tuple[tuple[Boundary, Boundary], ...]) -> tuple[tuple[Boundary, Boundary], ...]:
    """The sides of all axes with ``g = 0``: what solutions of the linear equation without sources fulfil."""
    return tuple(tuple(_homogeneous(one) for one in pair) for pair in boundary)  # type: ignore[misc]


def _homogeneous(one: Boundary) -> Boundary:
    return replace(one, g=0.0) if isinstance(one, Condition) and not isinstance(one, Wall) else one  # type: ignore[type-var]
