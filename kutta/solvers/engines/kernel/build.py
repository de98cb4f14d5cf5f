"""From source to a function: the machine's C++ compiler, once for each source.

Libraries are kept in the user's cache folder, named by a hash of the source, of the compiler and of the
processor, and put there by one move, so that two processes cannot disturb each other.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kutta.files import replacing

FLAGS = ("-march=native", "-std=c++17", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
         "-ffp-contract=fast", "-Wno-psabi", "-Wno-ignored-attributes")  # fmt: skip


# From this many lines on more is lost waiting for the best code than it would ever save; of 200 entries and more it is
# not even faster.
LONG = 2_000
# Seconds after which a compiler is given up, and libraries that are kept.
PATIENCE, MOST_KEPT = 300.0, 2_000


class CompilerFailed(RuntimeError):
    """A kernel could not be compiled, or its library not be kept.

    Attributes:
        reason: why.
    """

    @property
    def reason(self) -> str:
        return str(self)


class CompilerMissing(CompilerFailed):
    """There is no C++ compiler."""


@functools.cache
def compiler() -> str:
    """The path of the compiler: that of ``CXX``, or ``g++`` or ``clang++``.

    Raises:
        CompilerMissing: when there is none.
    """
    if chosen := os.environ.get("CXX"):
        if path := shutil.which(chosen):
            return path
        raise CompilerMissing(f"CXX must be the path of a C++ compiler, without options; got {chosen!r}")
    for name in ("g++", "clang++"):
        if path := shutil.which(name):
            return path
    raise CompilerMissing(
        "Kernel() needs a C++ compiler, and there is neither g++ nor clang++: install one, or set CXX"
    )


def cache_folder() -> Path:
    """Where libraries are kept: ``KUTTA_CACHE``, or ``kutta`` in the user's cache folder."""
    if own := os.environ.get("KUTTA_CACHE"):
        return Path(own).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().resolve() / "kutta"


@functools.cache
def _machine() -> str:
    """What a library depends on besides its source."""
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    try:
        features = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        features = platform.processor()
    return "\n".join((version, platform.machine(), features, *FLAGS))


@contextmanager
def keeping(path: Path) -> Iterator[None]:
    """See to the folder of a file to be kept, and say what can be done where it cannot be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as problem:
        raise CompilerFailed(
            f"kernels cannot be kept in {path.parent} ({problem}): set KUTTA_CACHE to a folder"
        ) from problem


def library(source: str) -> ctypes.CDLL:
    """The library of a source, compiled if it is not there.

    Raises:
        CompilerFailed: where it does not compile, or the cache folder cannot be used.
    """
    name = hashlib.sha256(f"{_machine()}\n{source}".encode()).hexdigest()[:32]
    path = cache_folder() / f"{name}.so"
    with keeping(path):
        if path.exists():
            with suppress(OSError):  # broken off, by another program
                return ctypes.CDLL(str(path))
        _compile(source, path)
        return ctypes.CDLL(str(path))


def _compile(source: str, path: Path) -> None:
    log, began = logging.getLogger("kutta"), time.perf_counter()
    log.info("compiling a kernel of %d lines", source.count("\n"))
    with tempfile.TemporaryDirectory() as folder, replacing(path) as made:
        text = Path(folder) / "kernel.cpp"
        text.write_text(source, encoding="utf-8")
        level = "-O1" if source.count("\n") > LONG else "-O3"
        command = [compiler(), level, *FLAGS, str(text), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise CompilerFailed(f"{compiler()} took more than {PATIENCE:.0f} s for the kernel") from None
        if done.returncode:
            raise CompilerFailed(f"{compiler()} could not compile the kernel:\n{done.stderr[:2000]}")
    log.info("compiled it in %.2f s: %s", time.perf_counter() - began, path)
    _forget_the_oldest(path.parent)


def _forget_the_oldest(folder: Path) -> None:
    """Keep as many libraries as there is room for; those in use stay usable."""
    with suppress(OSError):  # another process may do the same
        libraries = sorted(folder.glob("*.so"), key=lambda one: one.stat().st_mtime)
        for old in libraries[:-MOST_KEPT]:
            old.unlink()
