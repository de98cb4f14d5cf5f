"""From CUDA C++ to a binary: NVRTC, the compiler that PyTorch's CUDA builds come with.

It is called by its C interface, and so needs no CUDA toolkit, no headers and no GPU. Binaries are kept where
`build` keeps libraries, named by a hash of the source, of NVRTC's version and of the options.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch

from kutta.files import replacing
from kutta.solvers.engines.kernel.build import CompilerFailed, CompilerMissing, cache_folder, keeping

# Divisions, roots and subnormal numbers are IEEE's unless `--use_fast_math` is asked for.
OPTIONS = ("--std=c++17",)


@functools.cache
def nvrtc() -> ctypes.CDLL:
    """The compiler's library.

    Raises:
        CompilerMissing: when there is none.
    """
    if torch.version.cuda is None:
        raise CompilerMissing("Kernel() compiles for GPUs with NVRTC, and this PyTorch is not built for CUDA")
    name = f"libnvrtc.so.{torch.version.cuda.partition('.')[0]}"
    for path in (name, *_beside_torch(name)):
        with suppress(OSError):
            return ctypes.CDLL(path)
    raise CompilerMissing(
        f"Kernel() compiles for GPUs with NVRTC, and {name} is neither among Python's packages nor on the "
        "library path: install nvidia-cuda-nvrtc of PyTorch's CUDA version"
    )


def _beside_torch(name: str) -> Iterator[str]:
    """Where wheels put it: PyTorch's own folder, and those of NVIDIA's packages."""
    yield str(Path(torch.__file__).parent / "lib" / name)
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from map(str, sorted(Path(folder).glob(f"*/lib/{name}")))


def binary(source: str, architecture: str) -> bytes:
    """The binary of a source for an architecture such as ``"sm_90"``, compiled if it is not there.

    Raises:
        CompilerFailed: where it does not compile, or the cache folder cannot be used.
    """
    options = (f"--gpu-architecture={architecture}", *OPTIONS)
    name = hashlib.sha256("\n".join((_version(), *options, source)).encode()).hexdigest()[:32]
    path = cache_folder() / f"{name}.cubin"
    with keeping(path):
        if not path.exists():
            made = _compile(source, options)
            with replacing(path) as temporary:
                temporary.write_bytes(made)
        return path.read_bytes()


def _version() -> str:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(nvrtc().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"NVRTC {major.value}.{minor.value}"


def _compile(source: str, options: Sequence[str]) -> bytes:
    log, began = logging.getLogger("kutta"), time.perf_counter()
    log.info("compiling a kernel of %d lines for a GPU", source.count("\n"))
    library, program = nvrtc(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None))
    try:
        texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        if library.nvrtcCompileProgram(program, len(options), texts):
            said = _output(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            raise CompilerFailed(f"NVRTC could not compile the kernel:\n{said[:2000]}")
        made = _output(program, "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    log.info("compiled it in %.2f s", time.perf_counter() - began)
    return made


def _output(program: ctypes.c_void_p, kind: str) -> bytes:
    """What came out of a compilation."""
    library, size = nvrtc(), ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{kind}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{kind}")(program, text))
    return text.raw


def _check(code: int) -> None:
    if code:
        describe = nvrtc().nvrtcGetErrorString
        describe.restype = ctypes.c_char_p
        raise CompilerFailed(f"NVRTC failed: {describe(code).decode()}")
