"""What a study runs on, which its times depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

import torch


@dataclass(frozen=True)
class Machine:
    """Where methods are compared, on a processor.

    Attributes:
        processor: its kind, and how many cores it has.
        threads: that PyTorch computes with.
        versions: of packages, by name.
    """

    processor: str
    threads: int
    versions: Mapping[str, str]

    @classmethod
    def here(cls) -> Machine:
        """This one, as it is set up now."""
        versions = {name: version(name) for name in ("kutta", "torch")}
        return cls(f"{platform.machine()}, {os.cpu_count()} cores", torch.get_num_threads(), versions)


def training_device(accelerator: str) -> str:
    """The device that Lightning trains on.

    Args:
        accelerator: what it is asked for.
    """
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if accelerator == "auto" and torch.backends.mps.is_available():
        return "Apple's GPU"
    return "CPU"
