"""Data sets in NetCDF files and Zarr folders, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kutta.files import replacing, replacing_folder
from kutta.optional import needed
from kutta.pde.formats import hdf5

if TYPE_CHECKING:
    from xarray import Dataset

SUFFIXES = (".nc", ".zarr")
_METADATA = (".zarray", ".zmetadata", "zarr.json")

# Where the metadata of a Zarr store name codecs, in versions 2 and 3 of the format, and those that make numbers and
# text of bytes and nothing else.
_OF_CODECS = ("codecs", "compressor", "filters", "index_codecs")
_CODECS = {
    "adler32", "astype", "bitround", "blosc", "bytes", "bz2", "crc32", "crc32c", "delta", "endian",
    "fixedscaleoffset", "fletcher32", "gzip", "jenkins_lookup3", "lz4", "lzma", "packbits", "quantize",
    "sharding_indexed", "shuffle", "transpose", "vlen-array", "vlen-bytes", "vlen-utf8", "zlib", "zstd",
}  # fmt: skip


def write(dataset: Dataset, path: str | os.PathLike[str]) -> None:
    """Write a data set to a NetCDF file or a Zarr folder, which takes the place of what stood there when it is whole.

    A file is replaced at once; of a folder there is none between the moments at which the old one goes and the new one
    comes.

    Args:
        dataset: such as ``sol.to_xarray()``.
        path: ends in ``.nc`` or ``.zarr``.

    Raises:
        FileNotFoundError: where there is no folder to write to.
        ValueError, TypeError: for another ending, a folder that is no Zarr store, and variables that are neither
            numbers nor text, which would have to be pickled.

    Example:
        >>> import tempfile, torch, kutta as kt
        >>> sol = kt.solve(kt.pde.Heat(0.1).problem(kt.pde.Grid(16), lambda x: torch.cos(6.2832 * x[0]), (0.0, 1.0)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     kt.pde.formats.write(sol.to_xarray(), f"{folder}/heat.nc")
        ...     again = kt.pde.formats.read(f"{folder}/heat.nc")
        >>> again.identical(sol.to_xarray())
        True
    """
    xarray, path = _xarray(path, "write")
    if not isinstance(dataset, xarray.Dataset):
        raise TypeError(f"dataset must be an xarray.Dataset, such as sol.to_xarray(); got {type(dataset).__name__}")
    for name, variable in dataset.variables.items():
        if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
            raise ValueError(f"the variable {name!r} must have another name: files take / and . for folders")
        if variable.dtype.kind not in "biufcSU":
            raise TypeError(f"the variable {name!r} must hold numbers or text; its dtype is {variable.dtype}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    plain = dataset.drop_encoding()
    if path.suffix == ".nc":
        with replacing(path) as temporary:
            plain.to_netcdf(temporary, engine="h5netcdf")
    else:
        check_replaceable(path)
        with replacing_folder(path) as temporary:
            plain.to_zarr(temporary, mode="w", zarr_format=2, consolidated=True)


def read(path: str | os.PathLike[str]) -> Dataset:
    """The data set in a NetCDF file or a Zarr folder, in memory.

    Args:
        path: ends in ``.nc`` or ``.zarr``.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for what is no such file, or a damaged one; for Zarr folders whose codecs are not known to be
            harmless, as pickled values could run code; and for files and folders with links out of them.
    """
    xarray, path = _xarray(path, "read")
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if path.suffix == ".zarr":
        _check_store(path)
    engine: dict[str, Any] = {"engine": "h5netcdf"} if path.suffix == ".nc" else {"engine": "zarr", "chunks": None}
    try:
        if path.suffix == ".nc":
            hdf5.check_within(path)
        return xarray.load_dataset(path, decode_times=False, **engine).drop_encoding()
    except (ImportError, hdf5.OutsideError):
        raise
    except Exception as problem:
        kind = "NetCDF file" if path.suffix == ".nc" else "Zarr folder"
        raise ValueError(f"{path} is not a {kind}, or it is damaged: {problem}") from problem


def _xarray(path: Any, verb: str) -> tuple[Any, Path]:
    """The package, with the one that reads files of this kind, and the path."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"path must end in .nc or .zarr; got {path}")
    needed("h5netcdf" if path.suffix == ".nc" else "zarr", f"kutta.pde.formats.{verb}", "pde")
    return needed("xarray", f"kutta.pde.formats.{verb}", "pde"), path


def check_replaceable(path: Path) -> None:
    """Refuse to put a data set, or a picture of it, in the place of anything else.

    Raises:
        ValueError: for a ``.zarr`` that is there and is no Zarr folder, and for a folder in the place of a file.
    """
    if path.suffix == ".zarr" and path.exists() and not _is_store(path):
        raise ValueError(f"{path} is there and is no Zarr folder; it is not replaced")
    if path.suffix != ".zarr" and path.is_dir() and not path.is_symlink():
        raise ValueError(f"{path} is there and is a folder; it is not replaced by a file")


def _is_store(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def _check_store(path: Path) -> None:
    """Refuse stores that could run code, or show other files, when they are read."""
    if not _is_store(path):
        raise ValueError(f"{path} is not a Zarr folder: it holds neither .zgroup nor zarr.json")
    for folder, folders, files in os.walk(path):
        for file in (Path(folder, name) for name in (*folders, *files)):
            if file.is_symlink():
                raise ValueError(f"{path} holds a link to another place, {file.relative_to(path)}; it is not followed")
            if file.name in _METADATA:
                _check_codecs(path, file)


def _check_codecs(path: Path, file: Path) -> None:
    try:
        found = set(_codecs(json.loads(file.read_text(encoding="utf-8"))))
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{path} is damaged: {file.relative_to(path)} is no JSON") from problem
    unknown = sorted(name for name in found if name.removeprefix("numcodecs.") not in _CODECS)
    if unknown:
        raise ValueError(
            f"{path} holds values coded by {', '.join(unknown)}; only codes of numbers and text are read, since "
            "others, such as pickle, could run code"
        )


def _codecs(content: Any) -> Iterator[str]:
    """The names of all codecs in the metadata of a store."""
    for key, value in content.items() if isinstance(content, dict) else ():
        if key in _OF_CODECS:
            yield from _named(value)
    for one in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _codecs(one)


def _named(codecs: Any) -> Iterator[str]:
    """The names of one codec, or of a list."""
    for one in codecs if isinstance(codecs, list) else [codecs]:
        names = [one[key] for key in ("id", "name") if key in one] if isinstance(one, dict) else [one]
        yield from (str(name) for name in names if name is not None)
