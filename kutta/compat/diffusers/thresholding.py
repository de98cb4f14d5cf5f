"""Pulling predicted data back into the range of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Limit:
    """Dynamic thresholding: clip a sample at a quantile of its magnitudes, and divide by it.

    ``D`` becomes ``clip(D, -s, s) / s`` with ``s`` the quantile, at least 1, and at most `most`, which may be less.
    For pixels in ``[-1, 1]``; not for latent variables.

    Attributes:
        ratio: which quantile.
        most: the largest ``s``.

    Source: Saharia et al., Photorealistic text-to-image diffusion models with deep language understanding, 2022.
    """

    ratio: float
    most: float

    def __call__(self, data: Tensor) -> Tensor:
        """The limited prediction, shape ``(B, ...)``."""
        bound = torch.quantile(data.flatten(1).abs(), self.ratio, dim=1).clamp(min=1.0).clamp(max=self.most)
        bound = bound.reshape(-1, *[1] * (data.dim() - 1))
        return torch.maximum(torch.minimum(data, bound), -bound) / bound
