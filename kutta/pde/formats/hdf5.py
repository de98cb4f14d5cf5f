"""HDF5 files, opened for one access, and what they hold, or what they lack."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kutta.files import replacing
from kutta.optional import needed

SUFFIXES = (".h5", ".hdf5")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """An HDF5 file for reading.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for what is no such file, or a truncated one.
    """
    h5py, path = needed("h5py", "kutta.pde.formats", "pde"), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as problem:
        raise ValueError(f"{path} is not an HDF5 file, or it is truncated: {problem}") from problem


@contextmanager
def created(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A new HDF5 file, which takes its place at the end, or vanishes after an error."""
    h5py, path = needed("h5py", "kutta.pde.formats", "pde"), Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"path must end in .h5 or .hdf5; got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        yield file


def member(group: Any, name: str, kind: str = "array") -> Any:
    """An array or a group by its name.

    Raises:
        ValueError: where there is none.
    """
    found = group.get(name)
    if found is None or hasattr(found, "shape") != (kind == "array"):
        there = ", ".join(sorted(group)) or "nothing"
        raise ValueError(f"there is no {kind} {name!r} in {group.name!r} of {group.file.filename}; it holds {there}")
    return found


def attribute(item: Any, name: str) -> Any:
    """One attribute.

    Raises:
        ValueError: where there is none.
    """
    if name not in item.attrs:
        raise ValueError(f"{item.name!r} of {item.file.filename} has no attribute {name!r}")
    return plain(item.attrs[name])


def attributes(item: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """All attributes but some, as plain values."""
    return {name: plain(value) for name, value in item.attrs.items() if name not in without}


def plain(value: Any) -> Any:
    """A value as every file can hold it: text for bytes, a list for an array of texts, 0 and 1 for truth."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.bool_):
        return int(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
        return [plain(one) for one in value.tolist()]
    return value


def describe(item: Any, named: Mapping[str, Any]) -> None:
    """Set attributes; lists of texts become arrays of texts, also empty ones."""
    texts = needed("h5py", "kutta.pde.formats", "pde").string_dtype()
    for name, value in named.items():
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            item.attrs.create(name, np.array(value, dtype=object), dtype=texts)
        else:
            item.attrs[name] = value


def part(samples: int | slice | None, count: int) -> int | slice:
    """The asked part of so many samples.

    Raises:
        IndexError, TypeError: for samples that are not there.
    """
    if samples is None:
        return slice(0, count)
    if isinstance(samples, bool) or not isinstance(samples, int | slice):
        raise TypeError(f"samples must be a whole number or a slice; got {samples!r}")
    if isinstance(samples, slice):
        return slice(*samples.indices(count))
    if not -count <= samples < count:
        raise IndexError(f"there are {count} samples; got {samples}")
    return samples % count
