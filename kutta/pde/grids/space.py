"""What the states of a solved equation are: names of the unknowns, on a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from torch import Tensor

from kutta.autodiff import is_mapped
from kutta.pde.grids.grid import Grid


@dataclass(frozen=True, eq=False)
class Space:
    """Where a solution lives.

    Attributes:
        grid: its points and sides.
        components: the names of the unknowns; a single one has no axis of its own.
        equation: the name of the equation.
        settings: the equation with its coefficients, the scheme and the method, in words.
    """

    grid: Grid
    components: tuple[str, ...]
    equation: str
    settings: Mapping[str, str] = field(default_factory=dict)


def in_words(record: Any) -> str:
    """A record with those of its fields that have a short form, such as ``Burgers(viscosity=0.01)``."""
    if not is_dataclass(record):
        return type(record).__name__
    named = ((one.name, _word(getattr(record, one.name))) for one in fields(record) if one.init)
    return f"{type(record).__name__}({', '.join(f'{name}={word}' for name, word in named if word)})"


def _word(value: Any) -> str:
    if isinstance(value, Tensor):
        return (
            f"{value.item():.9g}"
            if value.numel() == 1 and not is_mapped(value)
            else f"tensor({', '.join(map(str, value.shape))})"
        )
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_word(one)}' for name, one in value.items())}}}" if value else ""
    if isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, Sequence):
        words = [_word(one) for one in value]
        return f"({', '.join(words)}{',' * (len(words) == 1)})" if all(words) else ""
    return "function" if callable(value) and not is_dataclass(value) else ""
