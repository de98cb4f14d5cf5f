"""Where kernels run: on the threads of a processor, or on a GPU."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch

from kutta.solvers.engines.kernel.build import library
from kutta.solvers.engines.kernel.gpu import GPU
from kutta.solvers.engines.kernel.precision import ALONE, BLOCK, Target
from kutta.solvers.engines.kernel.refusal import refuse

# Trajectories below which a second thread costs more than it saves, and how many one takes at a time.
FEW, CHUNK = 4096, 2048


class Machine(Protocol):
    """What compiles a text and runs the function that comes out."""

    @property
    def key(self) -> Hashable:
        """Machines with equal keys run the same functions."""
        ...

    def target(self, alone: bool) -> Target:
        """What the text is for, for one trajectory or for many."""
        ...

    def compiled(self, source: str) -> Any:
        """The function of a source."""
        ...

    def run(self, compiled: Any, job: ctypes.Structure, count: int) -> None:
        """Call it for `count` trajectories."""
        ...


def machine_for(device: torch.device, threads: int | None) -> Machine:
    """The machine that a state lies on."""
    if device.type == "cpu":
        return Processor(threads or torch.get_num_threads())
    if threads is not None:
        refuse(f"has threads on the CPU only, a GPU its own; got threads={threads} and a state on {device}")
    return GPU(device)


class Processor:
    """The CPU: on each thread blocks of lanes, or one lane for a trajectory alone.

    Attributes:
        threads: how many work at once, where there is work for them.
    """

    key = "cpu"

    def __init__(self, threads: int):
        self.threads = threads

    def target(self, alone: bool) -> Target:
        """What the text is for."""
        return ALONE if alone else BLOCK

    def compiled(self, source: str) -> ctypes.CDLL:
        """The library of a source."""
        return library(source)

    def run(self, compiled: ctypes.CDLL, job: ctypes.Structure, count: int) -> None:
        """Call it, for all trajectories at once or for some at a time."""
        size = CHUNK if self.threads > 1 and count >= FEW else count

        def part(first: int) -> None:
            last = min(first + size, count)
            compiled.run(ctypes.byref(job), ctypes.c_longlong(first), ctypes.c_longlong(last))

        if size == count:
            return part(0)
        with ThreadPoolExecutor(self.threads) as pool:  # ctypes lets go of the interpreter while it calls
            list(pool.map(part, range(0, count, size)))
