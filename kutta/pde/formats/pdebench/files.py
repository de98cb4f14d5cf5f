"""The files of PDEBench in any layout."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kutta.pde.formats import hdf5
from kutta.pde.formats.axes import axes_of
from kutta.pde.formats.pdebench.arrays import arrays_of, read_arrays, write_arrays
from kutta.pde.formats.pdebench.pieces import LAYOUT
from kutta.pde.formats.pdebench.samples import groups_of, read_samples, write_samples

if TYPE_CHECKING:
    from xarray import Dataset


LAYOUTS = ("tensor", "channels", "arrays", "samples")


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
        groups = groups_of(file)
        if groups:
            return read_samples(file, groups, samples, names)
        return read_arrays(file, samples, names)


def trajectories(path: str | os.PathLike[str], names: Sequence[str] = ()) -> Iterator[Dataset]:
    """One sample after the other, without ``batch``; of a huge file one at a time is in memory, none is open."""
    for sample in range(count(path)):
        yield read(path, sample, names)


def count(path: str | os.PathLike[str]) -> int:
    """The number of samples in a file."""
    with hdf5.opened(path) as file:
        return len(groups_of(file)) or arrays_of(file)[0].shape[0]


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
        (write_samples if layout == "samples" else write_arrays)(file, dataset, axes, moving, layout)


def _usual(dataset: Dataset, moving: list[str]) -> str:
    """The layout that is taken when none is named."""
    if not moving:
        return "arrays"
    return dataset.attrs.get(LAYOUT) or ("tensor" if len(moving) == 1 else "channels")


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
