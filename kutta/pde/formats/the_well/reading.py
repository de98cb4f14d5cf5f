"""The files of The Well: groups of scalar, vector and tensor fields of many trajectories on one uniform grid.

    @n_spatial_dims, @n_trajectories, @dataset_name, @grid_type, @simulation_parameters and those it names
    dimensions/             @spatial_dims, time (T), x (N), ...
    boundary_conditions/    for each: @associated_dims, @bc_type, mask (N), values at the points of the mask
    scalars/                @field_names, numbers that depend on the trajectory, the time, both or none
    t0_fields/ ...          @field_names, scalar fields (trajectory, time, x, ...), each axis where the field varies
    t1_fields/, t2_fields/  the same of vectors and tensors, with axes of components at the end

A boundary is ``periodic``, a ``wall`` or ``open``, and no more is said of it. Here a wall is `Dirichlet`, with the
values of the file if it holds any, and an open one `Neumann`; going back, `Robin` and `Wall` are walls. What kutta
writes also carries its own words for each side, so that nothing is lost.

Source: R. Ohana et al., The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine Learning, NeurIPS
2024, data sets and benchmarks, arXiv 2412.00568; the data format in the documentation of its package the_well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import axes_of, check_places, condition_of, text_of
from kutta.pde.grids.boundary import Boundary, Condition, Dirichlet, Neumann, Periodic, Robin, Wall

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

ORDERS = {"t0_fields": (), "t1_fields": ("direction",), "t2_fields": ("direction", "direction_2")}
FLAT = "pair"  # both axes of a tensor as one
# Of all kinds of boundaries.
KINDS: dict[type[Boundary], str] = {
    Periodic: "PERIODIC",
    Dirichlet: "WALL",
    Robin: "WALL",
    Wall: "WALL",
    Neumann: "OPEN",
}
KIND, WORDS, VALUES = "bc_type", "kutta", "values"

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


def write(dataset: Dataset, path: str | os.PathLike[str], vectors: Mapping[str, Sequence[str]] | None = None) -> None:
    """Write fields in the layout of The Well, with the dtypes they have; the file is whole or not there.

    The published files are in single precision: ``dataset.astype("float32")``.

    Args:
        dataset: with the dimensions ``batch``, ``time`` and ``x``, ``y``, ``z`` of equally spaced points, and
            ``direction`` for vectors. Variables without space are scalars.
        path: ends in .h5 or .hdf5.
        vectors: names of vector fields, each with the names of its components among the variables.

    Raises:
        ValueError: for other dimensions.

    Example:
        >>> import tempfile, torch, kutta as kt
        >>> grid = kt.pde.Grid((16, 16), boundary=(kt.pde.Periodic(), kt.pde.Dirichlet(1.0)))
        >>> fields = kt.solve(kt.pde.Heat(0.1).problem(grid, torch.zeros(16, 16), (0.0, 1.0))).to_xarray()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.pde.formats.the_well.write(fields, f"{folder}/heat.hdf5")
        ...     again = kt.pde.formats.the_well.read(f"{folder}/heat.hdf5")
        >>> kt.pde.formats.grid_of(again).boundary[1]
        (Dirichlet(g=1.0), Dirichlet(g=1.0))
    """
    axes = axes_of(dataset)
    for name, components in (vectors or {}).items():
        dataset = _joined(dataset, name, components, axes)
    dataset = dataset.transpose("batch", "time", *axes, ..., missing_dims="ignore")
    sorted_out = {str(name): _group_of(one, axes) for name, one in dataset.data_vars.items()}
    with hdf5.created(path) as file:
        _describe(file, dataset, axes, Path(path).stem)
        _write_dimensions(file, dataset, axes)
        _write_boundaries(file, dataset, axes)
        for group in ("scalars", *ORDERS):
            names = [name for name, one in sorted_out.items() if one == group]
            _write_fields(file.create_group(group), {name: dataset[name] for name in names}, axes)
        for name in (name for name, one in sorted_out.items() if one == "boundary_conditions"):
            _write_mask(file["boundary_conditions"].create_group(name), dataset[name], axes)


# ------------------------------------------------------------------------------------------------------------- reading


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
    if WORDS in item.attrs:
        words = str(hdf5.attribute(item, WORDS))
    else:
        words = text_of(_condition(item, str(hdf5.attribute(item, KIND)).upper()))
    if words == text_of(Periodic()):
        return dict.fromkeys(sides, words)
    return {side: words for side, place in sides.items() if mask[place]}


def _condition(item: Any, kind: str) -> Boundary:
    if kind not in KINDS.values():
        raise ValueError(f"bc_type of {item.name!r} must be periodic, wall or open; got {kind.lower()!r}")
    if kind == "PERIODIC":
        return Periodic()
    values = hdf5.member(item, VALUES)[()].reshape(-1) if VALUES in item else np.zeros(0)
    constant = len(values) > 0 and bool(np.isfinite(values).all()) and bool((values == values[0]).all())
    value = float(values[0]) if constant else 0.0
    return Dirichlet(value) if kind == "WALL" else Neumann(value)


# ------------------------------------------------------------------------------------------------------------- writing


def _group_of(variable: DataArray, axes: tuple[str, ...]) -> str:
    """Where a variable belongs."""
    if KIND in variable.attrs:
        return "boundary_conditions"
    ends = tuple(name for name in variable.dims if name not in ("batch", "time", *axes))
    spatial = any(name in axes for name in variable.dims)
    groups = {components: group for group, components in ORDERS.items()} | {(FLAT,): "t2_fields"}
    if variable.dtype.kind not in "fiub" or ends not in groups or (ends and not spatial):
        raise ValueError(
            f"{str(variable.name)!r} must be a real field with the dimensions batch, time, {', '.join(axes)} and, of "
            f"vectors and tensors, direction and direction_2 at the end; got {variable.dtype}, {variable.dims}"
        )
    return groups[ends] if spatial else "scalars"


def _joined(dataset: Dataset, name: str, components: Sequence[str], axes: tuple[str, ...]) -> Dataset:
    missing = [one for one in components if one not in dataset.data_vars]
    if missing or len(components) != len(axes):
        raise ValueError(
            f"the vector {name!r} must have a component for each of {', '.join(axes)} among the variables "
            f"{', '.join(map(str, dataset.data_vars))}; got {', '.join(components)}"
        )
    xarray = needed("xarray", "kutta.pde.formats", "pde")
    whole = xarray.concat([dataset[one] for one in components], "direction")
    return dataset.drop_vars(list(components)).assign({name: whole.transpose(..., "direction")})


def _describe(file: Any, dataset: Dataset, axes: tuple[str, ...], stem: str) -> None:
    numbers = [str(name) for name, value in dataset.attrs.items() if isinstance(value, int | float | np.number)]
    structure = {
        "dataset_name": str(dataset.attrs.get("equation", stem)),
        "grid_type": "cartesian",
        "n_spatial_dims": len(axes),
        "n_trajectories": dataset.sizes.get("batch", 1),
        "simulation_parameters": numbers,
    }
    hdf5.describe(file, structure | {str(name): value for name, value in dataset.attrs.items()})


def _write_dimensions(file: Any, dataset: Dataset, axes: tuple[str, ...]) -> None:
    group = file.create_group("dimensions")
    hdf5.describe(group, {"spatial_dims": list(axes)})
    for name in axes:
        described = {key: one for key, one in dataset[name].attrs.items() if key not in ("left", "right")}
        item = group.create_dataset(name, data=dataset[name].values)
        hdf5.describe(item, described | {"sample_varying": False, "time_varying": False})
    steps = np.arange(float(dataset.sizes.get("time", 1)))
    times, described = (dataset["time"].values, dataset["time"].attrs) if "time" in dataset.coords else (steps, {})
    hdf5.describe(group.create_dataset("time", data=times), {**described, "sample_varying": times.ndim == 2})


def _write_boundaries(file: Any, dataset: Dataset, axes: tuple[str, ...]) -> None:
    group = file.create_group("boundary_conditions")
    for name in axes:
        stated, size = dataset[name].attrs, dataset.sizes[name]
        periodic = stated.get("left") == text_of(Periodic())
        places = {"periodic": [0, size - 1]} if periodic else {"left": [0], "right": [size - 1]}
        for side, points in places.items():
            words = stated.get("left" if periodic else side)
            if words is not None:
                mask = np.zeros(size, dtype=bool)
                mask[points] = True
                _write_side(group.create_group(f"{name}_{side}"), name, words, mask)


def _write_side(group: Any, axis: str, words: str, mask: np.ndarray) -> None:
    kind, value = _kind(words)
    hdf5.describe(
        group,
        {
            "associated_dims": [axis],
            "associated_fields": [],
            KIND: kind,
            "sample_varying": False,
            "time_varying": False,
            WORDS: words,
        },
    )
    group.create_dataset("mask", data=mask)
    if value is not None:
        group.create_dataset(VALUES, data=np.full(int(mask.sum()), value, dtype=np.float32))


def _kind(words: str) -> tuple[str, float | None]:
    """What The Well calls a boundary condition, and its value if that is a number."""
    kind = next((kind for one, kind in KINDS.items() if words.startswith(f"{one.__name__}(")), None)
    if kind is None:
        raise ValueError(f"a boundary condition reads like Dirichlet(0.0) or Robin(1.0, 2.0, 0.5); got {words!r}")
    try:
        condition = condition_of(words)
    except ValueError:  # its values are not in its words
        return kind, None
    value = condition.g if isinstance(condition, Condition) and not isinstance(condition, Wall) else None
    return kind, value if isinstance(value, float) else None


def _write_fields(group: Any, fields: Mapping[str, DataArray], axes: tuple[str, ...]) -> None:
    hdf5.describe(group, {"field_names": list(fields)})
    for name, field in fields.items():
        item = group.create_dataset(name, data=field.values)
        varying = {"sample_varying": "batch" in field.dims, "time_varying": "time" in field.dims}
        if group.name != "/scalars":
            varying["dim_varying"] = np.array([axis in field.dims for axis in axes])  # type: ignore[assignment]
        if group.name == "/t2_fields":
            varying |= {key: bool(field.attrs.get(key, False)) for key in ("symmetric", "antisymmetric")}
        hdf5.describe(item, {str(key): one for key, one in field.attrs.items()} | varying)


def _write_mask(group: Any, mask: DataArray, axes: tuple[str, ...]) -> None:
    described = {str(name): one for name, one in mask.attrs.items() if name != VALUES}
    where = [str(name) for name in mask.dims if name in axes]
    varying = {"sample_varying": "batch" in mask.dims, "time_varying": "time" in mask.dims}
    hdf5.describe(group, {"associated_fields": []} | described | {"associated_dims": where} | varying)
    group.create_dataset("mask", data=mask.values)
    if VALUES in mask.attrs:
        group.create_dataset(VALUES, data=np.asarray(mask.attrs[VALUES]))
