"""Random numbers from a generator of any device, on the device where they are needed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def uniform(shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
    """Uniform on [0, 1), float64."""
    where = device if generator is None else generator.device
    return torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=where).to(device)


def normal(shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal, float64."""
    where = device if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float64, device=where).to(device)


def rademacher(shape: Sequence[int], generator: torch.Generator | None, device: torch.device | str = "cpu") -> Tensor:
    """Minus one or one, alike, float64."""
    return torch.where(normal(shape, generator, device) < 0.0, -1.0, 1.0).double()
