"""Families of states whose spaces are known."""

import torch

from tests._helpers import F64


def points(n=200, dtype=F64):
    return torch.linspace(0.0, 1.0, n, dtype=dtype)


def fronts(count=60, width=0.02, first=0.1, last=0.9, dtype=F64):
    """Travelling fronts, ``tanh((x - c) / w)``."""
    centres = torch.linspace(first, last, count, dtype=dtype)
    return torch.tanh((points(dtype=dtype) - centres[:, None]) / width)


def waves(seed=0, count=20, modes=6, shape=(9, 8), dtype=F64):
    """Random sums of smooth fields that become smaller and smaller."""
    generator = torch.Generator().manual_seed(seed)
    fields = torch.randn(modes, *shape, dtype=dtype, generator=generator)
    weights = torch.randn(count, modes, dtype=dtype, generator=generator) * 0.3 ** torch.arange(modes)
    return torch.einsum("km,mxy->kxy", weights, fields)
