"""Data sets in NetCDF files and Zarr folders, whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kutta.files import replacing, replacing_folder
from kutta.optional import needed

if TYPE_CHECKING:
    from xarray import Dataset

SUFFIXES = (".nc", ".zarr")
_METADATA = (".zarray", ".zmetadata", "zarr.json")


def write(dataset: Dataset, path: str | os.PathLike[str]) -> None:
    """Write a data set to a NetCDF file or a Zarr folder; what stood there is replaced at the end, at once.

    Args:
        dataset: such as ``sol.to_xarray()``.
        path: ends in ``.nc`` or ``.zarr``.

    Raises:
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
        if variable.dtype.kind not in "biufcSU":
            raise TypeError(f"the variable {name!r} must hold numbers or text; its dtype is {variable.dtype}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}")
    plain = dataset.drop_encoding()
    if path.suffix == ".nc":
        with replacing(path) as temporary:
            plain.to_netcdf(temporary, engine="h5netcdf")
    else:
        if path.exists() and not _is_store(path):
            raise ValueError(f"{path} is there and is no Zarr folder; it is not replaced")
        with replacing_folder(path) as temporary:
            plain.to_zarr(temporary, mode="w", zarr_format=2, consolidated=True)


def read(path: str | os.PathLike[str]) -> Dataset:
    """The data set in a NetCDF file or a Zarr folder, in memory.

    Args:
        path: ends in ``.nc`` or ``.zarr``.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for what is no such file, or a damaged one, and for Zarr folders with pickled values, which could
            run code.
    """
    xarray, path = _xarray(path, "read")
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if path.suffix == ".zarr":
        _check_store(path)
    engine: dict[str, Any] = {"engine": "h5netcdf"} if path.suffix == ".nc" else {"engine": "zarr", "chunks": None}
    try:
        return xarray.load_dataset(path, decode_times=False, **engine).drop_encoding()
    except ImportError:
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


def _is_store(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def _check_store(path: Path) -> None:
    if not _is_store(path):
        raise ValueError(f"{path} is not a Zarr folder: it holds neither .zgroup nor zarr.json")
    for name in _METADATA:
        for file in path.rglob(name):
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as problem:
                raise ValueError(f"{path} is damaged: {file.relative_to(path)} is no JSON") from problem
            if any("pickle" in word.lower() for word in _codecs(content)):
                raise ValueError(f"{path} holds pickled values, which could run code when they are read")


def _codecs(content: Any) -> Iterator[str]:
    """The names of all codecs in the metadata of a store."""
    if isinstance(content, dict):
        yield from (str(content[key]) for key in ("id", "name") if key in content)
    for one in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _codecs(one)
