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
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=c++17", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math",
         "-ffp-contract=fast", "-Wno-psabi", "-Wno-ignored-attributes")  # fmt: skip


class CompilerMissing(RuntimeError):
    """There is no C++ compiler."""


@functools.cache
def compiler() -> str:
    """The path of the compiler: that of ``CXX``, or ``g++`` or ``clang++``.

    Raises:
        CompilerMissing: when there is none.
    """
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    raise CompilerMissing(
        "Kernel() needs a C++ compiler, and there is neither g++ nor clang++: install one, or set CXX"
    )


def cache_folder() -> Path:
    """Where libraries are kept: ``KUTTA_CACHE``, or ``kutta`` in the user's cache folder."""
    if "KUTTA_CACHE" in os.environ:
        return Path(os.environ["KUTTA_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "kutta"


@functools.cache
def _machine() -> str:
    """What a library depends on besides its source."""
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=False).stdout
    try:
        features = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        features = platform.processor()
    return "\n".join((version, platform.machine(), features, *FLAGS))


def library(source: str) -> ctypes.CDLL:
    """The library of a source, compiled if it is not there."""
    name = hashlib.sha256(f"{_machine()}\n{source}".encode()).hexdigest()[:32]
    path = cache_folder() / f"{name}.so"
    if path.exists():
        return ctypes.CDLL(str(path))
    began = time.perf_counter()
    _compile(source, path)
    seconds = time.perf_counter() - began
    logging.getLogger("kutta").info("compiled a kernel in %.2f s: %s", seconds, path)
    return ctypes.CDLL(str(path))


def _compile(source: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, made = Path(folder) / "kernel.cpp", Path(folder) / path.name
        text.write_text(source, encoding="utf-8")
        command = [compiler(), *FLAGS, str(text), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{compiler()} could not compile the kernel:\n{done.stderr[:2000]}")
        os.replace(made, path)
