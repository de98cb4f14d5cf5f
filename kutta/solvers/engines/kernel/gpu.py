"""Kernels on a GPU: loaded and launched by the CUDA driver, on PyTorch's current stream."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from kutta.solvers.engines.kernel.build import CompilerFailed
from kutta.solvers.engines.kernel.nvrtc import binary
from kutta.solvers.engines.kernel.precision import CUDA, Target

# Threads of a block: one warp, so that few trajectories are spread over many multiprocessors.
BLOCK = 32


class GPU:
    """A CUDA device: a thread a trajectory, and nothing read by the host.

    Attributes:
        device: which one.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.key = str(device)

    def target(self, alone: bool) -> Target:
        """What the text is for."""
        return CUDA

    def compiled(self, source: str) -> ctypes.c_void_p:
        """The function of a source on this device."""
        major, minor = torch.cuda.get_device_capability(self.device)
        image = binary(source, f"sm_{major}{minor}")
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        with _stream(self.device):
            _check(driver().cuModuleLoadData(ctypes.byref(module), image))
            _check(driver().cuModuleGetFunction(ctypes.byref(function), module, b"run"))
        return function

    def run(self, compiled: ctypes.c_void_p, job: ctypes.Structure, count: int) -> None:
        """Launch it; `job` is copied, and the arrays that it names are PyTorch's."""
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(job))
        with _stream(self.device) as stream:
            grid, block = (-(-count // BLOCK), 1, 1), (BLOCK, 1, 1)
            _check(driver().cuLaunchKernel(compiled, *grid, *block, 0, ctypes.c_void_p(stream), parameters, None))


@functools.cache
def driver() -> Any:
    """The CUDA driver's library, which PyTorch has loaded already where there is a device."""
    return ctypes.CDLL("libcuda.so.1")


@contextmanager
def _stream(device: torch.device) -> Iterator[int]:
    """The current stream of a device, which is the current device meanwhile."""
    with torch.cuda.device(device):
        yield torch.cuda.current_stream().cuda_stream


def _check(code: int) -> None:
    if code:
        said = ctypes.c_char_p()
        driver().cuGetErrorString(code, ctypes.byref(said))
        raise CompilerFailed(f"the CUDA driver could not load or launch the kernel: {(said.value or b'?').decode()}")
