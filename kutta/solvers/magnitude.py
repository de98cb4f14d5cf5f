"""Powers of two beside vectors, by which they are divided so that their squares neither vanish nor overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def norm(x: Tensor) -> Tensor:
    """The Euclidean norm of each vector ``(..., n)``, of numbers of any size."""
    unit = magnitude(x)
    return torch.linalg.vector_norm(x / unit, dim=-1) * unit[..., 0]


def magnitude(x: Tensor) -> Tensor:
    """A power of two beside the largest entry of each vector ``(..., n)``, as ``(..., 1)``.

    Division by it is exact. It is 1 for a vector of zeros, and for one that is not finite.
    """
    parts = torch.view_as_real(x.resolve_conj()).flatten(-2) if x.is_complex() else x
    largest = parts.detach().abs().amax(-1, keepdim=True)
    most = -math.frexp(torch.finfo(largest.dtype).tiny)[1]  # so that the reciprocal is a number as well
    power = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent.clamp(-most, most))
    return torch.where((largest > 0.0) & torch.isfinite(largest), power, 1.0)
