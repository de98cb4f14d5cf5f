"""From data sets to the files of The Well."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kutta.optional import needed
from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import axes_of, condition_of, text_of
from kutta.pde.formats.the_well.names import FLAT, KIND, KINDS, ORDERS, VALUES, WORDS
from kutta.pde.grids.boundary import Condition, Periodic, Wall

if TYPE_CHECKING:
    from xarray import DataArray, Dataset


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
