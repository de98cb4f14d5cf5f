"""What all layouts of PDEBench hold: coordinates, times, arrays and the names of unknowns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import check_places

if TYPE_CHECKING:
    from xarray import DataArray, Dataset


LAYOUT, NAMED, END = "pdebench_layout", "components", "t_end"


def coordinate(item: Any, name: str) -> tuple[str, np.ndarray, dict[str, Any]]:
    """The places along an axis, as xarray takes them."""
    places = item[()]
    check_places(name, places)
    return name, places, hdf5.attributes(item)


def times_of(group: Any, name: str, steps: int | None) -> dict[str, Any]:
    """The times of the fields; and as an attribute of theirs where the last one ends, if the file says."""
    if name not in group or steps is None:
        return {}
    item = hdf5.member(group, name)
    times = item[()]
    if times.ndim != 1 or len(times) not in (steps, steps + 1) or not np.isfinite(times).all():
        raise ValueError(
            f"{item.name!r} of {item.file.filename} must hold {steps} finite times; its shape is {times.shape}"
        )
    end = {} if len(times) == steps else {END: times[-1]}
    return {"time": ("time", times[:steps], hdf5.attributes(item) | end)}


def write_times(group: Any, name: str, times: DataArray) -> None:
    """The way back from `times_of`."""
    values, described = times.values, dict(times.attrs)
    if END in described:
        values = np.append(values, values.dtype.type(described.pop(END)))
    hdf5.describe(group.create_dataset(name, data=values), described)


def made_of(variables: dict[str, Any], coordinates: dict[str, Any], attributes: dict[str, Any]) -> Dataset:
    """A data set of these."""
    return needed("xarray", "kutta.pde.formats", "pde").Dataset(variables, coordinates, attributes)


def names_of(own: str, item: Any, names: Sequence[str], wanted: int) -> Sequence[str]:
    """The names of the unknowns in an array: given, stored, or else its own name, with numbers if there are several."""
    stored = hdf5.attributes(item).get(NAMED, ())
    names = names or stored or ((own,) if wanted == 1 else [f"{own}{place}" for place in range(wanted)])
    if len(names) != wanted:
        raise ValueError(f"{item.file.filename} has {wanted} unknowns in {own!r}; got {len(names)} names")
    return names


def write_array(group: Any, name: str, values: np.ndarray, components: list[str], attributes: dict[Any, Any]) -> None:
    """An array, with the names of the unknowns in it unless there is one that it is named after."""
    item = group.create_dataset(name, data=values)
    hdf5.describe(item, attributes)
    if components not in ([], [name]):
        hdf5.describe(item, {NAMED: components})
