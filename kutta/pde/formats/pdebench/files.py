"""The files of PDEBench: fields of many samples, in one of four layouts.

    tensor      tensor (batch, time, x[, y[, z]]), x-coordinate, ..., t-coordinate
    channels    tensor (batch, time, x[, y[, z]], channel), and the same coordinates
    arrays      density, pressure, ...: an array for each unknown, and the same coordinates
    samples     0000/data (time, x[, y[, z]], channel), 0000/grid/x, ..., 0000/grid/t, then 0001/...

Fields without a time, such as the coefficient of Darcy's problem, are arrays (batch, x[, y[, z]]) in the first three.
Times of cells may have an entry more than the fields, where the last one ends; it is the attribute ``t_end`` here.

Source: M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning, NeurIPS 2022, data sets
and benchmarks; arXiv 2210.07182.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import axes_of, check_places
from kutta.pde.grids.grid import AXES

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

LAYOUTS = ("tensor", "channels", "arrays", "samples")
LAYOUT, NAMED, END = "pdebench_layout", "components", "t_end"
_COORDINATE = "-coordinate"


def read(path: str | os.PathLike[str], samples: int | slice | None = None, names: Sequence[str] = ()) -> Dataset:
    """Samples of a file as a data set with the dimensions ``batch``, ``time`` and ``x``, ``y``, ``z``.

    The file is open during the call only, and nothing but the asked samples is read.

    Args:
        path: of the file, in any of the layouts.
        samples: a slice; or one number, for a data set without ``batch``; by default all.
        names: of the unknowns, for the layouts that do not hold them; by default those of the array, with numbers.

    Raises:
        FileNotFoundError, ValueError: for what is no such file.

    Example:
        >>> import tempfile, torch, kutta as kt
        >>> grid, waves = kt.pde.Grid(32, 2.0), torch.arange(1.0, 4.0)[:, None]
        >>> problem = kt.pde.Burgers(0.1).problem(grid, lambda x: torch.sin(3.14159 * waves * x[0]), (0.0, 1.0))
        >>> fields = kt.solve(problem, save_at=torch.linspace(0.0, 1.0, 6)).to_xarray()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.pde.formats.pdebench.write(fields, f"{folder}/burgers.hdf5")
        ...     means = [float(one.u.mean()) for one in kt.pde.formats.pdebench.trajectories(f"{folder}/burgers.hdf5")]
        >>> len(means)
        3
    """
    hdf5.check_samples(samples)
    with hdf5.opened(path) as file:
        groups = _groups(file)
        if groups:
            return _read_samples(file, groups, samples, names)
        return _read_arrays(file, samples, names)


def trajectories(path: str | os.PathLike[str], names: Sequence[str] = ()) -> Iterator[Dataset]:
    """One sample after the other, without ``batch``; of a huge file one at a time is in memory, none is open."""
    for sample in range(count(path)):
        yield read(path, sample, names)


def count(path: str | os.PathLike[str]) -> int:
    """The number of samples in a file."""
    with hdf5.opened(path) as file:
        return len(_groups(file)) or _arrays(file)[0].shape[0]


def write(dataset: Dataset, path: str | os.PathLike[str], layout: str | None = None) -> None:
    """Write fields in a layout of PDEBench, with the dtypes they have; the file is whole or not there.

    Attributes go along, and with those of the coordinates the boundary conditions. Without ``batch``, the fields are a
    batch of one.

    Args:
        dataset: with the dimensions ``batch``, ``time`` and ``x``, ``y``, ``z`` of equally spaced points.
        path: ends in .h5 or .hdf5.
        layout: by default that of the file it was read from; else ``"tensor"`` for one unknown, ``"channels"`` for
            several, and ``"arrays"`` where none has a time, as of steady solutions.

    Raises:
        ValueError: for other dimensions.
    """
    if "batch" not in dataset.dims:
        dataset = dataset.expand_dims("batch")
    axes = axes_of(dataset)
    dataset = dataset.transpose("batch", "time", *axes, ..., missing_dims="ignore")
    moving = [str(name) for name in dataset.data_vars if "time" in dataset[name].dims]
    layout = _usual(dataset, moving) if layout is None else layout
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}; got {layout!r}")
    if not moving and layout != "arrays":
        raise ValueError(f'layout={layout!r} is for fields with the dimension time; got none: use "arrays"')
    if layout == "tensor" and len(moving) != 1:
        raise ValueError(f'layout="tensor" is for one unknown; got {", ".join(moving)}: use "channels"')
    _check_fields(dataset, axes, layout)
    with hdf5.created(path) as file:
        (_write_samples if layout == "samples" else _write_arrays)(file, dataset, axes, moving, layout)


def _usual(dataset: Dataset, moving: list[str]) -> str:
    """The layout that is taken when none is named."""
    if not moving:
        return "arrays"
    return dataset.attrs.get(LAYOUT) or ("tensor" if len(moving) == 1 else "channels")


# ------------------------------------------------------------------------------------- one array for all samples


def _arrays(file: Any) -> list[Any]:
    found = [item for name, item in hdf5.items(file) if hdf5.is_array(item) and not name.endswith(_COORDINATE)]
    if not found or f"x{_COORDINATE}" not in file:
        raise ValueError(
            f"{file.filename} is not a file of PDEBench: it has neither x-coordinate with fields beside it nor groups "
            f"with data and grid; it holds {', '.join(sorted(file)) or 'nothing'}"
        )
    return found


def _read_arrays(file: Any, samples: int | slice | None, names: Sequence[str]) -> Dataset:
    arrays = _arrays(file)
    axes = tuple(name for name in AXES if f"{name}{_COORDINATE}" in file)
    places = {name: _coordinate(hdf5.member(file, f"{name}{_COORDINATE}"), name) for name in axes}
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
    coordinates = places | _times(file, f"t{_COORDINATE}", steps)
    return _made(variables, coordinates, hdf5.attributes(file) | {LAYOUT: layout})


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
        (name,) = _names(own, item, names if own == "tensor" else (), 1)
        return {name: (dimensions, values, described)}
    channels = enumerate(_names(own, item, names, values.shape[-1]))
    return {name: (dimensions[:-1], values[..., place], described) for place, name in channels}


def _names(own: str, item: Any, names: Sequence[str], wanted: int) -> Sequence[str]:
    stored = hdf5.attributes(item).get(NAMED, ())
    names = names or stored or ((own,) if wanted == 1 else [f"{own}{place}" for place in range(wanted)])
    if len(names) != wanted:
        raise ValueError(f"{item.file.filename} has {wanted} unknowns in {own!r}; got {len(names)} names")
    return names


def _write_arrays(file: Any, dataset: Dataset, axes: tuple[str, ...], moving: list[str], layout: str) -> None:
    hdf5.describe(file, {name: value for name, value in dataset.attrs.items() if name != LAYOUT})
    for name in axes:
        hdf5.describe(file.create_dataset(f"{name}{_COORDINATE}", data=dataset[name].values), dataset[name].attrs)
    if "time" in dataset.coords:
        _write_times(file, f"t{_COORDINATE}", dataset["time"])
    if layout == "channels":
        _write_array(file, "tensor", np.stack([dataset[name].values for name in moving], -1), moving, {})
    for name in map(str, dataset.data_vars):
        if name not in moving or layout == "arrays":
            _write_array(file, name, dataset[name].values, [], dataset[name].attrs)
        elif layout == "tensor":
            _write_array(file, "tensor", dataset[name].values, [name], dataset[name].attrs)


def _write_array(group: Any, name: str, values: np.ndarray, components: list[str], attributes: dict[Any, Any]) -> None:
    item = group.create_dataset(name, data=values)
    hdf5.describe(item, attributes)
    if components not in ([], [name]):
        hdf5.describe(item, {NAMED: components})


# ------------------------------------------------------------------------------------------- one group for each sample


def _groups(file: Any) -> list[str]:
    return sorted(name for name, item in hdf5.items(file) if hdf5.is_group(item) and "data" in item)


def _read_samples(file: Any, groups: list[str], samples: int | slice | None, names: Sequence[str]) -> Dataset:
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
    places = {name: _coordinate(hdf5.member(grid, name), name) for name in axes}
    sizes = tuple(len(places[name][1]) for name in axes)
    if not axes or data.ndim != len(axes) + 2 or data.shape[1:-1] != sizes:
        raise ValueError(
            f"{data.name!r} of {group.file.filename} must have the shape (time, {', '.join(map(str, sizes))}, channel) "
            f"that its grid says; got {data.shape}"
        )
    values = data[()]
    unknowns = {
        name: (("time", *axes), values[..., place])
        for place, name in enumerate(_names("u", data, names, values.shape[-1]))
    }
    return _made(unknowns, places | _times(grid, "t", len(values)), hdf5.attributes(group))


def _write_samples(file: Any, dataset: Dataset, axes: tuple[str, ...], moving: list[str], layout: str) -> None:
    hdf5.describe(file, {name: value for name, value in dataset.attrs.items() if name != LAYOUT})
    own = [str(name) for name, one in dataset.coords.items() if one.dims == ("batch",) and name != "batch"]
    names = dataset["sample"].values if "sample" in own else _numbered(dataset.sizes["batch"])
    for place, sample in enumerate(names):
        group = file.create_group(str(sample))
        hdf5.describe(group, {name: str(dataset[name].values[place]) for name in own if name != "sample"})
        values = np.stack([dataset[name].values[place] for name in moving], -1)
        _write_array(group, "data", values, [] if moving == ["u"] else moving, {})
        for name in axes:
            hdf5.describe(group.create_dataset(f"grid/{name}", data=dataset[name].values), dataset[name].attrs)
        if "time" in dataset.coords:
            _write_times(group, "grid/t", dataset["time"])


def _numbered(samples: int) -> list[str]:
    return [f"{place:04d}" for place in range(samples)]


# ------------------------------------------------------------------------------------------------------------ of both


def _coordinate(item: Any, name: str) -> tuple[str, np.ndarray, dict[str, Any]]:
    places = item[()]
    check_places(name, places)
    return name, places, hdf5.attributes(item)


def _times(group: Any, name: str, steps: int | None) -> dict[str, Any]:
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


def _write_times(group: Any, name: str, times: DataArray) -> None:
    values, described = times.values, dict(times.attrs)
    if END in described:
        values = np.append(values, values.dtype.type(described.pop(END)))
    hdf5.describe(group.create_dataset(name, data=values), described)


def _made(variables: dict[str, Any], coordinates: dict[str, Any], attributes: dict[str, Any]) -> Dataset:
    return needed("xarray", "kutta.pde.formats", "pde").Dataset(variables, coordinates, attributes)


def _check_fields(dataset: Dataset, axes: tuple[str, ...], layout: str) -> None:
    if not dataset.data_vars:
        raise ValueError("there is no field in this data set")
    for name, one in dataset.data_vars.items():
        known = [("batch", "time", *axes), ("batch", *axes)][: 1 if layout == "samples" else 2]
        if one.dims not in known or one.dtype.kind not in "fiu":
            raise ValueError(
                f"{name!r} must be a real field with the dimensions {' or '.join(map(str, known))}; got {one.dtype}, "
                f"{one.dims}"
            )
