"""From the files of The Well to data sets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import check_places, text_of
from kutta.pde.formats.the_well.names import FLAT, KIND, KINDS, ORDERS, VALUES, WORDS
from kutta.pde.grids.boundary import Boundary, Dirichlet, Neumann, Periodic

if TYPE_CHECKING:
    from xarray import Dataset

_STRUCTURE = ("n_spatial_dims", "n_trajectories", "grid_type", "simulation_parameters", "spatial_dims")
_VARYING = ("sample_varying", "time_varying", "dim_varying")


def read(path: str | os.PathLike[str], samples: int | slice | None = None) -> Dataset:
    """Trajectories of a file as a data set with the dimensions ``batch``, ``time`` and those of space.

    Vector fields have a dimension ``direction`` at the end, tensors also ``direction_2``. Boundary conditions that hold
    at the sides of an axis are attributes of its coordinate, see `kutta.pde.formats.grid_of`; others, such as
    obstacles, are variables with their masks. The file is open during the call only, and nothing but the asked
    samples is read.

    Args:
        path: of the file.
        samples: a slice; or one number, for a data set without ``batch``; by default all.

    Raises:
        FileNotFoundError, ValueError: for what is no such file.
    """
    hdf5.check_samples(samples)
    with hdf5.opened(path) as file:
        total, axes = _checked(file)
        chosen = hdf5.part(samples, total)
        coordinates, sizes = _dimensions(file, axes, chosen)
        variables = _scalars(file, sizes, chosen)
        for group, components in ORDERS.items():
            variables |= _fields(file, group, components, axes, sizes, chosen)
        variables |= _boundaries(file, coordinates, axes, sizes, chosen)
        described = hdf5.attributes(file, without=_STRUCTURE)
    used = {dimension for dimensions, *_ in variables.values() for dimension in dimensions}
    coordinates = {name: one for name, one in coordinates.items() if name != "time" or "time" in used}
    return needed("xarray", "kutta.pde.formats", "pde").Dataset(variables, coordinates, described)


def trajectories(path: str | os.PathLike[str]) -> Iterator[Dataset]:
    """One trajectory after the other, without ``batch``; of a huge file one at a time is in memory, none is open."""
    for sample in range(count(path)):
        yield read(path, sample)


def count(path: str | os.PathLike[str]) -> int:
    """The number of trajectories in a file."""
    with hdf5.opened(path) as file:
        return _checked(file)[0]


def _checked(file: Any) -> tuple[int, tuple[str, ...]]:
    """The number of trajectories and the names of the axes of a file that is one of The Well."""
    for group in ("dimensions", "boundary_conditions", "scalars", *ORDERS):
        hdf5.member(file, group, "group")
    kind = hdf5.attribute(file, "grid_type")
    if kind != "cartesian":
        raise ValueError(f"the grid of {file.filename} must be cartesian; got {kind!r}")
    total = hdf5.attribute(file, "n_trajectories")
    if not isinstance(total, int | np.integer) or total < 0:
        raise ValueError(f"n_trajectories of {file.filename} must be a whole number; got {total!r}")
    return int(total), tuple(_texts(file["dimensions"], "spatial_dims"))


def _texts(item: Any, name: str) -> list[str]:
    found = hdf5.attribute(item, name)
    return [found] if isinstance(found, str) else [str(one) for one in found]


def _varies(item: Any, name: str) -> bool:
    return bool(hdf5.attribute(item, name))


def _dimensions(file: Any, axes: tuple[str, ...], chosen: int | slice) -> tuple[dict[str, Any], dict[str, int]]:
    """Coordinates, and the sizes of all dimensions."""
    group, coordinates = file["dimensions"], {}
    for name in axes:
        item = hdf5.member(group, name)
        check_places(name, item[()])
        coordinates[name] = (name, item[()], hdf5.attributes(item, without=_VARYING))
    times = hdf5.member(group, "time")
    dimensions, values = _selected(times, ("batch", "time") if _varies(times, "sample_varying") else ("time",), chosen)
    coordinates["time"] = (dimensions, values, hdf5.attributes(times, without=_VARYING))
    sizes = {name: len(coordinates[name][1]) for name in axes} | {"time": times.shape[-1]}
    return coordinates, sizes | {"batch": int(file.attrs["n_trajectories"])}


def _selected(item: Any, dimensions: tuple[str, ...], chosen: int | slice) -> tuple[tuple[str, ...], np.ndarray]:
    """Values of the asked samples, with their dimensions."""
    if dimensions[:1] != ("batch",):
        return dimensions, item[()]
    return (dimensions[1:] if isinstance(chosen, int) else dimensions), item[chosen]


def _leading(item: Any) -> tuple[str, ...]:
    flags = {"batch": "sample_varying", "time": "time_varying"}
    return tuple(name for name, flag in flags.items() if _varies(item, flag))


def _checked_shape(item: Any, dimensions: tuple[str, ...], sizes: dict[str, int], more: int = 0) -> None:
    wanted = tuple(sizes[name] for name in dimensions)
    if item.shape[: len(wanted)] != wanted or item.ndim != len(wanted) + more:
        ends = " and components" if more else ""
        raise ValueError(
            f"{item.name!r} of {item.file.filename} must have the shape {wanted}{ends} of its dimensions "
            f"{', '.join(dimensions)}; got {item.shape}"
        )


def _scalars(file: Any, sizes: dict[str, int], chosen: int | slice) -> dict[str, Any]:
    found, group = {}, file["scalars"]
    for name in _texts(group, "field_names"):
        item = hdf5.member(group, name)
        dimensions = _leading(item)
        if not dimensions and item.size == 1:  # a number, or a vector of one
            found[name] = ((), item[()].reshape(()), hdf5.attributes(item, without=_VARYING))
            continue
        _checked_shape(item, dimensions, sizes)
        found[name] = (*_selected(item, dimensions, chosen), hdf5.attributes(item, without=_VARYING))
    return found


def _fields(
    file: Any, group: str, components: tuple[str, ...], axes: tuple[str, ...], sizes: dict[str, int], chosen: Any
) -> dict[str, Any]:
    found = {}
    for name in _texts(file[group], "field_names"):
        item = hdf5.member(file[group], name)
        varying = np.atleast_1d(hdf5.attribute(item, "dim_varying"))
        if len(varying) != len(axes):
            raise ValueError(f"dim_varying of {item.name!r} must have {len(axes)} entries; got {len(varying)}")
        dimensions = (*_leading(item), *(name for name, one in zip(axes, varying, strict=True) if one))
        ends = (FLAT,) if len(components) == 2 and item.ndim == len(dimensions) + 1 else components
        _checked_shape(item, dimensions, sizes, len(ends))
        found[name] = (*_selected(item, (*dimensions, *ends), chosen), hdf5.attributes(item, without=_VARYING))
    return found


def _boundaries(file: Any, coordinates: dict[str, Any], axes: Any, sizes: Any, chosen: Any) -> dict[str, Any]:
    """Attributes for the coordinates, of what holds at the sides of an axis; variables for all else."""
    others: dict[str, Any] = {}
    for name, item in hdf5.items(file["boundary_conditions"]):
        where, mask = _texts(item, "associated_dims"), hdf5.member(item, "mask")
        dimensions = (*_leading(item), *where)
        unknown = [one for one in where if one not in axes]
        if unknown:
            raise ValueError(f"{item.name!r} of {file.filename} is on the axis {unknown[0]!r}, which there is not")
        _checked_shape(mask, dimensions, sizes)
        sides = _sides(item, mask[()]) if len(dimensions) == 1 and not _texts(item, "associated_fields") else None
        if sides:
            coordinates[where[0]][2].update(sides)
            continue
        values = {VALUES: hdf5.member(item, VALUES)[()]} if VALUES in item else {}
        described = hdf5.attributes(item, without=("associated_dims", *_VARYING)) | values
        others[name] = (*_selected(mask, dimensions, chosen), described)
    return others


def _sides(item: Any, mask: np.ndarray) -> dict[str, str]:
    """What a boundary condition says of the left and the right side of its axis; empty if it is about the inside."""
    sides = {"left": 0, "right": len(mask) - 1}
    inside = mask.astype(bool).copy()
    inside[[0, -1]] = False
    if inside.any() or not mask.any():
        return {}
    held = [side for side, place in sides.items() if mask[place]]
    if WORDS in item.attrs:
        words = dict.fromkeys(held, str(hdf5.attribute(item, WORDS)))
    else:
        kind = str(hdf5.attribute(item, KIND)).upper()
        words = {side: text_of(_condition(item, kind, number, len(held))) for number, side in enumerate(held)}
    periodic = text_of(Periodic())
    return dict.fromkeys(sides, periodic) if periodic in words.values() else words


def _condition(item: Any, kind: str, number: int, count: int) -> Boundary:
    """That at one of so many points of a mask, whose values are one for all of them or one for each."""
    if kind not in KINDS.values():
        raise ValueError(f"bc_type of {item.name!r} must be periodic, wall or open; got {kind.lower()!r}")
    if kind == "PERIODIC":
        return Periodic()
    values = hdf5.member(item, VALUES)[()].reshape(-1) if VALUES in item else np.zeros(1)
    if len(values) not in (1, count):
        values = values[:1] if len(values) and (values == values[0]).all() else np.zeros(1)
    value = float(values[number] if len(values) == count else values[0])
    if not math.isfinite(value):
        raise ValueError(f"the values of {item.name!r} must be finite; got {value}")
    return Dirichlet(value) if kind == "WALL" else Neumann(value)
