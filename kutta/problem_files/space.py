"""Grids and what holds at their sides, from a problem file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from kutta.formulas.formula import Formula
from kutta.pde.grids.boundary import KINDS, Boundary, Dirichlet, Neumann, Robin
from kutta.pde.grids.grid import AXES, CENTRINGS, Grid
from kutta.problem_files.section import (
    ProblemFileError,
    Section,
    count,
    number,
    one_of,
    one_or_several,
    positive,
    several,
    shown,
    taken,
    told,
)

MOST_POINTS = 2**30
# Those that need no numbers.
_PLAIN = {name.lower(): kind for name, kind in KINDS.items() if kind is not Robin}
_WANTED = (
    f"expected {', '.join(_PLAIN)}, {{ dirichlet = g }}, {{ neumann = g }} or {{ robin = {{ a = 1, b = 1, g = g }} }}"
)


@dataclass(frozen=True)
class Words:
    """What formulas of places may hold.

    Attributes:
        components: the names of the unknowns.
        parameters: numbers by name.
        dtype: of the fields.
    """

    components: tuple[str, ...] = ("u",)
    parameters: Mapping[str, float] = field(default_factory=dict)
    dtype: torch.dtype = torch.float64

    def at_places(self, text: str, dim: int, *others: str) -> Formula:
        """A formula of the coordinates and of other names."""
        return Formula(text, [*AXES[:dim], *others], self.parameters)


def grid(section: Section, words: Words) -> Grid:
    """The grid of a table."""
    shape = section.take("shape", one_or_several(count(1, MOST_POINTS)))
    shape = shape if isinstance(shape, tuple) else (shape,)
    if math.prod(shape) * len(words.components) > MOST_POINTS:
        raise ProblemFileError(f"{section.named('shape')}: expected at most {MOST_POINTS} values; got {shown(shape)}")
    length = section.take("length", one_or_several(positive), 1.0)
    origin = section.take("origin", one_or_several(number), 0.0)
    centring = section.take("centring", one_or_several(one_of(CENTRINGS)), None)
    boundary = _boundary(section, len(shape), words)
    section.close()
    with told(section.path):
        return Grid(shape, length, centring, boundary, origin)


def _boundary(section: Section, dim: int, words: Words) -> Any:
    """What holds at all sides, or at those of each axis by its name."""
    value = section.take("boundary", lambda given: given, "periodic")
    axes = AXES[:dim]
    if not (isinstance(value, dict) and set(value) & set(AXES)):
        whole = _sides if dim == 1 else _condition
        return whole(value, section.named("boundary"), dim, words)
    table = Section(value, section.named("boundary"))
    found = tuple(_sides(table.take(axis, lambda given: given), table.named(axis), dim, words) for axis in axes)
    table.close()
    return found


def _sides(value: Any, path: str, dim: int, words: Words) -> Any:
    """One condition for both sides of an axis, or ``{ left = ..., right = ... }``."""
    if not (isinstance(value, dict) and set(value) & {"left", "right"}):
        return _condition(value, path, dim, words)
    table = Section(value, path)
    found = tuple(
        _condition(table.take(side, lambda given: given), table.named(side), dim, words) for side in ("left", "right")
    )
    table.close()
    return found


def _condition(value: Any, path: str, dim: int, words: Words) -> Boundary:
    if isinstance(value, str):
        taken(value, one_of(tuple(_PLAIN)), path)
        return _PLAIN[value]()
    if not isinstance(value, dict) or len(value) != 1:
        raise ProblemFileError(f"{path}: {_WANTED}; got {shown(value)}")
    table = Section(value, path)
    if "robin" in table:
        weights = table.section("robin")
        a, b = (weights.take(name, number) for name in ("a", "b"))
        g = weights.take("g", lambda given: _data(given, weights.named("g"), dim, words), 0.0)
        weights.close()
        with told(path):
            return Robin(a, b, g)
    for name, kind in (("dirichlet", Dirichlet), ("neumann", Neumann)):
        g = table.take(name, lambda given, name=name: _data(given, table.named(name), dim, words), None)
        if g is not None:
            return kind(g)
    table.take("robin", number, None)
    table.close()
    raise ProblemFileError(f"{path}: {_WANTED}; got {shown(value)}")


def _data(value: Any, path: str, dim: int, words: Words) -> Any:
    """A number, a formula of the place and the time, or one of these for each unknown."""
    if not isinstance(value, dict):
        return _OnFace([_value(value, path, dim, words)]) if isinstance(value, str) else number(value)
    table = Section(value, path)
    parts = [
        table.take(name, lambda given, name=name: _value(given, table.named(name), dim, words))
        for name in words.components
    ]
    table.close()
    return _OnFace(parts) if len(parts) > 1 else parts[0] if isinstance(parts[0], float) else _OnFace(parts)


def _value(value: Any, path: str, dim: int, words: Words) -> float | Formula:
    with told(path):
        return words.at_places(value, dim, "t") if isinstance(value, str) else number(value)


def vector(values: Sequence[Any], dim: int, words: Words) -> Vector:
    """A number or a formula of the place and the time for each axis.

    Raises:
        TypeError, ValueError: for what is none.
    """
    if len(values) != dim:
        raise ValueError(f"expected a formula for each of the {dim} axes; got {len(values)}")
    return Vector([words.at_places(one, dim, "t") if isinstance(one, str) else number(one) for one in values])


class Vector:
    """A function ``(x, t)`` with several components, numbers and formulas."""

    def __init__(self, parts: Sequence[float | Formula]):
        self.parts = parts

    def __call__(self, x: Tensor, t: Any) -> Tensor:
        places = dict(zip(AXES, x, strict=False))
        found = [one(**places, t=t) if isinstance(one, Formula) else one for one in self.parts]
        return torch.stack([torch.as_tensor(one, dtype=x.dtype, device=x.device).expand(x.shape[1:]) for one in found])


class _OnFace(Vector):
    """Boundary data ``(x, t) -> g``, with an axis of components where there are several."""

    def __call__(self, x: Tensor, t: Any) -> Tensor:
        found = super().__call__(x, t)
        return found[0] if len(found) == 1 else found


def span(section: Section) -> tuple[float, float]:
    """Initial and final time."""
    ends = section.take("span", several(number))
    if len(ends) != 2 or ends[0] == ends[1]:
        raise ProblemFileError(f"{section.named('span')}: expected the first and the last time; got {shown(ends)}")
    return ends[0], ends[1]
