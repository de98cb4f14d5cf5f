"""The layout of PDEBench with one group for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.pdebench.pieces import (
    LAYOUT,
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


def groups_of(file: Any) -> list[str]:
    """The names of the groups of a file that hold a sample, in order."""
    return sorted(name for name, item in hdf5.items(file) if hdf5.is_group(item) and "data" in item)


def read_samples(file: Any, groups: list[str], samples: int | slice | None, names: Sequence[str]) -> Dataset:
    """Samples of a file with these groups; arguments as of `kutta.pde.formats.pdebench.read`."""
    chosen = hdf5.part(samples, len(groups))
    if isinstance(chosen, int):
        made = _read_sample(hdf5.member(file, groups[chosen], "group"), names)
        return made.assign_attrs(hdf5.attributes(file) | made.attrs | {LAYOUT: "samples"})
    if not groups[chosen]:
        raise ValueError(f"there are {len(groups)} samples; got none of them by {samples!r}")
    found = [_read_sample(hdf5.member(file, name, "group"), names) for name in groups[chosen]]
    xarray = needed("xarray", "kutta.pde.formats", "pde")
    for name, one in zip(groups[chosen], found, strict=True):
        if not all(one[axis].equals(found[0][axis]) for axis in found[0].coords) or one.sizes != found[0].sizes:
            raise ValueError(
                f"sample {name!r} of {file.filename} has another grid or other times than the first one; read them "
                "one by one, with trajectories()"
            )
    made = xarray.concat(found, "batch", combine_attrs="drop_conflicts")
    for key in found[0].attrs.keys() - made.attrs.keys():
        made = made.assign_coords({key: ("batch", np.array([str(one.attrs.get(key, "")) for one in found]))})
    if groups[chosen] != _numbered(len(found)):
        made = made.assign_coords(sample=("batch", np.array(groups[chosen])))
    return made.assign_attrs(hdf5.attributes(file) | {LAYOUT: "samples"})


def _read_sample(group: Any, names: Sequence[str]) -> Dataset:
    grid, data = hdf5.member(group, "grid", "group"), hdf5.member(group, "data")
    axes = tuple(name for name in AXES if name in grid)
    places = {name: coordinate(hdf5.member(grid, name), name) for name in axes}
    sizes = tuple(len(places[name][1]) for name in axes)
    if not axes or data.ndim != len(axes) + 2 or data.shape[1:-1] != sizes:
        raise ValueError(
            f"{data.name!r} of {group.file.filename} must have the shape (time, {', '.join(map(str, sizes))}, channel) "
            f"that its grid says; got {data.shape}"
        )
    values = data[()]
    unknowns = {
        name: (("time", *axes), values[..., place])
        for place, name in enumerate(names_of("u", data, names, values.shape[-1]))
    }
    return made_of(unknowns, places | times_of(grid, "t", len(values)), hdf5.attributes(group))


def write_samples(file: Any, dataset: Dataset, axes: tuple[str, ...], moving: list[str], layout: str) -> None:
    """Write a data set whose fields `moving` have a time, one group for each sample."""
    hdf5.describe(file, {name: value for name, value in dataset.attrs.items() if name != LAYOUT})
    own = [str(name) for name, one in dataset.coords.items() if one.dims == ("batch",) and name != "batch"]
    names = dataset["sample"].values if "sample" in own else _numbered(dataset.sizes["batch"])
    for place, sample in enumerate(names):
        group = file.create_group(str(sample))
        hdf5.describe(group, {name: str(dataset[name].values[place]) for name in own if name != "sample"})
        values = np.stack([dataset[name].values[place] for name in moving], -1)
        write_array(group, "data", values, [] if moving == ["u"] else moving, {})
        for name in axes:
            hdf5.describe(group.create_dataset(f"grid/{name}", data=dataset[name].values), dataset[name].attrs)
        if "time" in dataset.coords:
            write_times(group, "grid/t", dataset["time"])


def _numbered(samples: int) -> list[str]:
    return [f"{place:04d}" for place in range(samples)]
