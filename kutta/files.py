"""Files and folders that are whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file beside `path` to write to, which takes its place at the end, or vanishes after an error.

    Beside it, since only within one file system a file is replaced at once.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """The same for a folder, or a link to one, which it replaces.

    Between the two moments at which the old one goes and the new one comes there is none.
    """
    path = Path(path)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        temporary.chmod(0o777 & ~_umask())
        put(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put(source: Path, path: Path) -> None:
    """Give what is whole its place in the same file system; what stood there goes, unless an error brings it back."""
    aside = source.with_name(f"{source.name}.old")
    try:
        if source.is_dir() and os.path.lexists(path):
            path.rename(aside)
        source.rename(path)
    finally:
        if os.path.lexists(aside) and not os.path.lexists(path):
            aside.rename(path)
        if aside.is_symlink():
            aside.unlink()
        else:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def making_folder(path: Path) -> Iterator[Path]:
    """A folder, which after an error is taken away with all those above it that are new and empty."""
    new = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield path
    except BaseException:
        for one in new:
            with suppress(OSError):  # it is not empty, or was never made
                one.rmdir()
        raise


def _sync(path: Path) -> None:
    """Wait until the contents are on the disk, or the name could outlive a power cut, and they not."""
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def _umask() -> int:
    """The bits that new files lack; reading it means setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
