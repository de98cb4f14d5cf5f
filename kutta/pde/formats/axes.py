"""The axes of a grid as coordinates of a data set, and back: places, and what holds at the sides, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from kutta.pde.grids.boundary import KINDS, Boundary
from kutta.pde.grids.grid import AXES, Grid

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

# How far coordinates may be from the points of the grid, as a part of the spacing: rounding to single precision stays
# below it, and the points of another centring are farther away.
_CLOSE = 0.05


def coordinates(grid: Grid) -> dict[str, tuple[str, np.ndarray, dict[str, Any]]]:
    """Name, dimension, places and attributes of each axis, as xarray takes them."""
    return {name: (name, grid.axis_points(axis).numpy(), attributes(grid, axis)) for name, axis in _named(grid)}


def attributes(grid: Grid, axis: int) -> dict[str, Any]:
    """All that makes an axis, besides its number of points."""
    left, right = grid.boundary[axis]
    return {
        "centring": grid.centring[axis],  # type: ignore[index]
        "origin": grid.origin[axis],  # type: ignore[index]
        "length": grid.length[axis],  # type: ignore[index]
        "left": text_of(left),
        "right": text_of(right),
    }


def _named(grid: Grid) -> list[tuple[str, int]]:
    return [(AXES[axis], axis) for axis in range(grid.dim)]


def text_of(boundary: Boundary) -> str:
    """A boundary condition in words, such as ``Robin(1.0, 2.0, 0.5)``.

    Values that are no numbers are named by their kind: ``Dirichlet(function of x and t)``.
    """
    given = [getattr(boundary, one.name) for one in fields(boundary) if one.init]  # type: ignore[arg-type]
    return f"{type(boundary).__name__}({', '.join(map(_value, given))})"


def _value(g: Any) -> str:
    if isinstance(g, Tensor) and g.dim():
        return f"values of shape {'x'.join(map(str, g.shape))}"
    return "function of x and t" if callable(g) and not isinstance(g, Tensor) else repr(float(g))


def condition_of(text: str) -> Boundary:
    """The boundary condition that `text_of` wrote.

    Raises:
        ValueError: for any other text, and for conditions whose values were no numbers.
    """
    found = re.fullmatch(r"(\w+)\((.*)\)", text.strip())
    if found is None or found[1] not in KINDS:
        raise ValueError(
            f"a boundary condition reads like Dirichlet(0.0), Robin(1.0, 2.0, 0.5) or Periodic(); got {text!r}"
        )
    words = [word.strip() for word in found[2].split(",") if word.strip()]
    try:
        numbers = [float(word) for word in words]
        return KINDS[found[1]](*numbers)
    except (ValueError, TypeError) as problem:
        raise ValueError(
            f"the boundary condition {text!r} has values that its text does not hold: give the boundary of the grid"
        ) from problem


def grid_of(dataset: Dataset, boundary: Any = None, centring: Any = None) -> Grid:
    """The grid that the fields of a data set live on.

    Args:
        dataset: with equally spaced coordinates x, or x and y, or x, y and z.
        boundary: as for `kutta.pde.Grid`; by default what the attributes of the coordinates say.
        centring: likewise; where nothing is said, points of axes that are not periodic are middles of cells.

    Raises:
        ValueError: for coordinates that are not equally spaced, differ from what the attributes say, or have none where
            `boundary` is left out.

    Example:
        >>> import torch, kutta as kt
        >>> grid = kt.pde.Grid(16, 2.0, boundary=(kt.pde.Dirichlet(1.0), kt.pde.Neumann()))
        >>> sol = kt.solve(kt.pde.Heat(0.1).problem(grid, torch.ones(16), (0.0, 1.0)))
        >>> again = kt.pde.formats.grid_of(sol.to_xarray())
        >>> again.length, again.boundary
        ((2.0,), ((Dirichlet(g=1.0), Neumann(g=0.0)),))
    """
    names = axes_of(dataset)
    shape, stated = tuple(dataset.sizes[name] for name in names), [dataset[name].attrs for name in names]
    as_stated = boundary is None and centring is None
    if boundary is None:
        boundary = tuple(_sides(name, attrs) for name, attrs in zip(names, stated, strict=True))
    if as_stated and all("centring" in attrs for attrs in stated):
        centring = tuple(str(attrs["centring"]) for attrs in stated)
    if not (as_stated and all("length" in attrs and "origin" in attrs for attrs in stated)):
        return _through([dataset[name].values for name in names], boundary, centring)
    lengths, origins = (tuple(float(attrs[one]) for attrs in stated) for one in ("length", "origin"))
    grid = Grid(shape, lengths, centring, boundary, origins)
    for axis, name in enumerate(names):
        gap = np.abs(grid.axis_points(axis).numpy() - dataset[name].values).max()
        if gap > _CLOSE * grid.spacing[axis]:
            raise ValueError(
                f"the places of {name} are up to {gap:.3g} away from the grid that its attributes describe; of a part "
                "of a larger data set, give the boundary"
            )
    return grid


def _sides(name: str, stated: Mapping[str, Any]) -> tuple[Boundary, Boundary]:
    """What the attributes of a coordinate say of its sides."""
    if "left" not in stated or "right" not in stated:
        raise ValueError(f"the coordinate {name} does not say what holds at its sides: give boundary=")
    return condition_of(stated["left"]), condition_of(stated["right"])


def _through(places: list[np.ndarray], boundary: Any, centring: Any) -> Grid:
    """A grid with the given sides through the points."""
    shape = tuple(map(len, places))
    kinds = Grid(shape, boundary=boundary, centring=centring).centring
    if min(shape) < 2:
        raise ValueError("the length of an axis is not known from one point alone")
    spacing = [float(one[-1] - one[0]) / (len(one) - 1) for one in places]
    lengths, origins = [], []
    for one, h, kind in zip(places, spacing, kinds, strict=True):  # type: ignore[arg-type]
        lengths.append(h * (len(one) - (kind == "node")))
        origins.append(float(one[0]) - (0.5 * h if kind == "cell" else 0.0))
    return Grid(shape, tuple(lengths), kinds, boundary, tuple(origins))


def axes_of(dataset: Dataset) -> tuple[str, ...]:
    """The names of the axes of space, whose places have been checked."""
    names = tuple(name for name in AXES if name in dataset.dims)
    if not names:
        found = ", ".join(map(str, dataset.dims))
        raise ValueError(f"the data set must have an axis x, or x and y, or x, y and z; its dimensions are {found}")
    for name in names:
        check_places(name, dataset[name].values)
    return names


def check_on_grid(field: DataArray, grid: Grid) -> None:
    """Refuse a field whose coordinates are not the places of a grid; axes without coordinates may be anywhere.

    Raises:
        ValueError: with the first axis that differs.
    """
    for name, axis in _named(grid):
        if name not in field.coords:
            continue
        there, here = field[name].values, grid.axis_points(axis).numpy()
        check_places(name, there)
        if len(there) != len(here) or np.abs(there - here).max() > _CLOSE * grid.spacing[axis]:
            raise ValueError(
                f"the {len(there)} places of {name} are from {there[0]:g} to {there[-1]:g}, and those of the grid, "
                f"{len(here)} {grid.centring[axis]}s, from {here[0]:g} to {here[-1]:g}: "  # type: ignore[index]
                "give the values on this grid, or take the grid they are on"
            )


def check_places(name: str, places: np.ndarray) -> None:
    """Refuse coordinates that are not those of equally spaced points in ascending order."""
    if places.ndim != 1 or places.dtype.kind != "f" or len(places) < 1:
        raise ValueError(
            f"the coordinate {name} must be a vector of numbers; got {places.dtype} of shape {places.shape}"
        )
    if not np.isfinite(places).all():
        raise ValueError(f"the coordinate {name} must be finite; it holds NaN or infinite values")
    steps = np.diff(places.astype(np.float64))
    if len(steps) and (steps.min() <= 0.0 or steps.max() - steps.min() > _CLOSE * steps.mean()):
        raise ValueError(
            f"the coordinate {name} must ascend in equal steps; they are from {steps.min():.3g} to {steps.max():.3g}"
        )
