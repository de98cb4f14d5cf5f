"""Fresh noise for stochastic samplers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Noise:
    """Standard normal numbers like a state.

    Args:
        generator: a ``torch.Generator``; or one for each sample, so that a sample does not depend on the others of its
            batch; or ``None`` for PyTorch's own.
    """

    def __init__(self, generator: Any = None):
        self.generator = generator

    def __call__(self, x: Tensor) -> Tensor:
        if isinstance(self.generator, list | tuple):
            return torch.cat([_drawn(x[:1], one) for one in self.generator])
        return _drawn(x, self.generator)


def _drawn(x: Tensor, generator: torch.Generator | None) -> Tensor:
    # Drawn where the generator is, so that a seed means the same on every device.
    device = x.device if generator is None else generator.device
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=device).to(x.device)
