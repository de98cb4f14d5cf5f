"""Print the growth of this process's peak memory, in bytes, by one gradient: ``direct`` or ``recompute``."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch

from benchmarks import neural_ode
from benchmarks._neural import Field, initial_state


def high_water() -> int:
    """The largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike ru_maxrss, this one starts anew with the process instead of at its parent's size.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(adjoint: str, steps: int) -> None:
    """Warm up with a few steps, then measure."""
    torch.set_num_threads(1)
    field, y0 = Field(), initial_state()
    neural_ode.fixed_gradient(field, y0, adjoint, 8)
    before = high_water()
    neural_ode.fixed_gradient(field, y0, adjoint, steps)
    print(high_water() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
