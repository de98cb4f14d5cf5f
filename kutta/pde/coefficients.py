"""What the terms of an equation are multiplied with, numbers or fields at the points of the grid, and its sources."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kutta.autodiff import read
from kutta.pde.grids.finite import check_finite
from kutta.pde.grids.given import is_within
from kutta.pde.grids.grid import Grid
from kutta.pde.grids.values import is_number
from kutta.pde.schemes.scheme import Discretisation, Field


def check_number(name: str, value: Any) -> None:
    """Refuse what is neither a finite number nor a tensor of one.

    Raises:
        TypeError, ValueError: with the name, what came and what was expected.
    """
    if isinstance(value, Tensor) and not is_number(value):
        raise ValueError(f"{name} must be a number; got a tensor of shape {tuple(value.shape)}")
    if isinstance(value, bool) or not isinstance(value, int | float | complex | Tensor):
        raise TypeError(f"{name} must be a number; got {value!r}")
    check_finite(name, value)


def check_coefficient(name: str, value: Any, grid: Grid, lead: torch.Size | None = None) -> None:
    """Refuse what is neither a finite number nor a field of such.

    Args:
        name: of the coefficient.
        value: of it.
        grid: where the field lives.
        lead: leading axes that it may have, or fewer; by default any.

    Raises:
        TypeError, ValueError: with the name, what came and what was expected.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | complex | Tensor):
        raise TypeError(
            f"{name} must be a number or a tensor of values at the points; got {value!r}{_instead_of_functions(value)}"
        )
    check_shape(name, value, grid, lead)
    check_finite(name, value)


def _instead_of_functions(value: Any) -> str:
    return ", a function: pass the values that it has at grid.points(), which do not change in time" * callable(value)


def check_shape(name: str, value: Any, grid: Grid, lead: torch.Size | None = None) -> None:
    """Refuse a tensor that is neither one of a single number nor of values at the points; axes of 1 stand for all."""
    if not isinstance(value, Tensor) or is_number(value):
        return
    before, after = value.shape[: -grid.dim], value.shape[-grid.dim :]
    fits = len(after) == grid.dim and all(one in (1, count) for one, count in zip(after, grid.shape, strict=True))
    if fits and (lead is None or is_within(before, lead)):
        return
    leading = f" with the leading axes {tuple(lead)} of u0" if fits and lead is not None else ""
    raise ValueError(
        f"{name} must be a number or have the shape (..., {', '.join(map(str, grid.shape))}) of the grid{leading}; got "
        f"{tuple(value.shape)}"
    )


def check_not_negative(name: str, value: Any) -> None:
    """Refuse what takes away from fast waves if it is positive, and so makes them grow without bound if it is not.

    Raises:
        ValueError: with the name and the smallest value; of complex ones, the real part.
    """
    values = torch.as_tensor(value).detach().real
    if not torch.compiler.is_compiling() and read((values < 0).any()):
        raise ValueError(
            f"{name} must not be negative anywhere, or the fastest waves grow without bound; its smallest value is "
            f"{-read((-values).amax()):g}"
        )


def for_components(value: Any, grid: Grid) -> Any:
    """A coefficient of all components alike: leading axes of a field are those of samples, before the components'."""
    return value.unsqueeze(-grid.dim - 1) if isinstance(value, Tensor) and value.dim() > grid.dim else value


def forcing(source: Any, ops: Discretisation, t: Any, u: Field) -> Field | None:
    """A source as a field; ``None`` where there is none."""
    if callable(source):

        def checked(x: Tensor, t: Any) -> Any:
            found = source(x, t)
            check_shape("source(x, t)", found, ops.grid)
            return found

        return ops.data(ops.evaluated(checked, t, u), u)
    return None if isinstance(source, int | float) and source == 0 else ops.constant(source, u)
