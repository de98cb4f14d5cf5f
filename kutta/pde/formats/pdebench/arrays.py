"""The layouts of PDEBench with one array for all samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.pde.formats import hdf5
from kutta.pde.formats.pdebench.pieces import (
    LAYOUT,
    NAMED,
    coordinate,
    made_of,
    names_of,
    times_of,
    write_array,
    write_times,
)
from kutta.pde.grids.grid import AXES

if TYPE_CHECKING:
    from xarray import Dataset


_COORDINATE = "-coordinate"


def arrays_of(file: Any) -> list[Any]:
    """The arrays of a file that are no coordinates; the file is refused if it is not in this layout."""
    found = [item for name, item in hdf5.items(file) if hdf5.is_array(item) and not name.endswith(_COORDINATE)]
    if not found or f"x{_COORDINATE}" not in file:
        raise ValueError(
            f"{file.filename} is not a file of PDEBench: it has neither x-coordinate with fields beside it nor groups "
            f"with data and grid; it holds {', '.join(sorted(file)) or 'nothing'}"
        )
    return found


def read_arrays(file: Any, samples: int | slice | None, names: Sequence[str]) -> Dataset:
    """Samples of a file in this layout; arguments as of `kutta.pde.formats.pdebench.read`."""
    arrays = arrays_of(file)
    axes = tuple(name for name in AXES if f"{name}{_COORDINATE}" in file)
    places = {name: coordinate(hdf5.member(file, f"{name}{_COORDINATE}"), name) for name in axes}
    sizes = tuple(len(places[name][1]) for name in axes)
    chosen = hdf5.part(samples, arrays[0].shape[0])
    variables, layout, steps = {}, "arrays", None
    for item in arrays:
        dimensions = _dimensions(item, axes, sizes)
        steps = item.shape[1] if "time" in dimensions else steps
        values = item[chosen]
        dimensions = dimensions[isinstance(chosen, int) :]
        own = item.name.lstrip("/")
        if own == "tensor":
            layout = "channels" if dimensions[-1] == "channel" else "tensor"
        variables |= _unknowns(own, dimensions, values, item, names)
    coordinates = places | times_of(file, f"t{_COORDINATE}", steps)
    return made_of(variables, coordinates, hdf5.attributes(file) | {LAYOUT: layout})


def _dimensions(item: Any, axes: tuple[str, ...], sizes: tuple[int, ...]) -> tuple[str, ...]:
    dim = len(axes)
    if item.shape[2 : 2 + dim] == sizes and item.ndim in (dim + 2, dim + 3):
        return ("batch", "time", *axes, *("channel",) * (item.ndim - dim - 2))
    if item.shape[1:] == sizes:
        return ("batch", *axes)
    raise ValueError(
        f"{item.name!r} of {item.file.filename} must have the shape (batch, time, {', '.join(map(str, sizes))}), with "
        f"channels at the end or without, as its coordinates {', '.join(axes)} say; got {item.shape}"
    )


def _unknowns(own: str, dimensions: Any, values: Any, item: Any, names: Sequence[str]) -> dict[str, Any]:
    """The unknowns of an array by their names: one, or one for each channel."""
    described = hdf5.attributes(item, without=(NAMED,))
    if "time" not in dimensions:
        return {own: (dimensions, values, described)}
    if dimensions[-1] != "channel":
        (name,) = names_of(own, item, names if own == "tensor" else (), 1)
        return {name: (dimensions, values, described)}
    channels = enumerate(names_of(own, item, names, values.shape[-1]))
    return {name: (dimensions[:-1], values[..., place], described) for place, name in channels}


def write_arrays(file: Any, dataset: Dataset, axes: tuple[str, ...], moving: list[str], layout: str) -> None:
    """Write a data set whose fields `moving` have a time, in the layout of this name."""
    hdf5.describe(file, {name: value for name, value in dataset.attrs.items() if name != LAYOUT})
    for name in axes:
        hdf5.describe(file.create_dataset(f"{name}{_COORDINATE}", data=dataset[name].values), dataset[name].attrs)
    if "time" in dataset.coords:
        write_times(file, f"t{_COORDINATE}", dataset["time"])
    if layout == "channels":
        write_array(file, "tensor", np.stack([dataset[name].values for name in moving], -1), moving, {})
    for name in map(str, dataset.data_vars):
        if name not in moving or layout == "arrays":
            write_array(file, name, dataset[name].values, [], dataset[name].attrs)
        elif layout == "tensor":
            write_array(file, "tensor", dataset[name].values, [name], dataset[name].attrs)
