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


class NoSuchSampleError(IndexError):
    """A sample that the file does not hold."""


class OutsideError(ValueError):
    """A part of a file that is in another one."""


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """An HDF5 file for reading; what is in it is reached by `items`, `held` and `member`, which stay within it.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for what is no such file, or a damaged one.
    """
    h5py, path = needed("h5py", "kutta.pde.formats", "pde"), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except NoSuchSampleError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, AttributeError, IndexError) as problem:
        raise ValueError(f"{path} is not an HDF5 file, or it is truncated or damaged: {problem}") from problem


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
    found = held(group, name)
    if found is None or not (is_array(found) if kind == "array" else is_group(found)):
        there = ", ".join(sorted(map(str, group))) or "nothing"
        raise ValueError(f"there is no {kind} {name!r} in {group.name!r} of {group.file.filename}; it holds {there}")
    return found


def items(group: Any) -> Iterator[tuple[str, Any]]:
    """All that a group holds, by name.

    Raises:
        OutsideError: as `held` does.
    """
    return ((name, held(group, name)) for name in group)


def held(group: Any, name: str) -> Any:
    """What a group holds under a name, or nothing.

    Raises:
        OutsideError: for a link to nothing or to another file, and for an array whose values are in other files: a file
            that was sent by somebody could show what is in others on this machine.
    """
    h5py = needed("h5py", "kutta.pde.formats", "pde")
    links, key = group.id.links, name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
    if not links.exists(key):
        return None
    within = links.get_info(key).type in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)
    found = group.get(name) if within else None
    if found is None or found.file.filename != group.file.filename:
        raise OutsideError(
            f"{name!r} in {group.name!r} of {group.file.filename} is a link to nothing, or out of this file"
        )
    if is_array(found) and (found.is_virtual or found.external):
        raise OutsideError(
            f"the values of {found.name!r} of {group.file.filename} are in other files; they are not read"
        )
    return found


def check_within(path: Path) -> None:
    """Refuse a file any part of which is in others.

    Raises:
        OutsideError: as `held` does.
    """
    with opened(path) as file:
        waiting, seen = [file], set()
        while waiting:
            group = waiting.pop()
            address = needed("h5py", "kutta.pde.formats", "pde").h5o.get_info(group.id).addr
            if address not in seen:
                seen.add(address)
                waiting += [one for _, one in items(group) if is_group(one)]


def is_array(item: Any) -> bool:
    """Whether this is an array."""
    return isinstance(item, needed("h5py", "kutta.pde.formats", "pde").Dataset)


def is_group(item: Any) -> bool:
    """Whether this is a group."""
    return isinstance(item, needed("h5py", "kutta.pde.formats", "pde").Group)


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


def check_samples(samples: Any) -> None:
    """Refuse what asks for no samples.

    Raises:
        TypeError: for what is neither a whole number nor a slice.
    """
    if isinstance(samples, bool) or not isinstance(samples, int | slice | None):
        raise TypeError(f"samples must be a whole number or a slice; got {samples!r}")


def part(samples: int | slice | None, count: int) -> int | slice:
    """The asked part of so many samples.

    Raises:
        NoSuchSampleError: for samples that are not there; it is an ``IndexError``.
    """
    if samples is None:
        return slice(0, count)
    if isinstance(samples, slice):
        return slice(*samples.indices(count))
    if not -count <= samples < count:
        raise NoSuchSampleError(f"there are {count} samples; got {samples}")
    return samples % count
