"""Paired timing: every contender runs once a round, so that a busy moment meets all of them alike."""

from __future__ import annotations

import gc
import importlib.metadata
import math
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any

PACKAGES = (
    "torch",
    "torchdiffeq",
    "torchode",
    "jax",
    "diffrax",
    "diffusers",
    "numpy",
    "scipy",
    "scikit-sundae",
    "pyamg",
    "exponax",
    "py-pde",
    "neuraloperator",
    "deepxde",
    "numba",
)


@dataclass(frozen=True)
class Spread:
    """The median of repeated measurements, with the smallest and the largest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}}-{self.high:{spec}})"


Timings = dict[str, list[float]]


def measure(
    contenders: Mapping[str, Callable[[], Any]], repeats: int = 7, warm_up: int = 1, at_least: float = 2e-3
) -> Timings:
    """Seconds of one call of each contender, one entry a round: A B C, A B C, ...

    Args:
        contenders: what to call, by name.
        repeats: number of rounds.
        warm_up: unmeasured calls of each beforehand, where compilation happens.
        at_least: a faster contender is called several times in a row to fill this many seconds.
    """
    for call in contenders.values():
        for _ in range(warm_up):
            call()
    loops = {name: _loops(call, at_least) for name, call in contenders.items()}
    timings: Timings = {name: [] for name in contenders}
    gc.collect()
    gc.freeze()  # what exists by now need not be looked through again
    for _ in range(repeats):
        for name, call in contenders.items():
            gc.collect()
            timings[name].append(_seconds(call, loops[name]))
    gc.unfreeze()
    return timings


def _loops(call: Callable[[], Any], at_least: float) -> int:
    return max(1, math.ceil(at_least / max(_seconds(call, 1), 1e-7)))


def _seconds(call: Callable[[], Any], loops: int) -> float:
    start = perf_counter()
    for _ in range(loops):
        call()
    return (perf_counter() - start) / loops


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Spread:
    """The quotients of two contenders, taken round by round."""
    return Spread.of([a / b for a, b in zip(numerator, denominator, strict=True)])


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import torch

    return {
        "date": date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "device": "cpu",
        "torch threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
