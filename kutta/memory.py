"""Memory that is freed and wanted again at once."""

from __future__ import annotations

from functools import cache

import torch

# Just below the largest block that glibc learns from, with room for what it adds.
LARGEST = 32 * 2**20 - 2**16


@cache
def keep_freed_memory() -> None:
    """Let the system's allocator keep what is freed, up to 64 MiB, for what comes next.

    A solve makes and drops tensors of the same size by the thousand. glibc hands back blocks of more than 128 KiB to
    the system when they are freed, and every new one then costs a page fault for each 4 KiB: on a plane of 256 x 256
    points half of the time of a step. It raises that bound to the size of the largest block that it has seen freed, of
    at most 32 MiB, and keeps twice as much. So one such block, which is never written to, is made and freed.

    Other allocators, and bounds that the environment sets (``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_TRIM_THRESHOLD_``), are
    left as they are.

    Source: the manual page of ``mallopt``, on ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``.
    """
    torch.empty(LARGEST, dtype=torch.uint8, device="cpu")
