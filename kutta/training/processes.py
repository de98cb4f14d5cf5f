"""Runs of several processes, each with a part of every batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, distributed


def place() -> tuple[int, int]:
    """Which process this is, and of how many."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def part(rows: Tensor) -> Tensor:
    """The rows of this process: every so many of a batch.

    Gradients are means over processes of means over rows, so that all must have as many.

    Raises:
        ValueError: where the rows cannot be divided.
    """
    rank, count = place()
    if len(rows) % count:
        raise ValueError(
            f"a batch of {len(rows)} rows cannot be divided among {count} processes: choose a size, and a number of "
            "rows, that are multiples of their number"
        )
    return rows[rank::count]


def mean(figures: Mapping[str, Any], like: Tensor) -> dict[str, Any]:
    """Figures of a batch, numbers or scalar tensors: the means over all processes.

    They are exchanged on the device of a tensor, such as the loss, and in its precision, but no lower than single.
    """
    _, count = place()
    if count == 1:
        return dict(figures)
    dtype = torch.promote_types(like.dtype, torch.float32)
    values = torch.stack([torch.as_tensor(one, dtype=dtype, device=like.device) for one in figures.values()])
    distributed.all_reduce(values)
    return dict(zip(figures, (values / count).unbind(), strict=True))
